"""Use is forgotten by half every half-life, and may be added up in any order, one plain addition at a time."""

from __future__ import annotations

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.core.errors import Invalid
from nunatak.core.work import Shape
from nunatak.tasks.sharing.usage import Amount, Decay, Spent, Usage, occupied

NOW = 1_800_000_000.0
WEEK = 7 * 86400.0
HALF_LIVES = st.floats(60.0, 400 * 86400.0)
AMOUNTS = st.builds(Amount, st.floats(0, 1e7), st.floats(0, 1e6))
ENTRIES = st.lists(st.tuples(AMOUNTS, st.floats(NOW - 40 * WEEK, NOW)), min_size=1, max_size=8)


def test_half_is_left_after_a_half_life() -> None:
    decay = Decay(WEEK)
    kept = decay.entry(Amount(100.0, 8.0), NOW)
    assert decay.now(kept, NOW) == pytest.approx(Amount(100.0, 8.0))
    assert decay.now(kept, NOW + WEEK) == pytest.approx(Amount(50.0, 4.0))
    assert decay.now(kept, NOW + 10 * WEEK).core == pytest.approx(100 / 1024)


@given(HALF_LIVES, ENTRIES, st.randoms(use_true_random=False))
def test_order_and_grouping_do_not_matter(half_life: float, entries, random) -> None:
    decay = Decay(half_life)
    kept = [decay.entry(amount, at) for amount, at in entries]
    direct = sum(amount.core * 2 ** -((NOW - at) / half_life) for amount, at in entries)
    forward = reduce(decay.merge, kept)
    random.shuffle(kept)
    backward = reduce(lambda one, other: decay.merge(other, one), reversed(kept))
    assert decay.now(forward, NOW).core == pytest.approx(direct, rel=1e-6, abs=1e-3)
    assert decay.now(backward, NOW).core == pytest.approx(decay.now(forward, NOW).core, rel=1e-9, abs=1e-9)


@given(HALF_LIVES, AMOUNTS, AMOUNTS)
def test_merging_is_commutative_to_the_bit(half_life: float, one: Amount, other: Amount) -> None:
    decay = Decay(half_life)
    a, b = decay.entry(one, NOW - 100 * half_life), decay.entry(other, NOW)
    assert decay.merge(a, b) == decay.merge(b, a)


@given(AMOUNTS, AMOUNTS)
def test_within_an_era_adding_is_a_plain_addition(one: Amount, other: Amount) -> None:
    decay = Decay(WEEK)
    a, b = decay.entry(one, NOW), decay.entry(other, NOW + 1000)
    assert a.era == b.era
    assert decay.merge(a, b) == Usage(a.era, a.core + b.core, a.gpu + b.gpu)


@given(HALF_LIVES, st.floats(0, 4e9))
def test_kept_numbers_stay_bounded_for_all_times(half_life: float, at: float) -> None:
    assert Decay(half_life).entry(Amount(1.0, 1.0), at).core <= 2.0**32


def test_the_end_of_an_era_is_not_seen() -> None:
    decay = Decay(3600.0)
    end = (NOW // (32 * 3600.0) + 1) * 32 * 3600.0
    before, after = decay.entry(Amount(10.0), end - 1), decay.entry(Amount(10.0), end + 1)
    assert after.era == before.era + 1
    assert decay.now(before, end + 1).core == pytest.approx(10.0, rel=1e-3)
    assert decay.now(decay.merge(before, after), end + 1).core == pytest.approx(20.0, rel=1e-3)


def test_what_is_very_old_counts_nothing() -> None:
    decay = Decay(3600.0)
    assert decay.now(decay.entry(Amount(1e9), 0.0), NOW).core == pytest.approx(0.0)


@given(HALF_LIVES, HALF_LIVES, AMOUNTS)
def test_another_half_life_keeps_what_there_is(old: float, new: float, amount: Amount) -> None:
    kept = Decay(old).entry(amount, NOW)
    changed = Decay(new).changed(kept, Decay(old), NOW)
    assert Decay(new).now(changed, NOW).core == pytest.approx(amount.core)


@pytest.mark.parametrize("half_life", [0.0, -1.0, float("inf"), float("nan")])
def test_a_half_life_has_to_be_a_length_of_time(half_life: float) -> None:
    with pytest.raises(Invalid, match="half-life"):
        Decay(half_life)


def test_a_task_occupies_what_it_keeps_from_others() -> None:
    assert occupied(Shape(cpu=4, gpu=1), 1800.0) == Amount(2.0, 0.5)
    assert occupied(Shape(cpu=4, gpu=1), 1800.0, speed=2.0) == Amount(4.0, 1.0)
    assert occupied(Shape(cpu=4, gpu=1), 1800.0).worth(gpu=20.0) == 12.0
    assert occupied(Shape(cpu=4), -5.0) == Amount(0.0, 0.0)


def test_datasets_add_up_to_users_and_groups() -> None:
    decay = Decay(WEEK)
    spent = [
        Spent(1, "icecube", "alice", decay.entry(Amount(10.0), NOW)),
        Spent(2, "icecube", "alice", decay.entry(Amount(0.0, 2.0), NOW)),
        Spent(3, "icecube", "bob", decay.entry(Amount(8.0), NOW - WEEK)),
        Spent(4, "km3net", "alice", decay.entry(Amount(1.0), NOW)),
    ]
    used = decay.totals(spent, NOW, gpu_worth=20.0)
    assert used.datasets == pytest.approx({1: 10.0, 2: 40.0, 3: 4.0, 4: 1.0})
    assert used.users == pytest.approx({("icecube", "alice"): 50.0, ("icecube", "bob"): 4.0, ("km3net", "alice"): 1.0})
    assert used.groups == pytest.approx({"icecube": 54.0, "km3net": 1.0})
