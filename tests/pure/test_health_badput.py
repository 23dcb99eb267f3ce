"""Lost time adds up, by dataset, site and cause."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.tasks.health.badput import LOST_TO, Spent, Use, account, causes, loss, losses, moved, total
from nunatak.tasks.health.events import Cause

ended = st.sampled_from([cause for cause in Cause if cause is not Cause.BEGUN])
uses = st.builds(
    Use,
    st.integers(1, 4),
    st.sampled_from(["siteA", "siteB"]),
    ended,
    st.integers(0, 10**6).map(float),
    st.integers(0, 10**6).map(float),
    st.integers(0, 10**6).map(float),
)
many = st.lists(uses, max_size=40)


def close(a: Spent, b: Spent) -> bool:
    return tuple(a) == pytest.approx(tuple(b), abs=1e-3)


@given(many)
def test_all_time_is_accounted_for_once(items: list[Use]) -> None:
    found = loss(account(items))
    assert found.spent.wall == pytest.approx(sum(use.wall for use in items))
    assert found.spent.cpu == pytest.approx(sum(use.cpu for use in items))
    assert found.spent.attempts == len(items)
    kept = sum(use.wall if use.cause is Cause.OK else min(use.saved, use.wall) for use in items)
    assert found.spent.wall - found.lost.wall == pytest.approx(kept, abs=1e-3)
    assert 0 <= found.share <= 1 + 1e-9


@given(many, many)
def test_accounts_of_parts_add_up(one: list[Use], other: list[Use]) -> None:
    whole, parts = account(one + other), total([account(one), account(other)])
    assert whole.keys() == parts.keys()
    assert all(close(whole[key], parts[key]) for key in whole)


@given(many)
def test_losses_by_dataset_site_and_cause_are_the_same_time(items: list[Use]) -> None:
    whole = account(items)
    lost = loss(whole).lost.wall
    assert sum(part.lost.wall for part in losses(whole, "dataset").values()) == pytest.approx(lost)
    assert sum(part.lost.wall for part in losses(whole, "site").values()) == pytest.approx(lost)
    assert sum(spent.wall for spent in causes(whole).values()) == pytest.approx(lost)


@given(many, uses, ended)
def test_an_attempt_that_turns_out_otherwise_moves_its_time(items: list[Use], use: Use, cause: Cause) -> None:
    before = account([*items, use])
    after = total([before, moved(use, cause)])
    right = account([*items, use._replace(cause=cause)])
    for key in after:
        assert close(after[key], right.get(key, Spent()))


def test_every_cause_but_success_has_words() -> None:
    assert set(LOST_TO) == set(Cause) - {Cause.OK, Cause.BEGUN}


def test_what_a_checkpoint_kept_is_not_lost() -> None:
    found = loss(account([Use(1, "siteA", Cause.FREE, 100.0, 90.0, saved=75.0)]))
    assert found.lost == Spent(25.0, 22.5, 1)


def test_an_attempt_that_only_began_has_spent_nothing() -> None:
    assert account([Use(1, "siteA", Cause.BEGUN, 5.0)]) == {}
