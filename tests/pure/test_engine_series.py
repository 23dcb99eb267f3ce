"""Series in the simulated engine: grouping pays, and an eviction in the middle loses one attempt."""

from __future__ import annotations

from nunatak.core.clock import ManualClock
from nunatak.core.work import Command, Environment, Outcome, Reason, Series, Shape, TaskSpec
from nunatak.engines.behaviour import Behaviour
from nunatak.engines.protocol import What
from nunatak.engines.simulated import SimulatedEngine
from nunatak.engines.world import World

SHAPE = Shape(memory=1, disk=1, time=600)
TOTAL = Shape(cpu=4, memory=100, disk=100, time=10**6)


def specs(n: int, prefix: str = "1") -> tuple[TaskSpec, ...]:
    make = Environment()
    return tuple(TaskSpec(f"{prefix}/{job}/a#1", "a1", (Command(("true",)),), make, (), (), SHAPE) for job in range(n))


def run(items: list[TaskSpec | Series], behaviour: Behaviour) -> tuple[float, list[Outcome], SimulatedEngine]:
    """Run to the end in steps of a second; return how long it took, the outcomes, and the engine."""
    clock = ManualClock()
    begin = clock()
    engine = SimulatedEngine(clock=clock, world=World(TOTAL, seed=3, behaviour=behaviour))
    engine.submit(items)
    number = len(engine.adopt())
    while sum(c.what is What.ENDED for c in engine.poll("").changes) < number:
        clock.advance(1.0)
    changes = engine.poll("").changes
    return clock() - begin, [c.outcome for c in changes if c.outcome], engine


def test_what_is_paid_for_a_place_is_paid_once_for_a_series() -> None:
    behaviour = Behaviour(duration=1.0, overhead=20.0)
    alone, _, _ = run([*specs(40)], behaviour)
    members = specs(40)
    grouped, outcomes, engine = run([Series(members[n::4], SHAPE) for n in range(4)], behaviour)
    assert alone == 10 * 21.0
    assert grouped == 20.0 + 10 * 1.0
    assert {outcome.reason for outcome in outcomes} == {Reason.OK}
    assert engine.capacity().free == TOTAL


def test_an_eviction_keeps_what_is_finished_and_leaves_the_rest_unbegun() -> None:
    items: list[TaskSpec | Series] = [Series(specs(20, str(n)), SHAPE) for n in range(1, 30)]
    _, outcomes, engine = run(items, Behaviour(duration=10.0, eviction_rate=0.05))
    by_series: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_series.setdefault(outcome.address.split("/")[0], []).append(outcome)
    evicted = 0
    for found in by_series.values():
        reasons = [outcome.reason for outcome in sorted(found, key=lambda o: int(o.address.split("/")[1]))]
        done = reasons.count(Reason.OK)
        if done < 20:
            evicted += 1
            assert reasons == [Reason.OK] * done + [Reason.TERMINATED] + [Reason.UNBEGUN] * (19 - done)
    assert 5 < evicted < 29
    assert all(outcome.usage.wall is None for outcome in outcomes if outcome.reason is Reason.UNBEGUN)
    assert engine.capacity().free == TOTAL


def test_a_member_is_cancelled_while_its_place_is_made_ready() -> None:
    clock = ManualClock()
    engine = SimulatedEngine(clock=clock, world=World(TOTAL, behaviour=Behaviour(duration=1.0, overhead=5.0)))
    first = engine.submit([Series(specs(2), SHAPE)])
    clock.advance(1.0)
    engine.cancel(first[:1])
    assert engine.capacity().free.cpu == 3
    engine.cancel(first[1:])
    assert engine.capacity().free == TOTAL
    clock.advance(10.0)
    assert [c.what for c in engine.poll("").changes] == [What.ENDED, What.ENDED]
