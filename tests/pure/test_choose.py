"""Which tasks an engine gets: nothing idles, nobody gets more than wanted, equal inputs give equal answers."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from nunatak.core.work import Shape
from nunatak.tasks.choose import Demand, choose, fair_places

SHAPES = {1: Shape(cpu=1), 2: Shape(cpu=4), 3: Shape(gpu=1)}
OFFER = Shape(cpu=8, gpu=0, memory=10**12, disk=10**12, time=10**6)
DEMANDS = st.lists(
    st.builds(
        Demand,
        dataset=st.integers(1, 5),
        task=st.integers(0, 3),
        shape=st.integers(0, 3),
        ready=st.integers(0, 50),
        priority=st.sampled_from([0.5, 1.0, 3.0]),
    ),
    max_size=12,
    unique_by=lambda item: (item.dataset, item.task, item.shape),
)
WANTED = st.dictionaries(st.integers(1, 8), st.integers(1, 100), max_size=8)


@given(DEMANDS, st.integers(0, 200))
def test_no_place_stays_empty_while_a_fitting_task_is_ready(demand: list[Demand], limit: int) -> None:
    fitting = sum(item.ready for item in demand if item.shape != 3)
    assert sum(item.n for item in choose(demand, SHAPES, OFFER, limit)) == min(limit, fitting)


@given(DEMANDS, st.integers(0, 200))
def test_nobody_gets_more_than_is_ready_nor_what_does_not_fit(demand: list[Demand], limit: int) -> None:
    ready: Counter[tuple[int, int]] = Counter()
    for item in demand:
        ready[item.dataset, item.shape] += item.ready
    for allotment in choose(demand, SHAPES, OFFER, limit):
        assert allotment.shape != 3
        assert 0 < allotment.n <= ready[allotment.dataset, allotment.shape]


@given(DEMANDS, st.integers(0, 200), st.randoms(use_true_random=False))
def test_the_order_of_the_demand_does_not_matter(demand: list[Demand], limit: int, random) -> None:
    shuffled = list(demand)
    random.shuffle(shuffled)
    assert choose(demand, SHAPES, OFFER, limit) == choose(shuffled, SHAPES, OFFER, limit)


def test_later_tasks_of_the_graph_come_first() -> None:
    demand = [Demand(1, 0, 1, 100), Demand(1, 4, 2, 3)]
    assert [(item.shape, item.n) for item in choose(demand, SHAPES, OFFER, 10)] == [(2, 3), (1, 7)]


@given(WANTED, st.integers(0, 500))
def test_equal_weights_get_equal_places_up_to_what_they_want(wanted: dict[int, int], limit: int) -> None:
    places = fair_places(wanted, dict.fromkeys(wanted, 1.0), limit)
    got = [places.get(dataset, 0) for dataset in wanted]
    hungry = [n for dataset, n in zip(wanted, got, strict=True) if n < wanted[dataset]]
    assert sum(got) == min(limit, sum(wanted.values()))
    if hungry:
        assert max(hungry) - min(hungry) <= 1
        assert all(n <= max(hungry) + 1 for n in got)


def test_places_follow_the_weights() -> None:
    assert fair_places({1: 1000, 2: 1000}, {1: 3.0, 2: 1.0}, 400) == {1: 300, 2: 100}
