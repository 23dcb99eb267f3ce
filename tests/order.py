"""The order of tests: those that wait for real processes begin first, so that in the end none is waited for alone."""

from __future__ import annotations

from collections import defaultdict

import pytest

FIRST = (
    "test_short_tasks.py",
    "test_slurm_faults.py",
    "test_htcondor_faults.py",
    "test_campaigns_eta.py",
    "test_postgres_faults.py",
    "test_engines_slurm.py",
    "test_engines_slurm_newer.py",
    "test_engines_htcondor.py",
)
"""Files that take longest, by their waiting."""


def ordered(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Return tests as contiguous shares for `workers`, as xdist gives them out: each begins with its part of the stories.

    Tests of a file stay together and in their order: they share what they set up.
    """
    files: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        files[str(item.path)].append(item)
    stories = sorted((path for path in files if _rank(path) <= len(FIRST)), key=_rank)
    rest = [item for path, found in files.items() if path not in stories for item in found]
    shares = [[item for path in stories[worker::workers] for item in files[path]] for worker in range(workers)]
    for worker, share in enumerate(shares):
        most = len(items) * (worker + 1) // workers - len(items) * worker // workers
        more = max(0, most - len(share))
        share += rest[:more]
        del rest[:more]
    return [item for share in shares for item in share] + rest


def _rank(path: str) -> int:
    name = path.rpartition("/")[2]
    if name in FIRST:
        return FIRST.index(name)
    return len(FIRST) if "/story/" in path else len(FIRST) + 1
