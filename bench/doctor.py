"""`nunatak doctor` over 10 M finished tasks, beside one sequential look at the rows that it has to see."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import psycopg

from bench.history import fill
from bench.installation import Installation, installation
from bench.say import say
from nunatak.tasks import invariants
from nunatak.tasks.context import Contexts

DATASETS, JOBS = 1000, 2000
LARGE = 200_000
"""Jobs of one dataset that is large by itself: a million tasks."""
COUNT = "SELECT COUNT(*) FROM tasks WHERE since >= 0; SELECT COUNT(*) FROM attempts WHERE ended >= 0"
SCAN = f"SET max_parallel_workers_per_gather = 0; SET enable_indexscan = off; SET enable_bitmapscan = off; {COUNT}"
"""A look at a column of every row, by one process, as PostgreSQL would not do otherwise."""


def timed(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def doctor(running: Installation) -> dict[str, object]:
    """Run the command in a process of its own, and return what it found."""
    given = {**os.environ, "NUNATAK_DATA": str(running.place / "data"), "NUNATAK_DATABASE": running.url}
    words = [sys.executable, "-m", "nunatak.cli", "doctor", "--json"]
    done = subprocess.run(words, env=given, capture_output=True, text=True, check=False)
    found: dict[str, object] = json.loads(done.stdout)
    if not found["sound"]:
        raise RuntimeError(f"what was filled in is not sound: {done.stdout[:2000]}")
    return found


def scan(running: Installation) -> None:
    """Look at every row of tasks and attempts, one after the other."""
    with psycopg.connect(running.url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(SCAN.encode())


def one(running: Installation, dataset: int) -> None:
    """Look at one dataset as the doctor does. Raises `RuntimeError` for what is wrong."""
    with running.database.read() as tx:
        faults = invariants.check(tx, Contexts(), [dataset])
    if faults:
        raise RuntimeError(f"what was filled in is not sound: {faults[:5]}")


def main(datasets: int = DATASETS, large: int = LARGE) -> None:
    """Measure a history of many datasets, then one large dataset more."""
    with installation("postgresql", NUNATAK_LONG_STATEMENT_TIMEOUT="3600") as running:
        fill(running.database, datasets, JOBS)
        running.analyze()
        limit = timed(lambda: scan(running))
        cpu = running.database_cpu()
        spent = timed(lambda: doctor(running))
        cpu = running.database_cpu() - cpu
        limit = min(limit, timed(lambda: scan(running)))
        name = f"doctor over {5 * datasets * JOBS:,} finished tasks in {datasets:,} datasets"
        say(name, spent, "s", "< 10 times the limit", limit, database_cpu=cpu, ratio=spent / limit)
        fill(running.database, 1, large)
        running.analyze()
        spent = timed(lambda: one(running, datasets + 1))
        say(f"doctor over one dataset of {5 * large:,} tasks", spent, "s", "seconds", limit)


if __name__ == "__main__":
    main()
