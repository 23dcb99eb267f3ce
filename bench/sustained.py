"""Whole lives through the engine path: real engine hosts with simulated pools, over HTTP, logs and series included.

The limit beside the rate is what the same database does in the same run with five row writes a life and nothing else.
What each process spends of a life is told too: the rate of a machine that has nothing else to do follows from it.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack

from bench.installation import Connection, Installation, Part, installation
from bench.limits import floor
from bench.lives import submit
from bench.say import say

HOSTS, CORES, SECONDS = 3, 6_000, 2
WARM, MEASURED = 20.0, 30.0


def options(cores: int, seconds: float, **more: object) -> list[str]:
    """Return the options of a simulated engine with so many cores, whose attempts take so many seconds."""
    chosen: dict[str, object] = {
        "cpu": cores,
        "memory": "400 TB",
        "disk": "900 TB",
        "duration": seconds,
        "spread": 0.3,
        "queue": cores // 2,
        "quiet": "true",
        **more,
    }
    return [word for name, value in chosen.items() for word in ("--option", f"{name}={value}")]


def done(to: Connection, dataset: int) -> int:
    """Return how many tasks of a dataset are done."""
    return int(to.get(f"/api/v1/datasets/{dataset}")["tasks"]["done"])


def costs(running: Installation, loops: Part, hosts: list[Part]) -> dict[str, float]:
    """Return the CPU seconds so far of all that works."""
    engines = sum(part.cpu() for part in hosts)
    return {"server": running.cpu(), "loops": loops.cpu(), "engines": engines, "database": running.database_cpu()}


def main() -> None:
    """Measure on PostgreSQL."""
    with installation("postgresql") as running, ExitStack() as stack:
        to = running.connect()
        dataset = submit(to, 1_000_000)
        loops = stack.enter_context(running.serving("loops"))
        parts = [
            stack.enter_context(
                running.serving("engine", f"pool{n}", "--kind", "simulated", *options(CORES, SECONDS, seed=n))
            )
            for n in range(HOSTS)
        ]
        time.sleep(WARM)
        before, spent, begin = done(to, dataset), costs(running, loops, parts), time.perf_counter()
        time.sleep(MEASURED)
        lives, seconds = done(to, dataset) - before, time.perf_counter() - begin
        each = {name: (cpu - spent[name]) / lives * 1e6 for name, cpu in costs(running, loops, parts).items()}
        limit = floor(running.url, 20_000, 500)
        say(
            "lives through the engine path, postgresql",
            lives / seconds,
            "tasks/s",
            ">= 4000",
            limit,
            microseconds=each,
            alone=(os.cpu_count() or 1) * 1e6 / sum(each.values()),
        )


if __name__ == "__main__":
    main()
