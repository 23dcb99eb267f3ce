"""4,000 engines or pilots that each say once a minute that they live: what that takes of one core of the server.

Measured twice: signs of life alone, and with one task a minute each: a claim, a start and an end. Beside it what as many
requests cost that do nothing (`/healthz`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import cycle

from bench.installation import Connection, Installation, Part, installation
from bench.lives import CAPACITY, EngineClient
from bench.say import say

ENGINES, EVERY, SECONDS = 4000, 60.0, 20.0
RECIPE = "name: beats\njobs: 1000000\nneeds: {time: 1 min}\nlearn: off\ntasks:\n  a: {run: 'true'}\n"


def paced(step: Callable[[], object], seconds: float, rate: float) -> float:
    """Call a step so many times a second, however long it takes; returns the calls that were made a second."""
    begin, n = time.perf_counter(), 0
    while (now := time.perf_counter()) < begin + seconds:
        if now < begin + n / rate:
            time.sleep(begin + n / rate - now)
        step()
        n += 1
    return n / (time.perf_counter() - begin)


def share(running: Installation, loops: Part, step: Callable[[], object]) -> tuple[float, float]:
    """Return which part of a core the server and the loops take while a step is done at the pace of all engines."""
    rate = ENGINES / EVERY
    paced(step, 2, rate)
    before, begin = running.cpu() + loops.cpu(), time.perf_counter()
    reached = paced(step, SECONDS, rate)
    spent = (running.cpu() + loops.cpu() - before) / (time.perf_counter() - begin)
    return 100 * spent * rate / reached, reached


def beat(to: Connection, engines: Iterator[EngineClient]) -> None:
    """Give the next engine's sign of life."""
    engine = next(engines)
    to.post(f"{engine.base}/heartbeat", {"session": engine.session, "capacity": CAPACITY})


def main() -> None:
    """Measure on PostgreSQL."""
    with installation("postgresql") as running, running.serving("loops") as loops:
        to = running.connect()
        to.post(
            "/api/v1/datasets", {"text": RECIPE, "filename": "beats.yaml", "manifest": {"files": {}, "matches": {}}}
        )
        engines = [EngineClient(to, f"pilot-{number}") for number in range(ENGINES)]
        turn = cycle(engines)
        bare, _ = share(running, loops, lambda: to.get("/healthz"))
        alone, reached = share(running, loops, lambda: beat(to, turn))
        name = f"{ENGINES} engines that beat every {EVERY:.0f} s"
        say(name, alone, "% of a core", "< 20", bare, requests=reached)

        def minute() -> None:
            beat(to, turn)
            next(turn).live(1)

        working, reached = share(running, loops, minute)
        say(f"{name} and do a task a minute", working, "% of a core", "-", 4 * bare, requests=4 * reached)


if __name__ == "__main__":
    main()
