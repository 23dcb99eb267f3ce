"""How much processor time deciding takes: who stands where among 5,000 datasets, and what each of 50 engines gets of it."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable

from bench.say import say
from nunatak.core.work import Shape
from nunatak.tasks.sharing.fits import Fits, Offer
from nunatak.tasks.sharing.match import match
from nunatak.tasks.sharing.model import Demand, Member, Policy
from nunatak.tasks.sharing.positions import positions
from nunatak.tasks.sharing.queue import Memory
from nunatak.tasks.sharing.share import share
from nunatak.tasks.sharing.turn import Turn
from nunatak.tasks.sharing.usage import Amount, Decay, Spent

DATASETS, SHAPES, ENGINES, PLACES = 5_000, 200, 50, 500
NOW = 1_800_000_000.0


def timed(call: Callable[[], object], times: int) -> float:
    """Return the median seconds of processor time of a call."""
    spans = []
    for _ in range(times):
        begin = time.process_time()
        call()
        spans.append(time.process_time() - begin)
    return statistics.median(spans)


def world() -> tuple[list[Demand], list[Member], list[Spent], dict[int, Shape], list[Offer]]:
    """Make 20 groups of 10 users with 5,000 datasets of 3 tasks each, 200 shapes, and 50 engines in 25 kinds."""
    draw = random.Random(1)
    shapes = {
        n: Shape(
            draw.choice((1, 1, 1, 2, 4, 8)), draw.choice((0, 0, 0, 1)), n * 10**8, 10**9 * draw.randint(1, 50),
            600 * draw.randint(1, 100), draw.choice(("", "linux/x86_64")), draw.choice(((), ("cvmfs",), ("avx2",))),
        )
        for n in range(1, SHAPES + 1)
    }  # fmt: skip
    members, demand, spent = [], [], []
    for dataset in range(1, DATASETS + 1):
        group = f"group{dataset % 20}"
        user = f"{group}-user{draw.randrange(10)}"
        members.append(Member(dataset, group, user, draw.choice((1.0, 1.0, 2.0)), NOW - draw.randrange(10_000)))
        spent.append(Spent(dataset, group, user, Decay().entry(Amount(draw.random() * 1000, draw.random()), NOW - 1e5)))
        for task in range(3):
            queued, running = draw.choice(((0, 0), (0, 5), (3, 4)))
            demand.append(Demand(dataset, task, draw.randint(1, SHAPES), draw.randint(1, 400), queued, running, 0.5))
    offers = [
        Offer(
            Shape(8 << n % 4, n % 3, 10**9 * (4 + n % 25), 10**12, 86_400, "linux/x86_64", ("cvmfs", "avx2")[: n % 3]),
            f"site{n % 10}", frozenset(), f"engine{n}",
        )
        for n in range(ENGINES)
    ]  # fmt: skip
    return demand, members, spent, shapes, offers


def main() -> None:
    """Measure a whole decision, its parts, single claims, and the explanation of one shape."""
    demand, members, spent, shapes, offers = world()
    decay, policy = Decay(), Policy(groups={f"group{n}": 1.0 + n % 3 for n in range(20)})
    used = decay.totals(spent, NOW, 20.0)
    what = f"{DATASETS} datasets x {SHAPES} shapes x {ENGINES} engines"
    limit = timed(lambda: [row.ready + row.queued for row in demand], 9)
    every = [(offer, PLACES) for offer in offers]
    fits, memory = Fits(), Memory()
    cold = timed(lambda: share(demand, members, used, policy, every, shapes, NOW), 1)
    say("first decision of a process: " + what, cold, "s", "-", limit)
    warm = timed(lambda: share(demand, members, used, policy, every, shapes, NOW, memory=memory, fits=fits), 9)
    say("decision: " + what, warm, "s", "< 0.1", limit)
    say("positions of 5000 datasets", timed(lambda: positions(demand, members, used, policy, NOW), 9), "s", "-", limit)
    say("use of 5000 datasets", timed(lambda: decay.totals(spent, NOW, 20.0), 9), "s", "-", limit)
    turn = Turn(positions(demand, members, used, policy, NOW), shapes, fits, memory)
    for places in (1, 16, 500):
        turn.select(offers[7], places)
        say(f"claim of {places}", timed(lambda: turn.select(offers[7], places), 200), "s", "< 0.0005")  # noqa: B023
    wanted = Shape(cpu=1, memory=10**12)
    say("why no engine takes a shape", timed(lambda: match(wanted, offers), 50), "s", "< 0.01")


if __name__ == "__main__":
    main()
