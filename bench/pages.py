"""Every page with a history of years behind it: time and processor of the server, and bytes as sent.

10,000,000 finished tasks in 1,000 datasets with 100,000 kinds of errors, and one dataset of 1,000,000 jobs of three tasks,
some of which failed and some of which run. `NUNATAK_BENCH_SHARE=0.1` makes all of that a tenth as large.

A machine that is shared stops whoever works for some milliseconds now and then, and the longer one works the likelier that
is: a request that does nothing does not show it. So in turns with each page the bench counts for as long as the page takes
of the processor, and says what p99 of that is (`counting`): no page can be told to be better by the clock.
"""

from __future__ import annotations

import gzip
import os
import re
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench import seeded
from bench.history import fill
from bench.installation import Connection, Installation, installation
from bench.lives import EngineClient
from bench.say import say
from bench.scale import percentile
from nunatak.loops.garbage import search_seldom
from nunatak.web.assets import assets

SHARE = float(os.environ.get("NUNATAK_BENCH_SHARE", "1"))
DATASETS, JOBS, ERRORS, LARGE, LOG = 1000, 2000, 100, int(1_000_000 * SHARE), int(500_000_000 * SHARE)
OPEN = 50
"""Datasets that run beside the large one."""
TIMES, LEAST, SECONDS, TRIED = 200, 30, 12.0, 20
"""Requests for each page; fewer, but so many, where they take longer than `SECONDS`. Before them some `TRIED` ones."""
PAGES = {
    "my work": "/datasets",
    "everybody's work": "/datasets?owner=*",
    "work by need": "/datasets?owner=*&sort=needs",
    "work by name": "/datasets?owner=*&sort=name&q=hist",
    "work, done": "/datasets?owner=*&state=done",
    "new": "/new",
    "new, a clone": "/new?like={big}",
    "dataset": "/datasets/{big}",
    "dataset that is done": "/datasets/{old}",
    "matrix, a tenth": "/datasets/{big}?from={tenth}&to={fifth}",
    "matrix, what runs": "/datasets/{big}?from={runs}",
    "matrix, jobs": "/datasets/{big}?from=1000&to=1100",
    "matrix, a table": "/datasets/{big}?as=table",
    "tasks": "/datasets/{big}/tasks",
    "tasks, failed": "/datasets/{big}/tasks?state=failed",
    "tasks, failed ones of one name": "/datasets/{big}/tasks?state=failed&task=detect",
    "tasks, failed or held, from the middle": "/datasets/{big}/tasks?state=failed,held&from={middle}",
    "tasks, running": "/datasets/{big}/tasks?state=running",
    "tasks, ready": "/datasets/{big}/tasks?state=ready",
    "tasks, done ones of one name": "/datasets/{big}/tasks?state=done&task=detect",
    "dataset errors": "/datasets/{big}/errors",
    "dataset errors, of years": "/datasets/{old}/errors",
    "asked and used": "/datasets/{big}/use",
    "graph": "/datasets/{big}/graph",
    "recipe": "/datasets/{big}/recipe",
    "files": "/datasets/{big}/files",
    "files, from the middle": "/datasets/{big}/files?after={middle}.0",
    "history": "/datasets/{big}/history",
    "job": "/datasets/{big}/13",
    "task that failed": "/datasets/{big}/13/propagate",
    "task that runs": "/datasets/{big}/{last}/generate",
    "task nobody touched": "/datasets/{big}/{none}/generate",
    "attempt": "/datasets/{big}/13/propagate/1",
    "log, small": "/datasets/{big}/113/propagate/2/log",
    "log of 500 MB": "/datasets/{big}/13/propagate/2/log",
    "log of 500 MB, its middle": "/datasets/{big}/13/propagate/2/log?stream=stdout&at={half}",
    "log of 500 MB, a line": "/datasets/{big}/13/propagate/2/log?stream=stdout&line=1000000",
    "log of 500 MB that grows": "/datasets/{big}/{last}/generate/1/log",
    "errors": "/errors",
    "errors, one signature": "/errors?signature=F000000021",
    "errors, one site": "/errors?site=site7",
    "errors, one owner and kind": "/errors?owner=bench&kind=out-of-memory",
    "sites": "/sites",
    "nodes": "/sites?all=1",
    "usage by user": "/usage",
    "usage by dataset": "/usage?by=dataset",
    "usage by site": "/usage?by=site",
    "why": "/why",
    "why, a dataset": "/why?address={big}",
    "why, a task": "/why?address={big}/{ready}/propagate",
    "what if": "/what-if",
    "what if, a dataset": "/what-if?dataset={big}",
    "profile": "/profile",
    "about": "/about",
}
STATIC = re.compile(rb'(?:src|href)="/static/([^"]+)"')


@dataclass(frozen=True, slots=True)
class Place:
    """An installation with all that pages show, and the numbers that stand for names in `PAGES`."""

    running: Installation
    names: dict[str, int]

    def path(self, page: str) -> str:
        """Return the path of a page."""
        return PAGES[page].format(**self.names)


