"""A worker to which a second is long: what it tells only of long attempts is seen in a test."""

from __future__ import annotations

from pathlib import Path

from nunatak.worker.build import unpack

FASTER = {
    "course.py": {"SHORTEST = 60.0": "SHORTEST = 0.5", "_FIRST = 2.0": "_FIRST = 0.1"},
    "attempt.py": {"_LONG = 60.0": "_LONG = 0.5"},
}
COURSE = {"step": 2.0, "memory": [1_000_000, 90_000_000, 200_000_000], "cpu": [0.5, 1.0, 0.25]}
"""What a worker may have told so far of an attempt."""


def impatient(directory: Path) -> Path:
    """Return a worker that tells what was used over time of attempts of half a second, in steps of a tenth.

    After those it measures the node, too.
    """
    home = unpack(directory)
    for name, changes in FASTER.items():
        source = home / "nunatak_worker" / name
        text = source.read_text()
        for slow, fast in changes.items():
            assert text.count(slow) == 1
            text = text.replace(slow, fast)
        source.write_text(text)
    return home
