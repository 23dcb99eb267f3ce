"""The recipe of which pages show datasets, small ones in tests and large ones in benches."""

from __future__ import annotations

_CHAIN = """\
name: "{name}"
jobs: {jobs}
parameters: {{events: 5000, seed: "{{dataset}}{{job:06d}}"}}
needs: {{memory: 2 GB, disk: 1 GB, time: 1 h}}
retry: {{tries: 2}}
tasks:
  generate:
    run: python generate.py --events {{events}} --seed {{seed}} --out muons.parquet
    outputs: [muons.parquet]
  propagate:
    inputs: [generate/muons.parquet]
    run: python propagate.py muons.parquet light.parquet
    outputs: [light.parquet]
  detect:
    inputs: [propagate/light.parquet]
    run: python detect.py light.parquet hits.parquet
    outputs: [hits.parquet]
"""


def recipe(name: str, jobs: int) -> str:
    """Return a recipe of three tasks in a row, `jobs` times."""
    return _CHAIN.format(name=name, jobs=jobs)
