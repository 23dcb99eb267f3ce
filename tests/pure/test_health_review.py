"""Stories of pools: black holes are drained, bugs of users drain nobody, and nobody drains the last node."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nunatak.tasks.health.board import Board, nodes_board
from nunatak.tasks.health.drain import OUT, Health, Standing, undrain_by_hand
from nunatak.tasks.health.events import Cause, Event, Node
from nunatak.tasks.health.review import Review, excluded, review

NOW = 1_800_000_000.0
HOLE = Node("siteA", "hole")
GOOD = [Node(f"site{'AB'[number % 2]}", f"node{number}") for number in range(50)]
EXEC = "exec format error"
half = lambda: 0.5  # noqa: E731


class Pool:
    """A board with its standings, looked at after every event."""

    def __init__(self, nodes: list[Node], board: Board[Node] | None = None) -> None:
        self.board = board or nodes_board(NOW)
        self.standings: dict[Node, Standing] = {}
        self.now = NOW
        self.tell(*[(node, Event((0, 0), Cause.BEGUN, NOW)) for node in nodes])

    def tell(self, *news: tuple[Node, Event]) -> Review[Node]:
        seen = review(self.board, self.standings, news, self.now, half)
        self.standings.update(seen.changed)
        return seen

    def end(self, node: Node, cause: Cause, dataset: int = 1, began: float | None = None) -> Review[Node]:
        self.now += 1
        at = self.now - 1 if began is None else began
        return self.tell((node, Event((dataset, 0), cause, self.now, at, EXEC, 1.0, node.name)))

    def health(self, node: Node) -> Health:
        return self.standings.get(node, Standing()).health

    @property
    def drained(self) -> list[Node]:
        return [node for node, standing in self.standings.items() if standing.health is Health.DRAINED]

    @property
    def gets_work(self) -> list[Node]:
        return [node for node in [HOLE, *GOOD] if self.health(node) not in OUT]


def lost(pool: Pool, order: Iterator[Node], most: int = 400) -> int:
    """Run tasks in an order of nodes until the black hole is drained; returns how many it swallowed."""
    swallowed = 0
    for _, node in zip(range(most), order, strict=False):
        if pool.health(node) in OUT:
            continue
        pool.end(node, Cause.NODE if node is HOLE else Cause.OK)
        swallowed += node is HOLE
    return swallowed


@given(st.data(), st.sampled_from([0.02, 0.5, 0.9, 0.99]))
@settings(max_examples=20, deadline=None)
def test_a_black_hole_swallows_at_most_five_tasks_in_any_order(data: st.DataObject, share: float) -> None:
    draw = random.Random(data.draw(st.integers(0, 10**6)))
    pool = Pool([HOLE, *GOOD])
    order = (HOLE if draw.random() < share else draw.choice(GOOD) for _ in range(400))
    swallowed = lost(pool, order)
    assert swallowed <= 5
    assert not [node for node in pool.standings if node is not HOLE]
    if swallowed == 5:
        lost(pool, iter(GOOD * 2))
        assert pool.drained == [HOLE]


def test_a_black_hole_that_is_first_gets_no_more_work_and_is_drained_when_others_did_well() -> None:
    pool = Pool([HOLE, *GOOD])
    assert lost(pool, iter([HOLE] * 50)) == 4
    assert pool.health(HOLE) is Health.SUSPECT
    lost(pool, iter(GOOD))
    assert pool.drained == [HOLE]
    assert pool.standings[HOLE].finding.bad == pytest.approx(4, abs=0.1)


def test_a_black_hole_whose_disk_filled_after_a_thousand_successes_swallows_five() -> None:
    pool = Pool([HOLE, *GOOD])
    for node in [HOLE] * 1000 + GOOD:
        pool.end(node, Cause.OK)
    assert lost(pool, iter([HOLE] * 50)) <= 5
    assert pool.drained == [HOLE]


def test_a_black_hole_is_found_while_a_bug_of_another_dataset_fails_everywhere() -> None:
    pool, draw = Pool([HOLE, *GOOD]), random.Random(3)
    swallowed = 0
    for _ in range(600):
        node, dataset = draw.choice([HOLE, *GOOD]), draw.choice([1, 2])
        if pool.health(node) in OUT:
            continue
        swallowed += node is HOLE and dataset == 1
        pool.end(node, Cause.NODE if node is HOLE or dataset == 2 else Cause.OK, dataset)
    assert pool.drained == [HOLE]
    assert swallowed <= 5


def test_several_black_holes_are_all_drained() -> None:
    holes = [Node("siteA", f"hole{number}") for number in range(5)]
    pool, draw = Pool([*holes, *GOOD]), random.Random(4)
    for _ in range(1500):
        node = draw.choice(holes * 5 + GOOD)
        if pool.health(node) not in OUT:
            pool.end(node, Cause.NODE if node in holes else Cause.OK)
    assert sorted(pool.drained) == holes


def test_a_node_of_which_a_quarter_is_broken_is_drained_in_the_end() -> None:
    pool, draw = Pool([HOLE, *GOOD]), random.Random(5)
    for _ in range(3000):
        node = draw.choice([HOLE, *GOOD])
        if pool.health(node) not in OUT:
            pool.end(node, Cause.NODE if node is HOLE and draw.random() < 0.25 else Cause.OK)
    assert pool.drained == [HOLE]


@given(st.integers(0, 10**6), st.sampled_from([3, 5, 51]), st.floats(0, 0.95))
@settings(max_examples=20, deadline=None)
def test_a_pool_where_every_node_fails_drains_nobody(seed: int, size: int, skew: float) -> None:
    draw = random.Random(seed)
    nodes = [HOLE, *GOOD][:size]
    pool = Pool(nodes)
    for _ in range(300):
        node = nodes[0] if draw.random() < skew else draw.choice(nodes)
        if pool.health(node) not in OUT:
            pool.end(node, Cause.NODE)
        assert not pool.drained
    assert sum(pool.health(node) in OUT for node in nodes) <= 1


@given(st.integers(0, 10**6), st.floats(0, 0.95))
@settings(max_examples=15, deadline=None)
def test_a_bug_of_one_dataset_among_good_ones_drains_nobody(seed: int, skew: float) -> None:
    draw = random.Random(seed)
    nodes = [HOLE, *GOOD]
    pool = Pool(nodes)
    for _ in range(100):
        pool.end(draw.choice(nodes), Cause.OK, draw.choice([1, 2]))
    for _ in range(300):
        node, dataset = HOLE if draw.random() < skew else draw.choice(nodes), draw.choice([1, 2, 3])
        if pool.health(node) not in OUT:
            pool.end(node, Cause.NODE if dataset == 3 else Cause.OK, dataset)
        assert not pool.drained


def test_a_node_that_was_suspected_goes_on_as_soon_as_another_fails_the_same_way() -> None:
    pool = Pool([HOLE, *GOOD])
    lost(pool, iter([HOLE] * 10))
    assert pool.health(HOLE) is Health.SUSPECT
    pool.end(GOOD[0], Cause.NODE)
    assert pool.health(HOLE) is Health.FINE


@pytest.mark.parametrize("cause", [Cause.USER, Cause.DATA, Cause.FREE, Cause.SITE, Cause.OURS])
def test_failures_that_are_not_the_nodes_drain_nobody(cause: Cause) -> None:
    pool = Pool([HOLE, *GOOD])
    for node in GOOD * 2:
        pool.end(node, Cause.OK)
        pool.end(HOLE, cause)
    assert not pool.standings


def test_tasks_that_went_well_elsewhere_later_count_against_the_node_they_failed_on() -> None:
    pool = Pool([HOLE, *GOOD])
    for node in GOOD:
        pool.end(HOLE, Cause.USER)
        pool.end(node, Cause.OK)
        pool.end(HOLE, Cause.ELSEWHERE)
        if pool.health(HOLE) in OUT:
            break
    assert pool.standings[HOLE].finding.bad <= 5.1


@pytest.mark.parametrize("causes", [[Cause.NODE], [Cause.NODE, Cause.OK], [Cause.ELSEWHERE]])
def test_a_laptop_is_never_drained(causes: list[Cause]) -> None:
    pool = Pool([HOLE])
    for number in range(300):
        pool.end(HOLE, causes[number % len(causes)], number // 100)
        assert not pool.standings


def test_of_two_nodes_the_bad_one_goes_and_the_last_one_stays() -> None:
    pool = Pool([HOLE, GOOD[0]])
    for _ in range(50):
        pool.end(GOOD[0], Cause.OK)
        if pool.health(HOLE) not in OUT:
            pool.end(HOLE, Cause.NODE)
    assert pool.drained == [HOLE]
    for _ in range(50):
        pool.end(GOOD[0], Cause.NODE)
    assert pool.drained == [HOLE]


def test_two_nodes_that_both_fail_both_stay() -> None:
    pool = Pool([HOLE, GOOD[0]])
    for number in range(100):
        pool.end([HOLE, GOOD[0]][number > 40], Cause.NODE)
        assert not pool.standings


def test_no_more_than_a_third_is_drained_without_a_person_and_the_rest_is_named() -> None:
    nodes = GOOD[:10]
    pool = Pool(nodes)
    for _ in range(20):
        for node in nodes[5:]:
            pool.end(node, Cause.OK)
    spared: set[Node] = set()
    for _ in range(60):
        for node in nodes[:5]:
            if pool.health(node) not in OUT:
                spared |= set(pool.end(node, Cause.NODE).spared)
    assert len(pool.drained) == 3
    assert spared >= set(nodes[:5]) - set(pool.drained)


def drained_pool() -> Pool:
    pool = Pool([HOLE, *GOOD])
    lost(pool, iter([*GOOD, *[HOLE] * 5]))
    assert pool.drained == [HOLE]
    return pool


def test_a_drained_node_is_probed_and_forgiven_on_success() -> None:
    pool = drained_pool()
    assert excluded(pool.standings) == ([HOLE], [])
    pool.now = pool.standings[HOLE].until
    pool.tell()
    assert excluded(pool.standings) == ([], [HOLE])
    pool.end(HOLE, Cause.NODE, began=NOW)  # begun before it was drained: no probe
    pool.end(HOLE, Cause.USER)
    assert pool.health(HOLE) is Health.PROBING
    pool.end(HOLE, Cause.OK)
    assert pool.health(HOLE) is Health.FINE
    for _ in range(2):
        pool.end(HOLE, Cause.NODE)
    assert pool.health(HOLE) is Health.FINE  # what it did before is not held against it


def test_a_node_that_fails_its_probes_waits_longer_and_longer() -> None:
    pool, waits = drained_pool(), []
    for _ in range(12):
        standing = pool.standings[HOLE]
        waits.append(standing.until - standing.since)
        pool.now = standing.until
        pool.tell()
        pool.end(HOLE, Cause.NODE)
        assert pool.health(HOLE) is Health.DRAINED
    assert waits == sorted(waits)
    assert waits[0] == 600
    assert waits[3] == 4800
    assert waits[-1] == 86400


def test_what_a_drained_node_still_had_to_end_changes_nothing() -> None:
    pool = drained_pool()
    before = dict(pool.standings)
    for cause in (Cause.NODE, Cause.OK, Cause.ELSEWHERE):
        pool.end(HOLE, cause)
    assert pool.standings == before


def test_a_node_undrained_by_hand_is_left_alone_and_judged_by_what_it_does_later() -> None:
    pool = drained_pool()
    pool.standings[HOLE] = undrain_by_hand(pool.standings[HOLE], "ada", pool.now)
    pool.board.forgive(HOLE)
    for _ in range(20):
        pool.end(HOLE, Cause.NODE)
        assert pool.health(HOLE) is Health.FINE
    pool.now += 3600
    pool.tell()
    pool.end(HOLE, Cause.NODE)
    assert pool.health(HOLE) in (Health.FINE, Health.DRAINED)
    lost(pool, iter([*GOOD, *[HOLE] * 5]))
    assert pool.drained == [HOLE]


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(list(Cause)), st.integers(1, 3)), max_size=60))
@settings(deadline=None)
def test_equal_news_give_equal_decisions(items: list[tuple[int, Cause, int]]) -> None:
    def play() -> dict[Node, Standing]:
        pool = Pool(GOOD[:6])
        for number, cause, dataset in items:
            pool.end(GOOD[number], cause, dataset)
        return pool.standings

    assert play() == play()
