"""Windows of jobs in which busy tasks are counted: within their tiles, bounded, whole where there are few."""

from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.tasks.looking.matrix_busy import EXACT, READ, shares_of, windows


class Kept(NamedTuple):
    task: int
    queued: int
    running: int
    failed: int
    held: int


numbers = st.integers(0, 200_000)
kept = st.lists(st.builds(Kept, st.integers(0, 9), numbers, numbers, numbers, numbers), max_size=12)


@given(kept)
def test_shares_keep_to_what_may_be_read(counts: list[Any]) -> None:
    shares = shares_of(counts, range(10))
    whole: dict[str, int] = {state: sum(getattr(row, state) for row in counts) for state in EXACT}
    assert sum(share * whole[state] for (_, state), share in shares.items()) <= READ + 1
    assert all(0 < share <= 1 for share in shares.values())
    if sum(whole.values()) * 10 <= READ / len(EXACT):
        assert all(share == 1 for share in shares.values())
    assert shares.keys() == {(row.task, state) for row in counts for state in EXACT if getattr(row, state)}


def test_a_rare_state_is_counted_whole_beside_a_frequent_one() -> None:
    counts: list[Any] = [Kept(0, 0, 50_000, 0, 0), Kept(1, 0, 0, 40, 0)]
    shares = shares_of(counts, range(2))
    assert shares[1, "failed"] == 1
    assert 0.2 < shares[0, "running"] < 0.25


@given(st.integers(0, 1000), st.integers(0, 5000), st.floats(1e-4, 1.0))
def test_windows_lie_in_their_tile_and_stand_for_all_of_it(first: int, size: int, share: float) -> None:
    found = list(windows([(first, first + size)], 0, "failed", share))
    jobs = [job for window in found for job in range(window.low, window.high)]
    assert len(jobs) == len(set(jobs)) <= max(2, size * share + 2)
    assert all(first <= job < first + size for job in jobs)
    assert sum((window.high - window.low) * window.times for window in found) == (
        0 if not size else pytest.approx(size)
    )
