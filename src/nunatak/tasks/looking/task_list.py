"""Read model: tasks of a dataset by states, name and range of jobs. A page reads a bounded number of rows, and may be short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from nunatak.core.errors import Invalid
from nunatak.core.states import TaskState
from nunatak.datasets import store as datasets_store
from nunatak.db.statement import Row
from nunatak.tasks.context import Context
from nunatak.tasks.looking import look_store as store
from nunatak.tasks.looking.lists import task_row
from nunatak.tasks.looking.look import Page

S = TaskState
LIMIT, CHUNK, MOST_READ = 100, 500, 4000
MOST_KINDS = 20
"""Names and shapes of ready tasks that are looked for one by one."""
BEYOND = 1 << 20
"""A task's number above all."""
Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Which:
    """Which tasks: of `states` (all, if empty), of one name, of jobs from `first` up to `last` (not included)."""

    states: tuple[str, ...] = ()
    task: str = ""
    first: int | None = None
    last: int | None = None


def tasks(tx: Connection, context: Context, which: Which, after: Key | None = None) -> Page:
    """Return touched tasks in order of job and task, and `next` where to go on. Raises `Invalid` or `NotFound`.

    A page ends early where few of many rows are wanted: `upto` then says to which job it looked.
    """
    for state in which.states:
        if state not in list(S):
            raise Invalid(f"{state!r} is no state of a task", code="bad-state", hint=f"one of {', '.join(S)}")
    only = context.plan.number(which.task) if which.task else None
    key = after or ((-2, 0) if which.first is None else (which.first - 1, BEYOND))
    found: list[Row] = []
    states = _there(tx, context, which.states, only)
    more, read = bool(states) or not which.states, 0
    while more and len(found) <= LIMIT and read < MOST_READ:
        # what an index has in order is read as far as it is shown; where others lie between, more of it
        n = CHUNK if read or S.DONE in which.states else min(CHUNK, LIMIT + 1)
        rows, bound = _chunk(tx, context, states, only, key, n)
        read += len(rows)
        more = bound is not None
        key = bound or key
        for row in rows:
            if which.last is not None and row.job >= which.last:
                more = False
                break
            if only in (None, row.task) and (not which.states or row.state in which.states):
                found.append(row)
    page = found[:LIMIT]
    following = (page[-1].job, page[-1].task) if len(found) > LIMIT else key if more else None
    return {
        "items": [task_row(context, row) for row in page],
        "next": f"{following[0]}.{following[1]}" if following else None,
        "upto": following[0] if following and len(found) <= LIMIT else None,
    }


def _there(tx: Connection, context: Context, states: Sequence[str], only: int | None) -> list[str]:
    """Return those of some states that tasks are in, by the counts that are kept."""
    rows = datasets_store.TASK_COUNTS(tx, dataset=context.dataset) if states else ()
    return [state for state in states if any(getattr(row, state) for row in rows if only in (None, row.task))]


def _chunk(
    tx: Connection, context: Context, states: Sequence[str], only: int | None, key: Key, n: int
) -> tuple[list[Row], Key | None]:
    """Return the next rows in order, and where to go on; None: that was all."""
    where: dict[str, Any] = {"dataset": context.dataset, "job": key[0], "task": key[1], "n": n}
    touched, unfinished = (store.TOUCHED, store.UNFINISHED) if only is None else (store.TOUCHED_OF, store.UNFINISHED_OF)
    of = {} if only is None else {"only": only}
    if not states or S.DONE in states:
        parts = [touched(tx, **where, **of)]
    else:
        parts = [unfinished(tx, state=state, **where, **of) for state in states if state != S.READY]
        parts += _ready(tx, where, only) if S.READY in states else []
    ends = [(part[-1].job, part[-1].task) for part in parts if len(part) == n]
    bound = min(ends) if ends else None
    rows = sorted((row for part in parts for row in part), key=lambda row: (row.job, row.task))
    return [row for row in rows if bound is None or (row.job, row.task) <= bound], bound


def _ready(tx: Connection, where: Mapping[str, Any], only: int | None) -> list[Sequence[Row]]:
    """Return the next ready tasks: of each name and shape, as their index has them; sorting all would read all of them."""
    counts = datasets_store.TASK_COUNTS(tx, dataset=where["dataset"])
    kinds = [(row.task, row.shape) for row in counts if row.ready and only in (None, row.task)]
    if len(kinds) > MOST_KINDS:
        return [store.READY(tx, **where)]
    job, task = where["job"], where["task"]
    parts = [
        store.READY_OF(tx, **{**where, "job": job - (number > task), "only": number, "shape": shape})
        for number, shape in kinds
    ]
    return [*parts, store.LATER(tx, **where)]
