"""Whether a node stands out: the odds, and how often they are wrong."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.tasks.health.board import nodes_board
from nunatak.tasks.health.events import Cause, Event, Node
from nunatak.tasks.health.score import Tally
from nunatak.tasks.health.standout import NODES, Answer, Limits, find
from nunatak.tasks.health.window import Window

NOW = 1_800_000_000.0
W = (1, 0)


def seen(bad: float, ok: float = 0.0) -> Window:
    return Window(bad, ((W, ok, bad),), (("exec format error", bad),), bad, ("a",))


def others(ok: float, bad: float = 0.0) -> Tally:
    return Tally(ok, bad, ok, bad)


def answer(bad: float, ok: float, others_ok: float, others_bad: float) -> Answer:
    tally = others(others_ok, others_bad)
    return find(seen(bad, ok), [tally], tally).answer


def test_five_faults_where_fifty_others_went_well_stand_out() -> None:
    assert answer(5, 0, 50, 0) is Answer.STANDS_OUT


def test_five_faults_that_nobody_else_has_had_the_chance_to_have_are_unexplained() -> None:
    assert answer(5, 0, 0, 0) is Answer.UNEXPLAINED


@given(st.floats(3, 100), st.floats(1, 500))
def test_faults_that_all_others_have_are_explained(bad: float, others_bad: float) -> None:
    assert answer(bad, 0, 0, others_bad) is Answer.LIKE_OTHERS


@given(st.floats(0, 2.4), st.floats(0, 1e4))
def test_one_or_two_faults_say_nothing(bad: float, others_ok: float) -> None:
    assert answer(bad, 0, others_ok, 0) is Answer.LIKE_OTHERS


@given(st.floats(3, 50), st.floats(0, 50), st.floats(0, 500), st.floats(0, 500))
def test_the_odds_grow_with_what_goes_well_elsewhere_and_shrink_with_what_fails(
    bad: float, ok: float, good: float, wrong: float
) -> None:
    def odds(more_good: float, more_wrong: float) -> float:
        tally = others(good + more_good, wrong + more_wrong)
        return find(seen(bad, ok), [tally], tally).odds

    if odds(0, 0) > 0:
        assert odds(10, 0) >= odds(0, 0) - 1e-9 or not ok
    if not ok and odds(0, 0) > 0:
        assert odds(10, 0) >= odds(0, 0) - 1e-9
        assert odds(0, 10) <= odds(0, 0) + 1e-9


@given(st.integers(0, 200), st.integers(0, 100), st.integers(0, 1000), st.integers(0, 1000))
def test_a_node_that_does_no_worse_than_others_never_stands_out(bad: int, ok: int, good: int, wrong: int) -> None:
    if bad and bad / (bad + ok) <= wrong / max(good + wrong, 1):
        tally = others(good, wrong)
        assert find(seen(bad, ok), [tally], tally).answer is Answer.LIKE_OTHERS


def test_new_work_is_trusted_less_where_much_fails_in_all() -> None:
    window = Window(5, tuple(((number, 0), 0.0, 1.0) for number in range(5)), (), 5.0, ("a",))
    nothing = [Tally()] * 5
    well = find(window, nothing, others(500))
    bad = find(window, nothing, others(100, 400))
    assert well.odds > bad.odds
    assert bad.answer is Answer.LIKE_OTHERS


def alarms(share: float, nodes: int, odds: float, attempts: int, works: int, busy: float, seed: int) -> int:
    """Count the false alarms in a pool where every attempt on every node is a fault with the same probability."""
    draw = random.Random(seed)
    board, limits = nodes_board(NOW), Limits(odds=odds)
    names = [Node("siteA", f"node{number}") for number in range(nodes)]
    found = 0
    for number in range(attempts):
        at = NOW + number
        node = names[0] if draw.random() < busy else draw.choice(names)
        bad = draw.random() < share
        board.take(node, Event((draw.randrange(works), 0), Cause.NODE if bad else Cause.OK, at))
        if bad and board.finding(node, at, limits).answer is Answer.STANDS_OUT:
            found += 1
            board.forgive(node)
    return found


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.7])
@pytest.mark.parametrize(("nodes", "works", "busy"), [(2, 1, 0.0), (5, 20, 0.0), (20, 3, 0.9)])
def test_false_alarms_are_rarer_than_promised(share: float, nodes: int, works: int, busy: float) -> None:
    attempts = 5000
    for odds in (20.0, 200.0):
        assert alarms(share, nodes, odds, attempts, works, busy, seed=1) <= attempts / odds


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_with_the_usual_odds_there_are_none(share: float) -> None:
    assert alarms(share, 20, NODES.odds, 20_000, 5, 0.0, seed=2) == 0
