"""When an attempt started and ended, whatever the clock of its node says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nunatak.tasks.ledger import SKEW, by_our_clock

MOMENTS = st.floats(0.0, 1e10, allow_nan=False)


def test_what_can_be_is_recorded_as_told() -> None:
    assert by_our_clock(100.0, 110.0, 150.0, 160.0) == (110.0, 150.0)
    assert by_our_clock(100.0, None, 150.0, 160.0) == (None, 150.0)
    assert by_our_clock(100.0, 98.0, 163.0, 160.0) == (98.0, 163.0)  # clocks differ by seconds


def test_of_a_clock_that_is_hours_wrong_only_the_duration_counts() -> None:
    assert by_our_clock(100.0, 18_110.0, 18_150.0, 160.0) == (120.0, 160.0)
    assert by_our_clock(20_000.0, 2_010.0, 2_050.0, 20_060.0) == (20_020.0, 20_060.0)
    assert by_our_clock(100.0, 110.0, 99_999.0, 160.0) == (100.0, 160.0)  # it was set while the attempt ran
    assert by_our_clock(100.0, None, 99_999.0, 160.0) == (None, 160.0)


def test_after_our_own_clock_was_set_back_the_duration_is_kept() -> None:
    assert by_our_clock(3_700.0, 110.0, 150.0, 160.0) == (120.0, 160.0)


@given(MOMENTS, st.none() | MOMENTS, MOMENTS, MOMENTS)
def test_what_is_recorded_is_in_order(claimed: float, started: float | None, ended: float, now: float) -> None:
    begun, end = by_our_clock(claimed, started, ended, now)
    assert (begun is None) == (started is None)
    assert end <= now + SKEW
    assert begun is None or begun <= end
    if now >= claimed:
        assert begun is None or begun >= claimed - SKEW - 1e-5
