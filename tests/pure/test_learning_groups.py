"""Short tasks in a row: as many as fill the target, fewer towards the end, alone while nothing is known."""

from __future__ import annotations

import heapq
import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from nunatak.core.work import Grouping, Shape
from nunatak.tasks.learning.groups import Size, group_size, group_time, groups, most_of
from nunatak.tasks.learning.sketch import EMPTY, Sketch

SHAPE = Shape(time=60).rounded()
SECONDS = EMPTY.add([1.0] * 500)
TOOK = st.lists(st.floats(0.01, 5000.0), min_size=1, max_size=80).map(EMPTY.add)
SHAPES = st.builds(
    Shape, cpu=st.integers(1, 8), memory=st.integers(1, 10**10), disk=st.integers(1, 10**10), time=st.integers(1, 10**5)
)


def test_nothing_is_grouped_while_nothing_is_known_and_little_while_little_is() -> None:
    assert group_size(EMPTY, SHAPE, 10_000, 8) == Size(1, 0, "alone: none has finished yet")
    assert group_size(EMPTY.add([1.0]), SHAPE, 10_000, 8).n == 4


def test_short_tasks_fill_the_target_and_long_ones_go_alone() -> None:
    size = group_size(EMPTY.add([60.0] * 100), Shape(time=300), 10_000, 8)
    assert size.n == 29
    assert size.why == "29 in a row: one takes 1 min, aiming at 30 min"
    assert 1800 <= size.time <= 2000
    assert group_size(EMPTY.add([3600.0] * 100), SHAPE, 10_000, 8) == Size(1, 0, "alone: one takes 1 h")


def test_towards_the_end_groups_become_shorter_so_that_all_slots_are_busy() -> None:
    sizes = [group_size(SECONDS, SHAPE, ready, 8).n for ready in (10_000, 1600, 160, 16, 1)]
    assert sizes == [200, 100, 10, 1, 1]


@given(TOOK, st.integers(1, 10**6), st.integers(1, 10**4), st.floats(60, 1e5))
def test_a_group_keeps_to_target_share_and_longest_time(took: Sketch, ready: int, slots: int, longest: float) -> None:
    rule = Grouping(longest=longest)
    size = group_size(took, SHAPE, ready, slots, rule)
    assert 1 <= size.n <= rule.most
    assert (size.n - 1) * 2 * slots < ready or size.n == 1
    assert size.n == 1 or size.n * took.mean() <= rule.target
    assert size.n == 1 or SHAPE.time <= size.time <= longest


@given(TOOK, st.integers(1, 10**6), st.integers(1, 1000))
def test_fewer_left_never_means_larger_groups(took: Sketch, ready: int, slots: int) -> None:
    assert group_size(took, SHAPE, max(1, ready // 2), slots).n <= group_size(took, SHAPE, ready, slots).n


def test_the_time_asked_for_is_enough_for_the_sum_even_with_heavy_tails() -> None:
    rng = random.Random(5)
    for draw in (lambda: rng.expovariate(0.1), lambda: 3 * rng.paretovariate(1.6), lambda: rng.lognormvariate(2, 1)):
        took = EMPTY.add([draw() for _ in range(5000)])
        for n in (2, 10, 50):
            asked = group_time(took, Shape(time=10), n, Grouping(overhead=0.0))
            enough = sum(sum(draw() for _ in range(n)) <= asked for _ in range(1000))
            assert enough >= 930


KEYED = st.lists(st.tuples(st.tuples(st.integers(1, 2), st.integers(0, 1)), st.integers(), SHAPES), max_size=60)


@given(KEYED, st.dictionaries(st.tuples(st.integers(1, 2), st.integers(0, 1)), st.integers(1, 12)))
def test_every_task_is_in_one_group_with_its_like_and_asks_for_the_most_not_the_sum(tasks, limits) -> None:
    made = groups(
        [(key, (key, place), shape) for place, (key, _, shape) in enumerate(tasks)],
        {key: Size(n, 700, "") for key, n in limits.items()},
    )
    members = [member for group in made for member in group.members]
    assert sorted(members) == sorted((key, place) for place, (key, _, _) in enumerate(tasks))
    for group in made:
        (key,) = {key for key, _ in group.members}
        assert len(group.members) <= limits.get(key, 1)
        shapes = [tasks[place][2] for _, place in group.members]
        assert group.shape.cpu == max(shape.cpu for shape in shapes)
        assert max(s.memory for s in shapes) <= group.shape.memory < max(s.memory for s in shapes) + 64_000_000
        assert group.shape.time >= max(shape.time for shape in shapes)


def test_the_last_groups_are_evened_out_and_all_ask_for_the_same() -> None:
    made = groups([((1, 0), job, SHAPE) for job in range(21)], {(1, 0): Size(10, 700, "")})
    assert [len(group.members) for group in made] == [7, 7, 7]
    assert {group.shape for group in made} == {replace(SHAPE, time=720)}
    assert made[0].members == (0, 1, 2, 3, 4, 5, 6)


def test_one_shape_stays_as_it_is_and_several_become_the_largest() -> None:
    assert most_of([SHAPE, SHAPE]) is SHAPE
    mixed = most_of([Shape(cpu=1, memory=5 * 10**9, features=("b",)), Shape(cpu=4, features=("a",))])
    assert (mixed.cpu, mixed.memory, mixed.features) == (4, 5_056_000_000, ("a", "b"))


def test_guided_groups_end_almost_as_soon_as_single_tasks_would() -> None:
    rng = random.Random(1)
    times = [rng.lognormvariate(0, 0.8) for _ in range(3000)]
    took, slots, cost = EMPTY.add(times[:200]), 8, 2.0
    free, left, at = [0.0] * slots, list(times), 0.0
    while left:
        n = group_size(took, SHAPE, len(left), slots).n
        at = heapq.heappop(free)
        heapq.heappush(free, at + cost + sum(left[:n]))
        del left[:n]
    ideal = sum(times) / slots
    assert max(free) < 1.15 * ideal
    assert (sum(times) + cost * len(times)) / slots > 2 * ideal  # one by one
