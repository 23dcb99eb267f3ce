"""What stories on simulated engines start from: plans, pools, and the checker at the end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from nunatak.core.work import Shape
from nunatak.datasets.plan import Plan, Retry
from nunatak.engines.fates import Habit, Law, LogNormal, Place
from nunatak.simulation.campaign import Campaign
from nunatak.simulation.resources import Resource
from nunatak.simulation.results import Observer
from nunatak.tasks import invariants
from tests.contract.world import task

SLOT = Shape(cpu=1, memory=4 * 10**9, disk=10**11, time=10**7)
ASKED = Shape(memory=2 * 10**9, time=200_000).rounded()
MEMORY = LogNormal(5e8, 0.1)


def line(jobs: int, *names: str, shape: Shape = ASKED, name: str = "line", tries: int = 3) -> Plan:
    """Tasks one after the other, in each job."""
    more = {"shape": shape, "retry": Retry(tries=tries)}
    return Plan(name, jobs, tuple(task(one, *names[max(0, n - 1) : n], **more) for n, one in enumerate(names)))


def pool(slots: int, place: Place | None = None, name: str = "pool") -> Resource:
    """Equal slots on nodes of eight."""
    hosts = tuple(f"{name}-{n}" for n in range(max(2, slots // 8)))
    return Resource(name, "here", slots, SLOT, place or Place(hosts))


@contextmanager
def campaign(laws: Mapping[str, Law], *, seed: int = 0, grain: int = 100) -> Iterator[tuple[Campaign, Observer]]:
    """A campaign in which tasks take what the laws say, by their names; its books must agree in the end."""
    habits = {name: Habit(law, MEMORY) for name, law in laws.items()}
    with Campaign(lambda dataset, job, name: habits[name], seed=seed, grain=grain) as made:
        yield made, Observer(made)
        with made.house.database.read() as tx:
            assert invariants.check(tx, made.house.contexts) == []


def mean_of(law: Law) -> float:
    """Return the mean of a law, by its quantiles."""
    steps = 20_000
    return math.fsum(law.at((n + 0.5) / steps) for n in range(steps)) / steps
