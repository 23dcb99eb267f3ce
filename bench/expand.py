"""How many attempts a second one core expands, beside what building the same values without any template takes.

Prints one JSON line: `python bench/expand.py [COUNT]`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

from nunatak.core.work import Command, Environment, Input, Output, TaskSpec
from nunatak.datasets.expand import expand
from nunatak.datasets.program import Recorded
from nunatak.datasets.recipe import Manifest, compile_recipe
from nunatak.datasets.template import Scope, compile_template

RECIPE = """\
name: atmospheric muons
jobs: 1000000
parameters: {events: 5000, seed: "{dataset}{job:06d}"}
tasks:
  generate:
    run: python generate.py --events {events} --seed {seed} --out muons.parquet
    outputs: [muons.parquet]
    needs: {cpu: 1, memory: 1 GB, disk: 1 GB, time: 10 min}
  propagate:
    after: generate
    inputs: [generate/muons.parquet]
    run: python propagate.py muons.parquet light.parquet
    outputs:
      - light.parquet -> {store}/{dataset}/{job:06d}.parquet
    needs: {memory: 2 GB, time: 1 h}
"""


def rate(call: Callable[[int], object], count: int) -> float:
    """Return calls a second of processor time."""
    start = time.process_time()
    for job in range(count):
        call(job)
    return count / (time.process_time() - start)


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    start = time.perf_counter()
    plan = compile_recipe(RECIPE, filename="muons.yaml", manifest=Manifest())
    compiled = time.perf_counter() - start
    made = [Recorded("generate", 1, "muons.parquet", "file:///store/1", 1, "0" * 64)]
    template = compile_template("{store}/{dataset}/{job:06d}.parquet")

    def task(number: int) -> Callable[[int], TaskSpec]:
        return lambda job: expand(
            plan,
            dataset=1,
            job=job,
            task=number,
            attempt=1,
            lease="f",
            store="file:///s",
            blobs="file:///b",
            recorded=made,
        )

    def bare(job: int) -> TaskSpec:
        command = Command(("python", "propagate.py", "muons.parquet", "light.parquet"))
        read, written = (
            Input("muons.parquet", "file:///store/1"),
            Output("light.parquet", f"file:///s/1/{job:06d}.parquet"),
        )
        shape = plan.tasks[1].shape
        assert shape is not None
        return TaskSpec(f"1/{job}/propagate#1", "f", (command,), Environment(), (read,), (written,), shape)

    task(0)(0)
    figures = {
        "templates_per_s": rate(
            lambda job: template.render(Scope({"job": job, "dataset": 1, "store": "s"}, {})), count
        ),
        "first_task_per_s": rate(task(0), count),
        "second_task_per_s": rate(task(1), count),
        "limit_per_s": rate(bare, count),
        "compile_ms": compiled * 1000,
    }
    print(json.dumps({"bench": "expand", **{key: round(value, 1) for key, value in figures.items()}}))


if __name__ == "__main__":
    main()
