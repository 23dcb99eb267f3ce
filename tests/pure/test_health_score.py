"""What is remembered of a node: bounded, fading, mergeable, and kept in line with what all nodes did together."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.tasks.health.board import WHOLE, Board, nodes_board
from nunatak.tasks.health.events import Cause, Event, Node
from nunatak.tasks.health.score import NONE, Score, merge
from nunatak.tasks.health.window import EMPTY, MEMORY, Memory

NOW = 1_800_000_000.0
A, B, C = Node("siteA", "a"), Node("siteA", "b"), Node("siteB", "a")
AGAINST = [Cause.NODE, Cause.ELSEWHERE]
SILENT = [Cause.BEGUN, Cause.SITE, Cause.DATA, Cause.USER, Cause.FREE, Cause.OURS]

events = st.builds(
    Event,
    work=st.tuples(st.integers(1, 12), st.integers(0, 1)),
    cause=st.sampled_from(list(Cause)),
    at=st.floats(NOW, NOW + 10 * MEMORY.half_life),
    kind=st.sampled_from([f"kind {number}" for number in range(12)]),
    wall=st.floats(0, 1e5),
    source=st.sampled_from("abcdefgh"),
    n=st.integers(1, 4),
)
news = st.lists(st.tuples(st.sampled_from([A, B, C]), events), max_size=80)


def board_of(items: list[tuple[Node, Event]], memory: Memory = MEMORY) -> Board[Node]:
    board = nodes_board(NOW, memory)
    for node, event in items:
        board.take(node, event)
    return board


@pytest.mark.parametrize("cause", SILENT)
def test_only_faults_by_cause_count_against_a_node(cause: Cause) -> None:
    board = board_of([(A, Event((1, 0), cause, NOW, wall=1.0))] * 100)
    assert A not in board.scores
    assert board.known(NOW)[""] == 1


@pytest.mark.parametrize("cause", [Cause.OK, *AGAINST])
def test_how_short_an_attempt_was_changes_no_decision(cause: Cause) -> None:
    others = [(node, Event((1, 0), Cause.OK, NOW)) for node in (B, C) for _ in range(50)]
    found = [board_of(others + [(A, Event((1, 0), cause, NOW, wall=wall))] * 9).finding(A, NOW) for wall in (0.1, 1e5)]
    assert found[0]._replace(wall=0) == found[1]._replace(wall=0)


@given(news)
def test_memory_is_bounded(items: list[tuple[Node, Event]]) -> None:
    for score in board_of(items).scores.values():
        assert len(score.works) <= MEMORY.works >= len(score.window.works)
        assert len(score.kinds) <= MEMORY.kinds >= len(score.window.kinds)
        assert len(score.window.sources) <= MEMORY.sources
        assert len({work for work, _ in score.works}) == len(score.works)


@given(news)
def test_what_others_did_is_the_sum_of_what_each_did(items: list[tuple[Node, Event]]) -> None:
    board = board_of(items)
    now = max((event.at for _, event in items), default=NOW)
    unit = board.weight(now)
    for work in {event.work for _, event in items} | {WHOLE}:
        for group, others in (("", (B, C)), ("@siteA", (B,))):
            parts = [board.scores.get(node, Score()) for node in others]
            tallies = [part.whole if work == WHOLE else dict(part.works).get(work, NONE) for part in parts]
            alone = Board[Node](lambda _, group=group: (group,), NOW)
            alone.scores, alone._tallies = board.scores, board._tallies
            alone._latest, alone._origin, alone._weight = board._latest, board._origin, board._weight
            kept = alone.elsewhere(A, work, now)
            for index in range(4):
                assert kept[index] == pytest.approx(sum(tally[index] for tally in tallies) / unit, abs=1e-6)


@given(news, news, news)
def test_merging_adds_up_in_any_order(one: list, two: list, three: list) -> None:
    wide = Memory(works=100, kinds=100, sources=100)
    a, b, c = (board_of([(A, event) for _, event in items], wide).scores.get(A, Score()) for items in (one, two, three))
    assert same(merge(a, b, wide), merge(b, a, wide))
    assert same(merge(merge(a, b, wide), c, wide), merge(a, merge(b, c, wide), wide))
    assert same(merge(a, Score(), wide), a)
    assert merge(a, b, wide).whole.bad == pytest.approx(a.whole.bad + b.whole.bad)


def same(a: Score, b: Score) -> bool:
    one, other = flat(a), flat(b)
    close = all(one[key] == pytest.approx(other.get(key), rel=1e-9, abs=1e-9) for key in one)
    return one.keys() == other.keys() and close and set(a.window.sources) == set(b.window.sources)


def flat(score: Score) -> dict[object, tuple[float, ...]]:
    window = score.window
    return {
        **{("work", work): tuple(tally) for work, tally in score.works},
        **{("kind", kind): (weight,) for kind, weight in score.kinds},
        **{("window", work): (ok, bad) for work, ok, bad in window.works},
        "rest": (*score.whole, window.height, window.wall),
    }


@given(news)
def test_a_board_that_is_saved_and_loaded_elsewhere_and_later_says_the_same(items: list[tuple[Node, Event]]) -> None:
    board = board_of(items)
    now = max((event.at for _, event in items), default=NOW) + 100
    other = nodes_board(now + 5)
    rows = [(key, seen, at, json.loads(json.dumps(plain))) for key, seen, at, plain in board.saved(sorted(board.seen))]
    other.load(rows)
    later = now + 1000
    assert other.seen == board.seen
    for node in (A, B, C):
        assert other.finding(node, later)[1:] == pytest.approx(board.finding(node, later)[1:], abs=1e-6)
        for work in {event.work for _, event in items}:
            assert tuple(other.elsewhere(node, work, later)) == pytest.approx(
                tuple(board.elsewhere(node, work, later)), abs=1e-6
            )


def test_an_attempt_counts_half_after_a_half_life() -> None:
    board = board_of([(A, Event((1, 0), Cause.OK, NOW))] * 8)
    assert board.elsewhere(B, (1, 0), NOW).ok == pytest.approx(8)
    assert board.elsewhere(B, (1, 0), NOW + MEMORY.half_life).ok == pytest.approx(4)


def test_a_clock_set_back_forgets_nothing_and_one_set_forward_recovers() -> None:
    board = board_of([(A, Event((1, 0), Cause.NODE, NOW))] * 5)
    assert board.elsewhere(B, (1, 0), NOW - 1e6).bad == pytest.approx(5)
    board.take(C, Event((1, 0), Cause.OK, NOW + 50 * 365 * 86400))  # a wrong clock
    for _ in range(5):
        board.take(A, Event((1, 0), Cause.NODE, NOW + 60))
    assert board.finding(A, NOW + 60).bad == pytest.approx(5)


def test_weights_stay_finite_over_years() -> None:
    board = nodes_board(NOW)
    for day in range(0, 3650, 10):
        for _ in range(20):
            board.take(A, Event((1, 0), Cause.OK, NOW + day * 86400))
    assert board.elsewhere(B, (1, 0), NOW + 3640 * 86400).ok == pytest.approx(20)


@given(st.integers(0, 3000), st.integers(1, 12))
def test_successes_before_do_not_hide_what_goes_wrong_now(before: int, faults: int) -> None:
    board = nodes_board(NOW)
    for _ in range(min(before, 200)):
        board.take(A, Event((1, 0), Cause.OK, NOW))
    for _ in range(faults):
        board.take(A, Event((1, 0), Cause.NODE, NOW))
    assert board.scores[A].window.bad() == faults
    for _ in range(round(faults / MEMORY.down) + 1):
        board.take(A, Event((1, 0), Cause.OK, NOW))
    assert board.scores[A].window is EMPTY


def test_a_node_speaks_at_most_ten_times_of_one_work() -> None:
    board = board_of([(A, Event((1, 0), Cause.OK, NOW))] * 1000)
    others = board.elsewhere(B, (1, 0), NOW)
    assert others.ok == pytest.approx(1000)
    assert others.fair_ok == pytest.approx(10)
    board.hush(A)
    assert board.elsewhere(B, (1, 0), NOW).fair_ok == pytest.approx(1)


def test_nodes_not_heard_of_are_dropped_with_all_they_did() -> None:
    board = board_of([(A, Event((1, 0), Cause.OK, NOW)), (B, Event((2, 0), Cause.OK, NOW + 100))])
    assert board.forget(NOW + 50) == [A]
    assert A not in board.scores
    assert board.elsewhere(B, (1, 0), NOW + 100) == NONE
    assert not [key for key in board._tallies if key[1] == (1, 0)]


@given(news, events, st.integers(1, 40))
def test_equal_attempts_told_at_once_come_to_the_same_as_one_by_one(
    items: list[tuple[Node, Event]], event: Event, count: int
) -> None:
    one, many = board_of(items), board_of(items)
    for _ in range(count):
        one.take(A, event._replace(n=1))
    many.take(A, event._replace(n=count))
    later = NOW + 10 * MEMORY.half_life
    weight = 1 / one.weight(later)
    assert one.scores.keys() == many.scores.keys()
    for work in [WHOLE, event.work]:
        assert many.elsewhere(B, work, later) == pytest.approx(one.elsewhere(B, work, later), rel=1e-6, abs=1e-9)
    if A in one.scores:
        many.weight(later)
        a, b = one.scores[A].times(weight), many.scores[A].times(weight)
        assert b.whole == pytest.approx(a.whole, rel=1e-6)
        assert b.window.height == pytest.approx(a.window.height, rel=1e-6)
        assert b.window.bad() == pytest.approx(a.window.bad(), rel=1e-6)
        assert dict(b.kinds) == pytest.approx(dict(a.kinds), rel=1e-6)
