"""What becomes of simulated attempts: laws are what they say, and luck is the same whenever it is asked."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.core.work import Environment, Reason, Shape, TaskSpec
from nunatak.engines.fates import Habit, Law, LogNormal, Pareto, Place, Steps, fates_of
from nunatak.tasks.learning.sketch import EMPTY

SHAPE = Shape(memory=10**9, time=36_000)
HABIT = Habit(LogNormal(3600, 0.2), LogNormal(5e8))


def spec(job: int, attempt: int = 1, shape: Shape = SHAPE) -> TaskSpec:
    return TaskSpec(f"1/{job}/work#{attempt}", "a", (), Environment(), (), (), shape)


@given(
    st.sampled_from([LogNormal(10, 0.5), LogNormal(10), Pareto(5, 1.5), Steps([(1.0, 3), (2.0, 1), (50.0, 2)])]),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_laws_rise(law: Law, a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert 0 <= law.at(low) <= law.at(high) < math.inf


def test_steps_of_a_sketch_have_its_quantiles() -> None:
    values = [LogNormal(100, 0.8).at((n + 0.5) / 1000) for n in range(1000)]
    sketch = EMPTY.add(values)
    law = Steps(sketch.atoms())
    for share in (0.05, 0.5, 0.9, 0.99):
        assert law.at(share) == pytest.approx(sketch.quantile(share), rel=0.05)
    assert law.at(1.0) == pytest.approx(sketch.most, rel=0.02)


def test_another_try_of_a_task_is_as_long_and_as_large_wherever_it_is_made() -> None:
    one, other = (fates_of(Place((name,)), lambda _: HABIT, 7) for name in ("a", "b"))
    first, second = one(spec(3)), other(spec(3, attempt=2))
    assert (first.duration, first.memory) == (second.duration, second.memory)
    assert fates_of(Place(("a",)), lambda _: HABIT, 8)(spec(3)).duration != first.duration


def test_half_of_the_attempts_as_long_as_the_half_life_are_evicted() -> None:
    fate = fates_of(Place(half_life=3600.0), lambda _: replace(HABIT, duration=LogNormal(3600)), 1)
    found = [fate(spec(job)) for job in range(4000)]
    evicted = [item for item in found if item.reason is Reason.TERMINATED]
    assert len(evicted) / 4000 == pytest.approx(0.5, abs=0.03)
    assert all(item.duration < 3600 for item in evicted)


def test_what_asks_for_too_little_runs_out_of_it_every_time() -> None:
    fate = fates_of(Place(), lambda _: HABIT, 1)
    assert {fate(spec(1, n, replace(SHAPE, memory=4 * 10**8))).reason for n in range(1, 4)} == {Reason.MEMORY}
    short = fate(spec(1, 1, replace(SHAPE, time=60)))
    assert (short.reason, short.duration) == (Reason.TIME, 60.0)


def test_what_was_done_before_ends_at_once_whatever_the_place_does_to_others() -> None:
    place = Place(half_life=1.0, failure_rate=1.0, submit_delay=60.0)
    gone = fates_of(place, lambda _: replace(HABIT, over=True), 1)(spec(1))
    assert (gone.reason, gone.delay, gone.duration) == (Reason.OK, 0.0, 0.0)


def test_a_fast_place_takes_less_time() -> None:
    usual, fast = (fates_of(Place(("a", "b"), speed=speed), lambda _: HABIT, 1) for speed in (1.0, 2.0))
    assert fast(spec(1)).duration == pytest.approx(usual(spec(1)).duration / 2)
