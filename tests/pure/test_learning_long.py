"""What evictions cost long tasks, told in words, and into how many jobs they might be divided."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.tasks.learning.long import WASTE, Place, divide, expected, pieces, too_long
from nunatak.tasks.learning.sketch import EMPTY

HOUR = 3600.0
POOL = Place("pool-a", 4 * HOUR)


def simulated(rng: random.Random, work: float, half_life: float, again: float) -> float:
    spent, mean = 0.0, half_life / math.log(2)
    while True:
        life = rng.expovariate(1 / mean)
        if life >= work:
            return spent + work
        spent += life
        while True:  # starting again may be evicted too
            life = rng.expovariate(1 / mean)
            spent += min(life, again)
            if life >= again:
                break


@pytest.mark.parametrize(("work", "half_life", "again"), [(1.0, 1.0, 0.2), (3.0, 2.0, 0.5), (0.5, 5.0, 0.1)])
def test_the_expected_time_is_what_a_simulation_finds(work: float, half_life: float, again: float) -> None:
    rng = random.Random(3)
    mean = sum(simulated(rng, work, half_life, again) for _ in range(20_000)) / 20_000
    assert expected(work, half_life, again=again) == pytest.approx(mean, rel=0.04)
    parts = sum(simulated(rng, work / 4, half_life, again) for _ in range(40_000)) / 10_000
    assert expected(work, half_life, again=again, interval=work / 4) == pytest.approx(parts, rel=0.04)


@given(st.floats(1, 1e6), st.floats(60, 1e6), st.floats(0, 600), st.floats(0.01, 1))
def test_a_checkpoint_never_costs_time_and_a_finer_one_less(
    work: float, half_life: float, again: float, part: float
) -> None:
    never = expected(work, half_life, again=again)
    some = expected(work, half_life, again=again, interval=part * work)
    kept = expected(work, half_life, again=again, interval=0.0)
    assert work <= kept <= some * (1 + 1e-9) <= never * (1 + 1e-6)
    assert expected(work, math.inf) == work


def test_before_anything_ran_the_time_asked_for_is_warned_of() -> None:
    found = too_long("propagate", EMPTY, 12 * HOUR, POOL)
    assert found is not None
    assert found.text == (
        "propagate asks for 12 h, but half of the attempts on pool-a are evicted within 4 h; begun anew each time it needs "
        "about 1 d 16 h, with a checkpoint about 12 h 4 min; yours: declare a checkpoint file, or a splittable parameter"
    )


def test_measured_times_count_once_there_are_some_and_short_tasks_are_not_warned_of() -> None:
    assert too_long("propagate", EMPTY.add([HOUR] * 57), 12 * HOUR, POOL) is None
    found = too_long("propagate", EMPTY.add([10 * HOUR] * 57), HOUR, POOL, splittable=("events", 5000))
    assert found is not None
    assert "propagate takes 10 h (p90 of 57 attempts)" in found.text
    assert found.text.endswith("yours: divide it into 5 jobs with events 1000 instead of one with 5000")


def test_with_a_checkpoint_it_only_tells_how_long() -> None:
    found = too_long("propagate", EMPTY, 12 * HOUR, POOL, checkpoint=True)
    assert found is not None
    assert found.text.endswith("resuming from its checkpoint it needs about 12 h 4 min")


def test_what_will_not_finish_is_said_plainly() -> None:
    found = too_long("propagate", EMPTY, 24 * HOUR, Place("pool-a", HOUR))
    assert found is not None
    assert "begun anew each time it will not finish" in found.text


def test_a_place_that_lets_nothing_run_so_long_is_said_too() -> None:
    found = too_long("propagate", EMPTY, 48 * HOUR, Place("short", math.inf, 24 * HOUR), splittable=("events", 9))
    assert found is not None
    assert "but short lets nothing run longer than 1 d" in found.text
    assert found.split is not None
    assert found.split.jobs == 3


@given(st.integers(1, 10**6), st.floats(1, 1e7), st.floats(600, 1e6))
def test_the_pieces_make_up_the_whole_and_waste_little(whole: int, takes: float, half_life: float) -> None:
    split = divide("events", whole, takes, Place("pool", half_life))
    if split is None:
        return
    parts = pieces(split)
    assert sum(parts) == whole
    assert len(parts) == split.jobs >= 2
    assert set(parts) == {split.low, split.high}
    assert split.low >= 1
    each = takes / split.jobs
    if split.jobs < whole and each > 1800:
        assert expected(each, half_life, again=0.0) <= each * (1 + WASTE) * 1.001


def test_a_few_more_jobs_are_taken_if_they_divide_evenly() -> None:
    split = divide("events", 5000, 12 * HOUR, POOL)
    assert split is not None
    assert (split.jobs, split.low, split.high) == (8, 625, 625)
    assert split.text == "8 jobs with events 625 instead of one with 5000"
    assert divide("events", 1, 12 * HOUR, POOL) is None
    assert divide("events", 5000, HOUR, POOL) is None
