"""What runs or needs a person in each tile of a task matrix, counted in the index of unfinished tasks.

States of which there are few are counted in one pass. Of others, each tile is told from windows of its jobs, so that a
drawing reads a bounded number of entries, from a bounded number of places, however many there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from nunatak.core.states import TaskState
from nunatak.db.statement import Row
from nunatak.tasks.looking import matrix_store as store
from nunatak.tasks.looking.matrix_store import PAIR

S = TaskState
Counts = dict[str, int]
Cells = dict[tuple[int, int], Counts]
Tile = tuple[int, int]  # its first job, and the one after its last

EXACT = (S.QUEUED, S.RUNNING, S.FAILED, S.HELD)
"""States that are counted by index."""
FEW = 1000
"""Tasks in a state up to which all of them are read."""
READ = 6000
"""Entries of the index that are read of other states for one drawing: a few milliseconds."""
PROBES = 300
"""Places at which reading begins for one drawing, about 7 us each; beyond twice as many cells are told as all others are."""


class Window(NamedTuple):
    """Jobs of one tile in which tasks are counted, and for how many times as many they stand."""

    tile: int
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
    """Return what runs or needs a person; None if that takes too many places.

    `tiles` are those with jobs that were touched, all of one size but for the last.
    """
    numbers, tasks = busy_in(counts, shown)
    few = [state for state in tasks if numbers[state] <= FEW]
    cells: Cells = defaultdict(dict)
    if few and tiles:
        _count_few(tx, dataset, tiles, few, set(shown), cells)
    many = {state: pairs_of(of) for state, of in tasks.items() if state not in few}
    shares = shares_of(numbers, many)
    wanted = _wanted(tiles, many, shares)
    if wanted is None:
        return None
    if wanted:
        _count_windows(tx, dataset, wanted, cells)
    return Found(cells, all(share >= 1 for share in shares.values()))


def busy_in(counts: Sequence[Row], shown: Sequence[int]) -> tuple[Counts, dict[str, list[int]]]:
    """Return how many tasks are in each state that is counted, and which of those shown are in it at all. Pure."""
    numbers = {str(state): sum(getattr(row, state) for row in counts) for state in EXACT}
    of = {state: sorted({row.task for row in counts if getattr(row, state)} & set(shown)) for state in numbers}
    return numbers, {state: tasks for state, tasks in of.items() if tasks}


def pairs_of(tasks: Sequence[int]) -> list[tuple[int, int]]:
    """Return tasks in twos; the last may be alone, with -1. Pure."""
    return list(zip(tasks[::2], [*tasks[1::2], -1], strict=False))


def shares_of(numbers: Mapping[str, int], pairs: Mapping[str, Sequence[tuple[int, int]]]) -> dict[str, float]:
    """Return for each state which part of the jobs can be looked at. Pure.

    Each state has its part of `READ`, and what the rarer ones leave of theirs; finding those of two tasks reads all.
    """
    costs = {state: numbers[state] * len(of) for state, of in pairs.items()}
    found: dict[str, float] = {}
    left = READ
    for place, state in enumerate(sorted(costs, key=lambda state: costs[state])):
        most = left // (len(costs) - place)
        left -= min(most, costs[state])
        found[state] = min(1.0, most / costs[state])
    return found


def windows(tiles: Sequence[Tile], share: float, each: int = 2) -> list[Window]:
    """Return where to count: whole tiles, or so many windows of `each`, evenly. Pure."""
    found = []
    for tile, (first, last) in enumerate(tiles):
        size = last - first
        width = max(1, round(size * share / each))
        if each * width >= size:
            if size > 0:
                found.append(Window(tile, first, last, 1.0))
            continue
        times = size / (each * width)
        for part in range(1, 2 * each, 2):
            low = first + (part * size - each * width) // (2 * each)
            found.append(Window(tile, low, low + width, times))
    return found


_Wanted = list[tuple[str, tuple[int, int], Window]]


def _wanted(
    tiles: Sequence[Tile], pairs: Mapping[str, Sequence[tuple[int, int]]], shares: Mapping[str, float]
) -> _Wanted | None:
    """Return what to count where: in two windows of each tile, or in one if those are too many places."""
    for each in (2, 1):
        places = {state: windows(tiles, share, each) for state, share in shares.items()}
        n = sum(len(places[state]) * len(pairs[state]) for state in shares)
        if n <= PROBES * (3 - each):
            return [(state, pair, window) for state in shares for pair in pairs[state] for window in places[state]]
    return None


def _count_windows(tx: Connection, dataset: int, wanted: _Wanted, cells: Cells) -> None:
    v = [
        (place, pair[0], pair[1], state, window.low, window.high) for place, (state, pair, window) in enumerate(wanted)
    ]
    for place, packed in store.WINDOWS(tx, dataset=dataset, v=v):
        if not packed:
            continue
        state, pair, window = wanted[place]
        for task, n in zip(pair, (packed % PAIR, packed // PAIR), strict=True):
            if n:
                cell = cells[window.tile, task]
                cell[state] = cell.get(state, 0) + max(n, round(n * window.times))


def _count_few(
    tx: Connection, dataset: int, tiles: Sequence[Tile], few: Sequence[str], shown: set[int], cells: Cells
) -> None:
    (first, after), last = tiles[0], tiles[-1][1]
    wanted = {str(state): int(state in few) for state in EXACT}
    for tile, task, state, n in store.FEW(tx, dataset=dataset, first=first, last=last, step=after - first, **wanted):
        if task in shown:
            cells[tile, task][state] = n
