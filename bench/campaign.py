"""An hour of a campaign, sixty times as fast: 50,000 tasks running and 1,000,000 idle in 100 datasets, all over HTTP.

Server, loops and engine hosts are the real processes; only the pools are simulated, with tasks of about an hour that take
a minute. Nothing may fall behind meanwhile: places stay in use, reports arrive, news of nodes are looked at.
"""

from __future__ import annotations

import statistics
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle

import psycopg

from bench.installation import Connection, Installation, Part, installation
from bench.say import say
from bench.scale import percentile
from bench.sustained import options

DATASETS, JOBS, HOSTS, CORES = 100, 5_500, 4, 12_500
HOUR, RAMP = 60.0, 300.0
RECIPE = """
name: campaign {number}
jobs: {jobs}
needs: {{cpu: 1, memory: 1 GB, disk: 1 GB, time: 10 min}}
tasks:
  a: {{run: 'true'}}
  b: {{run: 'true', after: a}}
"""
PAGES = (
    "/api/v1/datasets?limit=100",
    "/api/v1/datasets/{one}",
    "/api/v1/datasets/{one}/tasks?state=running&limit=100",
    "/api/v1/status/{one}/17",
    "/api/v1/errors/{one}",
    "/api/v1/why/{one}",
    "/api/v1/engines",
)
NOW = "SELECT (SELECT SUM(running) FROM task_counts), (SELECT COUNT(*) FROM health_news), (SELECT COUNT(*) FROM stops)"
BEHIND = (
    "SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY t.since - a.ended), COUNT(*) FROM attempts a JOIN tasks t"
    " USING (dataset, job, task) WHERE t.state = 'done' AND a.attempt = t.attempt AND a.ended BETWEEN %s AND %s"
)


@dataclass
class Seen:
    """What was seen during the hour: counts once a second, and the milliseconds of pages and of requests that do nothing."""

    running: list[int] = field(default_factory=list)
    news: list[int] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    pages: dict[str, list[float]] = field(default_factory=lambda: {page: [] for page in PAGES})
    bare: list[float] = field(default_factory=list)


def submit(to: Connection) -> int:
    """Submit all datasets; returns the number of one of them."""
    for number in range(DATASETS):
        text = RECIPE.format(number=number, jobs=JOBS)
        answer = to.post(
            "/api/v1/datasets", {"text": text, "filename": "c.yaml", "manifest": {"files": {}, "matches": {}}}
        )
    return int(answer["dataset"])


def look(running: Installation, one: int, seen: Seen, stop: threading.Event) -> None:
    """Ask for pages ten times a second until told to stop."""
    to, pages = running.connect(), cycle(PAGES)
    while not stop.wait(0.05):
        page = next(pages)
        for path, spent in (("/healthz", seen.bare), (page, seen.pages[page])):
            begin = time.perf_counter()
            to.get(path.format(one=one))
            spent.append((time.perf_counter() - begin) * 1000)


def count(running: Installation, parts: list[Part], seen: Seen, until: float) -> None:
    """Count once a second."""
    with psycopg.connect(running.url.replace("+psycopg", ""), autocommit=True) as database:
        while time.time() < until:
            row = database.execute(NOW).fetchone() or (0, 0, 0)
            seen.running.append(int(row[0]))
            seen.news.append(int(row[1]))
            seen.memory.append(sum(part.memory() for part in (running.server, *parts)))
            time.sleep(1.0)


def behind(running: Installation, first: float, last: float) -> tuple[float, int]:
    """Return by how many seconds reports of ends were late, 95 of 100 at most, and how many there were."""
    with psycopg.connect(running.url.replace("+psycopg", ""), autocommit=True) as database:
        row = database.execute(BEHIND, (first, last)).fetchone() or (0.0, 0)
        return float(row[0] or 0.0), int(row[1])


def ramp(running: Installation) -> None:
    """Wait until all places are in use, or the counts do not grow any more."""
    deadline = time.monotonic() + RAMP
    with psycopg.connect(running.url.replace("+psycopg", ""), autocommit=True) as database:
        while time.monotonic() < deadline:
            row = database.execute(NOW).fetchone()
            if row and row[0] >= 0.99 * HOSTS * CORES:
                return
            time.sleep(1.0)


def main() -> None:
    """Measure on PostgreSQL."""
    with installation("postgresql", NUNATAK_PROBE="0") as running, ExitStack() as stack:
        one = submit(running.connect())
        parts = [stack.enter_context(running.serving("loops"))]
        for n in range(HOSTS):
            words = options(CORES, 60, seed=n, spread=0.5, queue=1000, target=0)
            parts.append(stack.enter_context(running.serving("engine", f"pool{n}", "--kind", "simulated", *words)))
        ramp(running)
        seen, stop = Seen(), threading.Event()
        looking = threading.Thread(target=look, args=(running, one, seen, stop))
        looking.start()
        begin, cpu, spent = time.time(), running.cpu(), running.database_cpu()
        count(running, parts, seen, begin + HOUR)
        end = time.time()
        shares = {
            "server": (running.cpu() - cpu) / (end - begin),
            "database": (running.database_cpu() - spent) / (end - begin),
        }
        stop.set()
        looking.join()
        tell(running, seen, begin, end, shares)


def tell(running: Installation, seen: Seen, begin: float, end: float, shares: dict[str, float]) -> None:
    """Print the figures."""
    middle, places = (begin + end) / 2, HOSTS * CORES
    (early, _), (late, ended) = behind(running, begin, middle), behind(running, middle, end)
    rate = 2 * ended / (end - begin)
    name = f"campaign of {places:,} running and {DATASETS * JOBS * 2:,} tasks in {DATASETS} datasets, 60 times as fast"
    say(f"{name}: places in use at the least", 100 * min(seen.running) / places, "%", ">= 95", cores=shares, rate=rate)
    say(f"{name}: reports of ends behind, p95 of its second half", late, "s", f"<= {early + 1:.3g}", early)
    say(f"{name}: reports about nodes not looked at, most", max(seen.news), "rows", "< 1000")
    bare, spent = percentile(seen.bare, 0.99), [spent for page in PAGES for spent in seen.pages[page]]
    each = {page: [round(percentile(seen.pages[page], part), 1) for part in (0.5, 0.95, 1.0)] for page in PAGES}
    say(f"{name}: pages, p99", percentile(spent, 0.99), "ms", "< 50", bare, n=len(spent), median_p95_most=each)
    say(f"{name}: pages, median", statistics.median(spent), "ms", "-", statistics.median(seen.bare))
    say(f"{name}: memory of all but the database", max(seen.memory), "MB", "< 1200")


if __name__ == "__main__":
    main()
