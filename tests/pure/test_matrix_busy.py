"""Windows of jobs in which busy tasks are counted: within their tiles, bounded, whole where there are few."""

from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.tasks.looking.matrix_busy import EXACT, READ, busy_in, pairs_of, shares_of, windows


class Kept(NamedTuple):
    task: int
    queued: int
    running: int
    failed: int
    held: int


numbers = st.integers(0, 200_000)
kept = st.lists(st.builds(Kept, st.integers(0, 9), numbers, numbers, numbers, numbers), max_size=12)


@given(kept, st.sets(st.integers(0, 9)))
def test_shares_keep_to_what_may_be_read(counts: list[Any], shown: set[int]) -> None:
    whole, tasks = busy_in(counts, sorted(shown))
    pairs = {state: pairs_of(of) for state, of in tasks.items()}
    shares = shares_of(whole, pairs)
    assert sum(share * whole[state] * len(pairs[state]) for state, share in shares.items()) <= READ + 1
    assert all(0 < share <= 1 for share in shares.values())
    if sum(whole.values()) * 5 <= READ / len(EXACT):
        assert all(share == 1 for share in shares.values())
    there = {(row.task, str(state)) for row in counts for state in EXACT if getattr(row, state) and row.task in shown}
    assert {(task, state) for state, of in pairs.items() for pair in of for task in pair if task >= 0} == there
    assert shares.keys() == {state for _, state in there}


def test_a_rare_state_is_counted_whole_beside_a_frequent_one() -> None:
    shares = shares_of({"running": 50_000, "failed": 2000}, {"running": [(0, 3)], "failed": [(1, -1)]})
    assert shares["failed"] == 1
    assert 0.07 < shares["running"] < 0.09


@given(st.integers(0, 1000), st.integers(0, 5000), st.floats(1e-4, 1.0), st.sampled_from((1, 2)))
def test_windows_lie_in_their_tile_and_stand_for_all_of_it(first: int, size: int, share: float, each: int) -> None:
    found = windows([(first, first + size)], share, each)
    jobs = [job for window in found for job in range(window.low, window.high)]
    assert len(found) <= each
    assert len(jobs) == len(set(jobs)) <= max(2, size * share + 2)
    assert all(first <= job < first + size for job in jobs)
    assert sum((window.high - window.low) * window.times for window in found) == (
        0 if not size else pytest.approx(size)
    )
