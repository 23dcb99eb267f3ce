"""How long a campaign of 100,000 tasks takes in simulated time, and where the time goes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from bench.say import say
from nunatak.core.work import Shape
from nunatak.datasets.plan import CommandPlan, Plan, TaskPlan
from nunatak.engines.fates import Habit, LogNormal, Place
from nunatak.engines.simulated import SimulatedEngine
from nunatak.simulation.campaign import Campaign
from nunatak.simulation.house import House
from nunatak.simulation.resources import Resource
from nunatak.simulation.results import Observer, results

JOBS, CHAIN, SLOTS = 20_000, 5, 1000
PARTS: tuple[tuple[str, type, str], ...] = (
    ("claims", House, "claim"),
    ("reports", House, "report"),
    ("submits to engines", SimulatedEngine, "submit"),
    ("polls of engines", SimulatedEngine, "poll"),
)


def plan() -> Plan:
    """Return jobs of a chain of tasks."""
    names = [f"t{number}" for number in range(CHAIN)]
    shape = Shape(memory=10**9, time=7200).rounded()
    tasks = [
        TaskPlan(name, False, tuple(names[max(0, n - 1) : n]), (CommandPlan(("true",)),), shape=shape)
        for n, name in enumerate(names)
    ]
    return Plan("chain", JOBS, tuple(tasks))


def timed(spent: dict[str, float], name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that adds up its time."""

    def method(*given: Any) -> Any:
        begin = time.perf_counter()
        try:
            return call(*given)
        finally:
            spent[name] += time.perf_counter() - begin

    return method


def main() -> None:
    """Measure one whole campaign, and its parts a task."""
    spent: dict[str, float] = defaultdict(float)
    before = [(of, name, getattr(of, name)) for _, of, name in PARTS]
    for part, of, name in PARTS:
        setattr(of, name, timed(spent, part, getattr(of, name)))
    try:
        _measure(spent)
    finally:
        for of, name, method in before:
            setattr(of, name, method)


def _measure(spent: dict[str, float]) -> None:
    habit = Habit(LogNormal(1200, 0.4), LogNormal(3e8, 0.1))
    begin, processor = time.perf_counter(), time.process_time()
    with Campaign(lambda *_: habit) as campaign:
        observer = Observer(campaign)
        for number in range(2):
            hosts = tuple(f"{number}-{node}" for node in range(SLOTS // 16))
            slot = Shape(memory=4 * 10**9, disk=10**11, time=10**6)
            campaign.add(Resource(f"pool{number}", f"site{number}", SLOTS // 2, slot, Place(hosts)))
        campaign.submit(plan())
        campaign.run()
        found = results(campaign, observer)
        wall, cpu = time.perf_counter() - begin, time.process_time() - processor
    tasks = JOBS * CHAIN
    say(f"simulate {tasks:,} tasks", wall, "s", "< 30", cpu, steps=campaign.steps, hours=found.hours)
    for name, seconds in spent.items():
        say(f"simulate: {name}", 1e6 * seconds / tasks, "us a task", "-")
    say("simulate: the driver itself", 1e6 * (wall - sum(spent.values())) / tasks, "us a task", "-")


if __name__ == "__main__":
    main()
