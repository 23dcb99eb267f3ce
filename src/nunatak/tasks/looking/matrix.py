"""Read model of the task matrix: jobs across in tiles, tasks down, in each cell how many tasks are in each state.

Nothing is kept for it, so that claims and reports do not pay. A short range is counted whole. Of a long one, what runs or
needs a person is counted by index (`matrix_busy`), the rest is told from some jobs of each tile; jobs nobody touched cost
nothing, and a dataset whose tasks are all done neither.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from nunatak.core.errors import Invalid
from nunatak.core.states import TaskState
from nunatak.datasets import store as datasets_store
from nunatak.db.statement import Row
from nunatak.tasks.advance import once_done
from nunatak.tasks.context import Context
from nunatak.tasks.looking import matrix_busy
from nunatak.tasks.looking import matrix_store as store
from nunatak.tasks.looking.matrix_busy import EXACT

S = TaskState
Counts = dict[str, int]
Cells = dict[tuple[int, int], Counts]
Plain = dict[str, Any]

COLUMNS, FEWEST = 100, 20
CELLS = 1200
"""Columns and cells at most; recipes of many tasks get fewer columns, down to `FEWEST`."""
ROWS = 40
"""Tasks on one page of the matrix."""
WHOLE = 6000
"""Up to so many rows are counted one by one: a few milliseconds."""
LOOKED_AT = 1000
"""Rows that are looked at where tiles are told from some of their jobs."""


_EXACT = frozenset(EXACT)
NOTHING: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Grid:
    """Which jobs are across: `first` up to `last` (not included), in tiles of `step` jobs."""

    first: int
    last: int
    step: int

    @property
    def columns(self) -> int:
        """How many tiles there are."""
        return math.ceil((self.last - self.first) / self.step)

    def tile(self, column: int) -> tuple[int, int]:
        """Return the jobs of a tile, the last one not included."""
        first = self.first + column * self.step
        return first, min(first + self.step, self.last)

    def picked(self, touched: int, each: int) -> list[int]:
        """Return up to `each` jobs of every tile, evenly, of those that were touched."""
        found: list[int] = []
        for column in range(self.columns):
            first, last = self.tile(column)
            last = min(last, touched)
            n = min(each, last - first)
            found += [first + (2 * i + 1) * (last - first) // (2 * n) for i in range(n)]
        return found


def grid_of(total: int, first: int, last: int | None, tasks: int) -> Grid:
    """Return how to draw jobs `first` up to `last` (all, if not given) of `total`: tiles of 1, 2, 5, 10, ... jobs."""
    first = max(0, min(first, total - 1)) if total else 0
    last = total if last is None else max(first + 1, min(last, total))
    columns = max(FEWEST, min(COLUMNS, CELLS // max(1, tasks)))
    least = max(1, math.ceil((last - first) / columns))
    power = 10 ** (len(str(least)) - 1)
    return Grid(first, last, next(power * n for n in (1, 2, 5, 10) if power * n >= least))


def matrix(tx: Connection, context: Context, *, first: int = 0, last: int | None = None, row: int = 0) -> Plain:
    """Return the matrix of a range of jobs, and of up to `ROWS` tasks from the one with position `row` on.

    `whole` tells whether everything was counted; if not, what is done, ready or waiting is about right, and the rest exact
    (`exact`) or about right too. Raises `Invalid` for a range that is none.
    """
    if first < 0 or row < 0 or (last is not None and last <= first):
        raise Invalid("this is no range of jobs", code="bad-range", hint="`from` is below `to`, both from 0 on")
    limits = datasets_store.FRONTIER(tx, dataset=context.dataset)[0]
    shown = context.graph.per_job[row : row + ROWS]
    grid = grid_of(limits.total, first, last, len(shown))
    tallies = datasets_store.TASK_COUNTS(tx, dataset=context.dataset)
    alike = all_alike(tallies, shown)
    touched = min(grid.last, max(limits.next_job, grid.first)) - grid.first
    whole = bool(alike) or touched * len(context.graph.per_job) <= WHOLE
    sizes = [last - first for first, last in map(grid.tile, range(grid.columns))]
    if alike:
        cells: Cells = {(column, task): {alike[task]: n} for column, n in enumerate(sizes) for task in shown}
    elif whole:
        cells = _entered(store.ALL(tx, last=grid.last, **_where(context, grid)))
    else:
        cells, sizes = _from_some(tx, context, grid, limits.next_job)
    found = None if whole else _busy(tx, context, grid, shown, limits.next_job, tallies)
    implied = _implied(tx, context)
    exact = found.cells if found is not None else None
    columns = [_column(grid, tile, shown, cells, n, implied, limits.next_job, exact) for tile, n in enumerate(sizes)]
    return {
        "first": grid.first,
        "last": grid.last,
        "step": grid.step,
        "total": limits.total,
        "row": row,
        "rows": len(context.graph.per_job),
        "tasks": [context.plan.tasks[task].name for task in shown],
        "columns": columns,
        "once": _once(tx, context),
        "whole": whole,
        "exact": whole or (found is not None and found.exact),
    }


def all_alike(tallies: Sequence[Row], shown: Sequence[int]) -> dict[int, str]:
    """Return the one state that all tasks of each name are in, if so of each that is shown: nothing has to be looked at."""
    states: dict[int, set[str]] = {task: set() for task in shown}
    for row in tallies:
        if row.task in states:
            states[row.task] |= {state for state in datasets_store.STATES if getattr(row, state)}
    return {task: of.pop() for task, of in states.items()} if all(len(of) == 1 for of in states.values()) else {}


def _from_some(tx: Connection, context: Context, grid: Grid, touched: int) -> tuple[Cells, list[int]]:
    """Return what is seen of some jobs of each tile, and how many those are."""
    each = max(1, LOOKED_AT // (grid.columns * len(context.graph.per_job)))
    picked = grid.picked(touched, each)
    looked = Counter((job - grid.first) // grid.step for job in picked)
    rows = store.SOME(tx, v=[(job,) for job in picked], **_where(context, grid))
    return _entered(rows), [looked[column] for column in range(grid.columns)]


def _where(context: Context, grid: Grid) -> dict[str, int]:
    return {"dataset": context.dataset, "first": grid.first, "step": grid.step}


def _busy(
    tx: Connection, context: Context, grid: Grid, shown: Sequence[int], touched: int, tallies: Sequence[Row]
) -> matrix_busy.Found | None:
    tiles = [grid.tile(column) for column in range(grid.columns)]
    looked = [(first, min(last, touched)) for first, last in tiles if first < touched]
    return matrix_busy.busy(tx, context.dataset, looked, shown, tallies)


def _entered(rows: Iterable[Row]) -> Cells:
    cells: Cells = defaultdict(dict)
    for tile, task, state, n in rows:
        cells[tile, task][state] = n
    return cells


def _implied(tx: Connection, context: Context) -> dict[int, str]:
    """Return the state of tasks that have no row: those that begin a job may be ready, all others wait."""
    graph = context.graph
    opened = graph.open_tasks(once_done(tx, context.dataset)) if graph.gated else frozenset(graph.per_job)
    ready, waiting = S.READY.value, S.WAITING.value
    return {task: ready if task in graph.roots and task in opened else waiting for task in graph.per_job}


def _column(
    grid: Grid,
    column: int,
    shown: Sequence[int],
    cells: Cells,
    looked: int,
    implied: Mapping[int, str],
    touched: int,
    exact: Mapping[tuple[int, int], Counts] | None,
) -> Plain:
    """Return one tile: its jobs, and for each task its counts by state, from those of `looked` jobs.

    `exact` are counts of what is busy, if it was counted apart.
    """
    first, last = grid.tile(column)
    untouched = 0 if looked == last - first else last - max(first, min(last, touched))
    found = []
    for task in shown:
        place = column, task
        seen = cells.get(place, NOTHING)
        missing = looked - sum(seen.values())
        if missing > 0:
            seen = {**seen, implied[task]: seen.get(implied[task], 0) + missing}
        counts = scaled(seen, last - first - untouched)
        if untouched:
            counts[implied[task]] = counts.get(implied[task], 0) + untouched
        found.append(counts if exact is None else exactly(counts, exact.get(place, NOTHING)))
    return {"first": first, "last": last, "cells": found}


def scaled(seen: Mapping[str, int], size: int) -> Counts:
    """Return counts in the same shares that add up to `size`; what was seen at all stays at least 1."""
    whole = sum(seen.values())
    if not whole or not size:
        return {}
    if len(seen) == 1:
        return dict.fromkeys(seen, size)
    if whole == size:
        return {state: n for state, n in seen.items() if n}
    found = {state: max(1, n * size // whole) for state, n in seen.items() if n}
    most = max(found, key=found.__getitem__)
    found[most] += size - sum(found.values())
    return found


def exactly(about: Mapping[str, int], busy: Mapping[str, int]) -> Counts:
    """Return counts of which those in `EXACT` states are as counted; the others share what is left as they did."""
    if not busy and _EXACT.isdisjoint(about):
        return dict(about)
    size, counted = sum(about.values()), sum(busy.values())
    known = scaled(busy, size) if counted > size else {state: n for state, n in busy.items() if n}
    rest = {state: n for state, n in about.items() if state not in _EXACT}
    left = max(0, size - counted)
    others = scaled(rest, left) if rest else {S.DONE.value: left} if left else {}
    return {**others, **known}


def _once(tx: Connection, context: Context) -> list[Plain]:
    """Return the tasks done once a dataset, each with its state."""
    states = {row.task: row.state for row in store.ONCE(tx, dataset=context.dataset)} if context.graph.once else {}
    return [
        {
            "task": context.plan.tasks[task].name,
            "address": f"{context.dataset}/{context.plan.tasks[task].name}",
            "state": states.get(task) or str(S.WAITING if context.graph.pending_once(task, 1) else S.READY),
        }
        for task in context.graph.once
    ]