@contextmanager
def place() -> Iterator[Place]:
    """Fill an installation; engines are alive for an hour."""
    with installation("postgresql", NUNATAK_LEASE="3600", NUNATAK_LOG_LIMIT="1 GB", NUNATAK_PROBE="0") as running:
        old = int(DATASETS * SHARE)
        fill(running.database, old, JOBS)
        seeded.errors(running, old, ERRORS)
        seeded.engines(running.connect())
        seeded.nodes(running)
        big = seeded.large(running, LARGE)
        touched = LARGE * 9 // 10
        busy = touched // seeded.BUSY
        names = {
            "big": big, "old": old, "last": touched - 1, "none": LARGE - 1, "runs": touched - 3 * busy,
            "ready": touched - 2 * busy, "middle": touched // 2, "half": LOG // 2, "tenth": LARGE // 10, "fifth": LARGE // 5,
        }  # fmt: skip
        seeded.log(running, f"{big}/13/propagate#2", LOG, ended=True)
        seeded.log(running, f"{big}/{names['last']}/generate#1", LOG, ended=False)
        seeded.log(running, f"{big}/113/propagate#2", 20_000, ended=True)
        running.analyze()
        others(running.connect())
        yield Place(running, names)


def others(to: Connection) -> None:
    """Submit datasets that run beside the large one, and let some of the tasks of all end."""
    for number in range(OPEN):
        seeded.submit(to, f"season {number}", 10_000)
    engine = EngineClient(to, "pool")
    for _ in range(6):
        engine.live(1000)
    engine.begin(engine.claim(1000))


def measure(running: Installation, path: str, bare: float, pace: float) -> dict[str, float]:
    """Return times in milliseconds of a page and, in turns with it, of a request that does nothing and of as much counting.

    `bare` is what nothing takes of the processor, `pace` how far one counts in a millisecond.
    """
    to = running.connect()
    spent, nothing, counting = list[float](), list[float](), list[float]()
    to.page(path)
    before = running.cpu() + running.database_cpu()
    for _ in range(TRIED):
        to.page(path)
    far = round(pace * 1000 * (running.cpu() + running.database_cpu() - before) / TRIED)
    cpu, database, begin = running.cpu(), running.database_cpu(), time.perf_counter()
    while len(spent) < TIMES and (len(spent) < LEAST or time.perf_counter() < begin + SECONDS):
        spent.append(timed(lambda: to.page(path)))
        nothing.append(timed(lambda: to.page("/healthz")))
        counting.append(timed(lambda: count(far)))
    n = len(spent)
    return {
        "p99": percentile(spent, 0.99),
        "counting": percentile(counting, 0.99),
        "median": statistics.median(spent),
        "cpu": 1000 * (running.cpu() - cpu) / n - bare,
        "database_cpu": 1000 * (running.database_cpu() - database) / n,
        "bare": percentile(nothing, 0.99),
        "n": n,
    }


def count(far: int) -> None:
    """Count down: work of nothing but a processor."""
    while far > 0:
        far -= 1


def pace_of_counting() -> float:
    """Return how far one counts in a millisecond, as it usually is here and now."""
    return 20_000 / statistics.median(timed(lambda: count(20_000)) for _ in range(200))


def timed(call: Callable[[], object]) -> float:
    """Return the milliseconds that something takes."""
    begin = time.perf_counter()
    call()
    return (time.perf_counter() - begin) * 1000


def nothing(running: Installation, times: int = 1000) -> float:
    """Return what a request that does nothing takes of the server's processor, in milliseconds."""
    to, before = running.connect(), running.cpu()
    for _ in range(times):
        to.page("/healthz")
    return 1000 * (running.cpu() - before) / times


def weight(to: Connection, path: str) -> tuple[int, int]:
    """Return the bytes of a page as sent, and of it with all the files it needs."""
    sent = to.page(path)
    whole = gzip.decompress(sent) if sent[:2] == b"\x1f\x8b" else sent
    packed = {asset.name: len(asset.packed) for asset in assets().values()}
    return len(sent), len(sent) + sum(packed[name.decode()] for name in set(STATIC.findall(whole)))


def main() -> None:
    """Measure on PostgreSQL."""
    with place() as found:
        running = found.running
        search_seldom()  # garbage of this process is none of the server's
        bare, pace = nothing(running), pace_of_counting()
        with running.database.read() as tx:
            tasks = int(tx.exec_driver_sql("SELECT SUM(done + failed + running) FROM task_counts").scalar_one())
        heaviest, first = (0, ""), (0, "")
        for page in PAGES:
            path = found.path(page)
            spent = measure(running, path, bare, pace)
            limit = spent.pop("bare")
            sent, whole = weight(running.connect(), path)
            say(f"page: {page}, p99 with {tasks:,} tasks", spent.pop("p99"), "ms", "< 50", limit, sent=sent, **spent)
            heaviest, first = max(heaviest, (sent, page)), max(first, (whole, page))
        say("heaviest page, with its files", first[0] / 1000, "kB", "< 250", page=first[1])
        say("heaviest page after the first", heaviest[0] / 1000, "kB", "< 40", page=heaviest[1])


if __name__ == "__main__":
    main()
