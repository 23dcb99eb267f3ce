"""Whole lives of tasks over HTTP: materialized, claimed, running, done with usage, children ready.

The limit beside each rate is what the same database does in the same run with five row writes a life and nothing else:
no HTTP, no decisions, no counts.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.installation import Connection, Installation, installation
from bench.limits import floor
from bench.say import say

RECIPE = """
name: lives
jobs: {jobs}
tasks:
  a: {{run: 'true'}}
  b: {{run: 'true', after: a}}
  c: {{run: 'true', after: b}}
  d: {{run: 'true', after: c}}
  e: {{run: 'true', after: d}}
"""
BIG = {"cpu": 64, "gpu": 0, "memory": 10**12, "disk": 10**13, "time": 10**7, "platform": "linux/x86_64", "features": []}
CAPACITY = {"total": BIG, "free": BIG, "queue": 1000}
USAGE = {"wall": 2.0, "cpu": 1.5, "memory": 10**8, "disk": 10**6, "gpu": None}


def submit(to: Connection, jobs: int) -> int:
    """Submit five tasks in a row, `jobs` times."""
    text = RECIPE.format(jobs=jobs)
    body = {"text": text, "filename": "lives.yaml", "manifest": {"files": {}, "matches": {}}}
    return int(to.post("/api/v1/datasets", body)["dataset"])


class EngineClient:
    """An engine that runs nothing: everything it claims is at once running and then done."""

    def __init__(self, to: Connection, name: str) -> None:
        """Register."""
        self.to, self.base, self.session = to, f"/api/v1/engines/{name}", name
        to.post(f"{self.base}/register", {"kind": "bench", "site": "here", "session": name, "capacity": CAPACITY})

    def claim(self, limit: int) -> list[dict[str, Any]]:
        """Claim tasks."""
        body = {"session": self.session, "offer": BIG, "limit": limit}
        return list(self.to.post(f"{self.base}/claim", body)["tasks"])

    def begin(self, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Report tasks running."""
        now = time.time()
        started = [{**_key(task), "at": now, "host": "node1"} for task in tasks]
        self.to.post(f"{self.base}/report", {"session": self.session, "started": started})

    def end(self, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Report tasks done."""
        ended = [{**_key(task), "reason": "ok", "host": "node1", "usage": USAGE} for task in tasks]
        self.to.post(f"{self.base}/report", {"session": self.session, "ended": ended})

    def live(self, limit: int) -> int:
        """Claim up to `limit` tasks, report them running and then done; returns how many."""
        tasks = self.claim(limit)
        if tasks:
            self.begin(tasks)
            self.end(tasks)
        return len(tasks)


def _key(task: Mapping[str, Any]) -> dict[str, Any]:
    return {"address": task["address"], "lease": task["lease"]}


def rate(running: Installation, clients: int, batch: int, seconds: float) -> float:
    """Return lives a second of `clients` at once, `batch` tasks a request."""
    done = [0] * clients
    engines = [EngineClient(running.connect(), f"bench-{number}") for number in range(clients)]
    stop = time.perf_counter() + seconds

    def work(number: int) -> None:
        while time.perf_counter() < stop:
            done[number] += engines[number].live(batch)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - begin)


def median(measure: Callable[[], float], times: int = 3) -> float:
    """Return the median of several measurements."""
    return statistics.median(measure() for _ in range(times))


def main() -> None:
    """Measure batches on both databases and single requests on PostgreSQL."""
    for kind, must in (("postgresql", ">= 8000"), ("sqlite", ">= 5000")):
        with installation(kind) as running:
            submit(running.connect(), 1_000_000)
            rate(running, 2, 500, 2)
            cpu = running.cpu()
            begin = time.perf_counter()
            value = median(lambda: rate(running, 2, 500, 5))
            share = (running.cpu() - cpu) / (time.perf_counter() - begin)
            limit = floor(running.url, 20_000, 500)
            say(f"lives over HTTP, batches of 500, {kind}", value, "tasks/s", must, limit, server_cores=share)
            if kind == "postgresql":
                value = median(lambda: rate(running, 16, 1, 5))
                say("lives over HTTP, one a request, 16 clients, postgresql", value, "tasks/s", ">= 700")


if __name__ == "__main__":
    main()
