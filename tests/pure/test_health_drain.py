"""The standing of a node as data: allowed changes, growing intervals, and what a person decides."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.core.errors import Conflict
from nunatak.tasks.health.drain import (
    CHANGES,
    FINE,
    NEVER,
    POLICY,
    Health,
    Pool,
    Standing,
    decide,
    drain_by_hand,
    probed,
    undrain_by_hand,
    when_due,
)
from nunatak.tasks.health.standout import NOTHING, Answer, Finding

NOW = 1_800_000_000.0
H = Health
BAD = Finding(Answer.STANDS_OUT, 15.0, 5, 5, 1.0, "exec format error", 1, 0, 412)
ODD = BAD._replace(answer=Answer.UNEXPLAINED)
LARGE = Pool(50, 0)
DRAINED = decide(FINE, BAD, LARGE, NOW, 0.5, POLICY)

findings = st.sampled_from([BAD, ODD, NOTHING])
uniforms = st.floats(0, 1, exclude_max=True)
steps = st.lists(
    st.tuples(
        st.sampled_from(["decide", "probe well", "probe badly", "due", "drain", "undrain"]),
        findings,
        st.integers(0, 100_000),
        uniforms,
    ),
    max_size=40,
)


def act(standing: Standing, what: str, finding: Finding, now: float, uniform: float) -> Standing:
    try:
        match what:
            case "decide":
                return decide(standing, finding, LARGE, now, uniform, POLICY)
            case "probe well" | "probe badly":
                return probed(standing, what == "probe well", now, uniform, POLICY)
            case "due":
                return when_due(standing, now, POLICY)
            case "drain":
                return drain_by_hand(standing, "ada", "new disk", now)
            case _:
                return undrain_by_hand(standing, "ada", now)
    except Conflict:
        return standing


@given(steps)
def test_every_change_is_one_of_the_table(items: list[tuple[str, Finding, int, float]]) -> None:
    standing, now = FINE, NOW
    for what, finding, passed, uniform in items:
        now += passed
        after = act(standing, what, finding, now, uniform)
        if after.health is not standing.health:
            assert after.health in CHANGES[standing.health]
            assert after.since == now
        if after.health in (H.SUSPECT, H.DRAINED) and not after.by:
            assert after.finding.answer is not Answer.LIKE_OTHERS
            assert after.until < NEVER
        standing = after


@given(steps)
def test_what_a_person_drained_only_a_person_undrains(items: list[tuple[str, Finding, int, float]]) -> None:
    standing, now = drain_by_hand(FINE, "ada", "new disk", NOW), NOW
    for what, finding, passed, uniform in items:
        now += passed
        if what != "undrain":
            standing = act(standing, what, finding, now, uniform)
    assert standing == drain_by_hand(FINE, "ada", "new disk", NOW)


def test_every_state_is_reached_and_left() -> None:
    assert set(CHANGES) == set(Health)
    assert {to for after in CHANGES.values() for to in after} == set(Health)


def test_a_drain_by_hand_with_an_end_ends_then() -> None:
    standing = drain_by_hand(FINE, "ada", "maintenance", NOW, NOW + 3600)
    assert when_due(standing, NOW + 3599, POLICY) == standing
    assert when_due(standing, NOW + 3600, POLICY) == FINE


def test_a_person_may_take_over_what_we_drained_but_not_what_another_person_did() -> None:
    taken = drain_by_hand(DRAINED, "ada", "it is broken", NOW + 5)
    assert taken.by == "ada"
    assert taken.until == NEVER
    with pytest.raises(Conflict, match="drained already, by ada: it is broken"):
        drain_by_hand(taken, "bob", "", NOW + 6)


def test_undraining_what_is_fine_is_refused() -> None:
    with pytest.raises(Conflict, match="not drained"):
        undrain_by_hand(FINE, "ada", NOW)


def test_a_node_undrained_by_hand_is_not_drained_within_the_grace() -> None:
    standing = undrain_by_hand(DRAINED, "ada", NOW)
    assert decide(standing, BAD, LARGE, NOW + POLICY.grace - 1, 0.5, POLICY) == standing
    over = when_due(standing, NOW + POLICY.grace, POLICY)
    assert over == FINE
    assert decide(over, BAD, LARGE, NOW + POLICY.grace, 0.5, POLICY).health is H.DRAINED


@pytest.mark.parametrize(
    ("pool", "finding", "health"),
    [
        (Pool(1, 0), BAD, H.FINE),
        (Pool(1, 0), ODD, H.FINE),
        (Pool(2, 1), BAD, H.FINE),
        (Pool(2, 0), BAD, H.DRAINED),
        (Pool(2, 0), ODD, H.FINE),
        (Pool(3, 0), ODD, H.SUSPECT),
        (Pool(3, 1), BAD, H.FINE),
        (Pool(100, 29), BAD, H.DRAINED),
        (Pool(100, 30), BAD, H.FINE),
    ],
)
def test_the_last_node_stays_and_most_of_a_pool_does(pool: Pool, finding: Finding, health: Health) -> None:
    assert decide(FINE, finding, pool, NOW, 0.5, POLICY).health is health


@given(uniforms, uniforms, st.integers(0, 5))
def test_intervals_grow_whatever_the_jitter(one: float, other: float, level: int) -> None:
    assert POLICY.interval(level + 1, one) > POLICY.interval(level, other)
    assert POLICY.interval(10_000, one) <= POLICY.most * (1 + POLICY.jitter)


def test_a_relapse_soon_after_is_drained_for_longer_and_one_long_after_is_not() -> None:
    probing = when_due(DRAINED, DRAINED.until, POLICY)
    fine = probed(probing, True, NOW + 700, 0.5, POLICY)
    soon = decide(fine, BAD, LARGE, NOW + 2000, 0.5, POLICY)
    late = decide(fine, BAD, LARGE, NOW + 700 + POLICY.calm + 1, 0.5, POLICY)
    assert soon.until - soon.since == 2 * POLICY.first
    assert late.until - late.since == POLICY.first
    assert when_due(fine, NOW + 700 + POLICY.calm + 1, POLICY) == FINE


def test_a_suspect_that_nobody_can_be_compared_with_is_probed_and_stays_a_suspect_if_it_fails() -> None:
    suspect = decide(FINE, ODD, LARGE, NOW, 0.5, POLICY)
    probing = when_due(suspect, suspect.until, POLICY)
    assert probing.health is H.PROBING
    again = probed(probing, False, suspect.until + 5, 0.5, POLICY)
    assert again.health is H.SUSPECT
    assert again.until - again.since == 2 * POLICY.first
    assert probed(probing, True, suspect.until + 5, 0.5, POLICY).health is H.FINE


@given(steps)
def test_a_standing_survives_being_written_down(items: list[tuple[str, Finding, int, float]]) -> None:
    standing, now = FINE, NOW
    for what, finding, passed, uniform in items:
        now += passed
        standing = act(standing, what, finding, now, uniform)
        assert Standing.from_plain(json.loads(json.dumps(standing.to_plain(), allow_nan=False))) == standing
