"""With 10 M finished tasks in 1,000 datasets behind it: the same rates, and status and lists within their budget."""

from __future__ import annotations

import statistics
import time

from bench.history import fill
from bench.installation import Connection, Installation, installation
from bench.lives import rate, submit
from bench.say import say

DATASETS, JOBS = 1000, 2000
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
    from sqlalchemy import text

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


def side_by_side(one: Installation, other: Installation, times: int = 5) -> tuple[float, float]:
    """Return the median rates of two installations, measured in turns, as the machine's own speed comes and goes."""
    pairs = [(rate(one, 2, 500, 3), rate(other, 2, 500, 3)) for _ in range(times)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def measure(running: Installation, fresh: Installation, kind: str, datasets: int) -> None:
    """Measure a database with its history beside a fresh one."""
    to = running.connect()
    before = rows(running)
    submit(to, 1_000_000)
    say(f"rows of a submission of 1 M jobs x 5 tasks, {kind}", rows(running) - before, "rows", "<= 50")
    say(f"submission of 1 M jobs x 5 tasks, {kind}", submission(to), "s", "< 0.3")
    fill(running.database, datasets, JOBS)
    running.analyze()
    to = running.connect()  # the server does not keep idle connections for so long
    big = submit(to, 1_000_000)
    submit(fresh.connect(), 1_000_000)
    full, empty = side_by_side(running, fresh)
    tasks = datasets * JOBS * 5
    say(f"lives with {tasks:,} finished tasks, against none, {kind}", full / empty, "ratio", ">= 0.9", rate=full)
    worst, page = pages(to, big, big - 1)
    bare = statistics.median(_timed(to, "/api/v1/whoami") for _ in range(100))
    say(f"slowest page, p99 of the whole request, {kind}", worst, "ms", "< 30", bare, page=page)


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
