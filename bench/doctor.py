"""`nunatak doctor` over 10 M finished tasks, beside one sequential look at the rows that it has to see."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import psycopg
from sqlalchemy import text

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


def spent(running: Installation, call: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that a call takes by the clock, and of processor: the database's, and of processes that it starts."""
    begin, cpu = time.perf_counter(), _processor(running)
    call()
    return time.perf_counter() - begin, _processor(running) - cpu


def _processor(running: Installation) -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return running.database_cpu() + used.ru_utime + used.ru_stime


def doctor(running: Installation) -> dict[str, object]:
    """Run the command in a process of its own, and return what it found."""
    data = running.place / "data"
    data.mkdir(mode=0o700, exist_ok=True)
    given = {**os.environ, "NUNATAK_DATA": str(data), "NUNATAK_DATABASE": running.url}
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


def told(running: Installation, what: str, tasks: int, call: Callable[[], object]) -> None:
    """Say what a look costs a task, beside the sequential look at the same tables."""
    limits = [spent(running, lambda: scan(running))]
    seconds, processor = spent(running, call)
    limits.append(spent(running, lambda: scan(running)))
    rows, (bare, bare_processor) = running_tasks(running), min(limits)
    limit = 1e6 * bare_processor / rows
    name = f"doctor, processor a task of {tasks:,} in {what}"
    say(name, 1e6 * processor / tasks, "us", "<= 20", limit, seconds=seconds, scan_seconds=bare)


def running_tasks(running: Installation) -> int:
    """Return how many tasks there are."""
    with running.database.read() as tx:
        return int(tx.execute(text("SELECT SUM(done) FROM task_counts")).scalar_one())


def main(datasets: int = DATASETS, large: int = LARGE) -> None:
    """Measure a history of many datasets, then one large dataset more."""
    with installation("postgresql") as running:
        fill(running.database, datasets, JOBS)
        running.analyze()
        told(running, f"{datasets:,} datasets", 5 * datasets * JOBS, lambda: doctor(running))
        fill(running.database, 1, large)
        running.analyze()
        told(running, "one dataset", 5 * large, lambda: one(running, datasets + 1))


if __name__ == "__main__":
    main()
