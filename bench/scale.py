"""With 10 M finished tasks behind it: claims, reports, status and lists as fast as with 100,000, and what each task keeps.

Both databases are asked in turns, one request each, so that what else the machine does slows both.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import text

from bench.history import fill
from bench.installation import Connection, Installation, installation
from bench.lives import EngineClient, rate, submit
from bench.say import say

Spent = tuple[float, float]
"""Seconds by the clock, and of processor for the server and its database."""
Pairs = list[tuple[Spent, Spent]]
"""What a request took with a long history and with a short one."""

DATASETS, JOBS = 1000, 2000
FEW = 20
"""Jobs of each dataset of the small history: 100,000 tasks in as many datasets."""
ROUNDS, BATCH = 60, 500
PAGES = (
    "/api/v1/datasets/{big}",
    "/api/v1/datasets?limit=100",
    "/api/v1/datasets?state=done&limit=100",
    "/api/v1/datasets?name=history&limit=100",
    "/api/v1/datasets/{old}/tasks?limit=100",
    "/api/v1/datasets/{old}/jobs?limit=100",
    "/api/v1/status/{old}/17",
    "/api/v1/history/{old}/17",
    "/api/v1/files/{old}?limit=100",
    "/api/v1/errors/{big}",
    "/api/v1/why/{big}",
)


def percentile(values: list[float], share: float) -> float:
    """Return the value below which a share of them lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def pages(to: Connection, big: int, old: int, times: int = 100) -> tuple[float, str]:
    """Return the largest p99 over the pages, in milliseconds of the whole request, and which page it was."""
    worst = (0.0, "")
    for page in PAGES:
        path, spent = page.format(big=big, old=old), []
        for _ in range(times):
            begin = time.perf_counter()
            to.get(path)
            spent.append((time.perf_counter() - begin) * 1000)
        worst = max(worst, (percentile(spent, 0.99), page))
    return worst


def submission(to: Connection) -> float:
    """Return the median time of submitting 1,000,000 jobs of five tasks, in seconds."""
    spent = []
    for _ in range(3):
        begin = time.perf_counter()
        submit(to, 1_000_000)
        spent.append(time.perf_counter() - begin)
    return statistics.median(spent)


def rows(running: Installation) -> int:
    """Return how many rows there are in the tables that a submission touches."""
    names = (
        "recipes",
        "datasets",
        "revisions",
        "frontier",
        "task_counts",
        "job_counts",
        "jobs",
        "tasks",
        "events",
        "shapes",
    )
    with running.database.read() as tx:
        return sum(int(tx.execute(text(f"SELECT COUNT(*) FROM {name}")).scalar_one()) for name in names)


def verbs(running: Installation, big: int) -> dict[str, Callable[[], object]]:
    """Return what is asked for: a batch claimed, begun and ended, the status and the list of datasets."""
    to = running.connect()
    engine, held = EngineClient(to, "scale"), list[dict[str, Any]]()

    def claim() -> None:
        held[:] = engine.claim(BATCH)

    return {
        "claim": claim,
        "report of starts": lambda: engine.begin(held),
        "report of ends": lambda: engine.end(held),
        "status": lambda: to.get(f"/api/v1/datasets/{big}"),
        "list": lambda: to.get("/api/v1/datasets?limit=100"),
    }


def in_turns(one: tuple[Installation, int], other: tuple[Installation, int]) -> dict[str, Pairs]:
    """Return what each verb took on both, a request on each in turns."""
    both = [(running, verbs(running, big)) for running, big in (one, other)]
    spent: dict[str, Pairs] = {name: [] for name in both[0][1]}
    for turn in range(ROUNDS):
        for name, pairs in spent.items():
            took = {n: _spent(both[n][0], both[n][1][name]) for n in ((0, 1) if turn % 2 else (1, 0))}
            pairs.append((took[0], took[1]))
    return spent


def _spent(running: Installation, call: Callable[[], object]) -> Spent:
    before, begin = running.cpu() + running.database_cpu(), time.perf_counter()
    call()
    seconds = time.perf_counter() - begin
    return seconds, running.cpu() + running.database_cpu() - before


def kept(running: Installation, kind: str, what: str) -> None:
    """Say how many bytes of rows and indexes there are for each finished task."""
    sizes = {}
    with running.database.read() as tx:
        finished = int(tx.execute(text("SELECT SUM(done) FROM task_counts")).scalar_one())
        for name in ("tasks", "attempts"):
            for part, call in (("rows", "pg_table_size"), ("indexes", "pg_indexes_size")):
                sizes[f"{name}_{part}"] = int(tx.execute(text(f"SELECT {call}('{name}')")).scalar_one()) / finished
    say(f"bytes for each of {finished:,} {what}, {kind}", sum(sizes.values()), "bytes", "<= 600", **sizes)


def measure(running: Installation, fresh: Installation, kind: str, datasets: int) -> None:
    """Measure a database with a long history beside one with a short history."""
    to = running.connect()
    before = rows(running)
    submit(to, 1_000_000)
    say(f"rows of a submission of 1 M jobs x 5 tasks, {kind}", rows(running) - before, "rows", "<= 50")
    say(f"submission of 1 M jobs x 5 tasks, {kind}", submission(to), "s", "< 0.3")
    submit(fresh.connect(), 1_000_000)
    submission(fresh.connect())
    fill(running.database, datasets, JOBS)
    fill(fresh.database, datasets, FEW)
    for one in (running, fresh):
        one.analyze()
    tasks = datasets * JOBS * 5
    if kind == "postgresql":
        kept(running, kind, "tasks that were written at once")
    to = running.connect()  # the server does not keep idle connections for so long
    big, small = submit(to, 1_000_000), submit(fresh.connect(), 1_000_000)
    for one in (running, fresh):
        rate(one, 2, BATCH, 2)
    for name, pairs in in_turns((running, big), (fresh, small)).items():
        long, short = (1000 * statistics.median(pair[n][0] for pair in pairs) for n in (0, 1))
        of = statistics.median(pair[0][0] / pair[1][0] for pair in pairs)
        work, few_work = (1000 * statistics.mean(pair[n][1] for pair in pairs) for n in (0, 1))
        say(
            f"{name} with {tasks:,} finished tasks, against {datasets * FEW * 5:,}, {kind}",
            of,
            "ratio",
            "<= 1.1",
            ms=long,
            few_ms=short,
            processor=work / few_work,
            processor_ms=work,
        )
    to = running.connect()
    worst, page = pages(to, big, big - 1)
    bare = statistics.median(_timed(to, "/api/v1/whoami") for _ in range(100))
    say(f"slowest page, p99 of the whole request, {kind}", worst, "ms", "< 30", bare, page=page)
    if kind == "postgresql":
        lived(kind)


def lived(kind: str, seconds: float = 40.0) -> None:
    """Say what finished tasks keep that went through all their states, one update after the other."""
    with installation(kind) as running:
        submit(running.connect(), 1_000_000)
        rate(running, 2, BATCH, seconds)
        running.analyze()
        kept(running, kind, "tasks that went through all states")


def _timed(to: Connection, path: str) -> float:
    begin = time.perf_counter()
    to.get(path)
    return (time.perf_counter() - begin) * 1000


def main(kinds: tuple[str, ...] = ("postgresql", "sqlite"), datasets: int = DATASETS) -> None:
    """Measure both databases."""
    for kind in kinds:
        with installation(kind) as running, installation(kind) as fresh:
            measure(running, fresh, kind, datasets)


if __name__ == "__main__":
    main()
