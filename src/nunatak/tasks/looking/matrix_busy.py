"""What runs or needs a person in each tile of a task matrix, counted in the index of unfinished tasks.

States of which there are few are counted whole. Of others, each tile is told from two windows of its jobs, so that a
drawing reads a bounded number of entries however many there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from nunatak.core.states import TaskState
from nunatak.db.statement import Row
from nunatak.tasks.looking import matrix_store as store

S = TaskState
Counts = dict[str, int]
Tile = tuple[int, int]  # its first job, and the one after its last

EXACT = (S.QUEUED, S.RUNNING, S.FAILED, S.HELD)
"""States that are counted by index."""
READ = 12_000
"""Entries of the index that are read for one drawing: a few milliseconds."""
PROBES = 2000
"""Places at which reading begins for one drawing, about 4 us each; beyond that cells are told as all others are."""


class Window(NamedTuple):
    """Jobs of one tile in which tasks of one name and state are counted, and for how many times as many they stand."""

    tile: int
    task: int
    state: str
    low: int
    high: int
    times: float


class Found(NamedTuple):
    """Counts by (tile, task), and whether all were counted whole."""

    cells: Mapping[tuple[int, int], Counts]
    exact: bool


def busy(
    tx: Connection, dataset: int, tiles: Sequence[Tile], shown: Sequence[int], counts: Sequence[Row]
) -> Found | None:
    """Return what runs or needs a person; None if that takes too many places. `tiles` have jobs that were touched alone."""
    shares = shares_of(counts, shown)
    wanted = [window for key, share in shares.items() for window in windows(tiles, *key, share)]
    if len(wanted) > PROBES:
        return None
    cells: dict[tuple[int, int], Counts] = defaultdict(dict)
    rows = store.WINDOWS(tx, dataset=dataset, v=[window[:-1] for window in wanted]) if wanted else ()
    times = {window[:4]: window.times for window in wanted}
    for row in rows:
        if row.n:
            cell = cells[row.tile, row.task]
            cell[row.state] = cell.get(row.state, 0) + max(row.n, round(row.n * times[row[:4]]))
    return Found(cells, all(share >= 1 for share in shares.values()))


def shares_of(counts: Sequence[Row], shown: Sequence[int]) -> dict[tuple[int, str], float]:
    """Return for each task that is shown, and state it is in, which part of the jobs can be looked at. Pure.

    Each state has its part of `READ`, and what the rarer ones leave of theirs; finding those of one task reads all.
    """
    numbers = {state: sum(getattr(row, state) for row in counts) for state in EXACT}
    of = {state: {row.task for row in counts if getattr(row, state)} & set(shown) for state in EXACT}
    found: dict[tuple[int, str], float] = {}
    left = READ
    rising = sorted((state for state in EXACT if of[state]), key=lambda state: numbers[state] * len(of[state]))
    for place, state in enumerate(rising):
        most, cost = left // (len(rising) - place), numbers[state] * len(of[state])
        left -= min(most, cost)
        found.update(((task, state), min(1.0, most / cost)) for task in sorted(of[state]))
    return found


def windows(tiles: Sequence[Tile], task: int, state: str, share: float) -> Iterator[Window]:
    """Yield where to count: whole tiles, or two windows of each. Pure."""
    for tile, (first, last) in enumerate(tiles):
        size = last - first
        width = max(1, round(size * share / 2))
        if 2 * width >= size:
            if size > 0:
                yield Window(tile, task, state, first, last, 1.0)
            continue
        for quarter in (1, 3):
            low = first + (quarter * size - 2 * width) // 4
            yield Window(tile, task, state, low, low + width, size / (2 * width))
