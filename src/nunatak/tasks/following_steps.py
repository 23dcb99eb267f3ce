"""The steps of the loop that lets go on what waits for other datasets. Each may be broken off anywhere, and done twice.

Counts tell what there is to do: how many arrivals were noted and not taken, how many tasks are done of which none was noted,
and what is left of a dataset that is waited for as a whole.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection

from nunatak.core.address import ONCE
from nunatak.datasets import store as datasets_store
from nunatak.datasets.progress import Moves
from nunatak.db.statement import Row
from nunatak.tasks import following_store as store
from nunatak.tasks.advance import open_gates, release
from nunatak.tasks.context import Contexts

PAGE = 500
"""Of what waits, looked at at a time."""
TAKEN = 2000
"""Jobs let go on in one transaction."""
SWEPT = 10_000
"""Jobs of another dataset looked through in one transaction."""


class Step(StrEnum):
    """What there is to do."""

    TAKE = "take"  # let jobs go on that were noted
    SWEEP = "sweep"  # note what is done and was not noted
    OPEN = "open"  # what is waited for is there
    ASK = "ask"  # it is, if those that failed are given up


class Standing(NamedTuple):
    """What the counts say: `left` tasks are not done, of which `needy` failed or are held; `done` are.

    `noted` were told of and not taken yet, `seen` were taken, of which `passed` are of one of the `total` jobs here.
    """

    each: bool
    done: int
    left: int
    needy: int
    noted: int = 0
    seen: int = 0
    passed: int = 0
    total: int = 0


def standing(row: Row) -> Standing:
    """Read a row of `following_store.STANDING`."""
    needy = int(row.failed + row.held)
    left = int(row.waiting + row.ready + row.queued + row.running) + needy
    return Standing(
        bool(row.each_job), int(row.done), left, needy, int(row.news), row.seen, row.passed, int(row.total)
    )  # fmt: skip


def steps(of: Standing) -> tuple[Step, ...]:
    """Decide what to do now."""
    if not of.each:
        if not of.left:
            return (Step.OPEN,)
        return (Step.ASK,) if of.left == of.needy else ()
    found = [Step.TAKE] if of.noted else []
    if of.done > of.seen + of.noted:
        found.append(Step.SWEEP)
    if not found and of.passed >= of.total:
        return (Step.OPEN,)
    return tuple(found)


def closed(tx: Connection, after: tuple[int, int]) -> list[Row]:
    """Return a page of what is waited for, from the one after (dataset, number) on."""
    return list(store.CLOSED(tx, dataset=after[0], number=after[1], n=PAGE))


def take(tx: Connection, contexts: Contexts, row: Row, now: float) -> int:
    """Let jobs go on whose like is done in the other dataset; returns how many were taken."""
    dataset, number = row.dataset, row.number
    limits = datasets_store.LOCK_FRONTIER(tx, dataset=dataset)[0]
    total = limits.total
    jobs = [item.job for item in store.NEW(tx, dataset=dataset, number=number, n=TAKEN)]
    if jobs:
        store.TAKE(tx, v=[(dataset, number, job) for job in jobs])
    here = [job for job in jobs if job < total]
    moves = Moves()
    if here:
        context = contexts.one(tx, dataset)
        release(tx, contexts, {dataset: context}, {dataset: Counter((job, row.task) for job in here)}, moves, now)
        if not context.graph.roots and here[-1] >= limits.next_job:  # else jobs are opened by claims, in their order
            datasets_store.SET_FRONTIER(tx, dataset=dataset, next_job=here[-1] + 1, total=total)
    if jobs:
        store.PASS(tx, dataset=dataset, number=number, seen=len(jobs), passed=len(here), total=total, now=now)
    moves.apply(tx, now)
    return len(jobs)


def sweep(tx: Connection, row: Row, first: int) -> tuple[int, int]:
    """Note what is done of some jobs from `first` on and was not noted; returns how many, and the next job (0: no more)."""
    last = store.LAST_DONE(tx, dataset=row.other)[0].job
    found = store.SWEEP(
        tx, dataset=row.dataset, number=row.number, other=row.other, task=row.other_task, first=max(0, first),
        last=first + SWEPT,
    )  # fmt: skip
    return len(found), first + SWEPT if last is not None and last >= first + SWEPT else 0


def given_up(tx: Connection, row: Row) -> bool:
    """Tell whether all that is not done of what is waited for is of jobs that a person gave up."""
    found: int = store.GIVEN_UP(tx, dataset=row.other, task=row.other_task)[0].n
    return found >= standing(row).left


def open_(tx: Connection, contexts: Contexts, row: Row, now: float) -> bool:
    """Open what waited for another dataset; tells whether it was closed until now."""
    dataset = row.dataset
    datasets_store.LOCK_FRONTIER(tx, dataset=dataset)
    if not store.OPEN(tx, dataset=dataset, number=row.number, now=now):
        return False
    context, moves = contexts.one(tx, dataset), Moves()
    if row.number in context.graph.awaits[row.task]:
        release(tx, contexts, {dataset: context}, {dataset: Counter({(ONCE, row.task): 1})}, moves, now)
    elif not row.each_job:
        open_gates(tx, context, {row.task}, moves, now)
    moves.apply(tx, now)
    return True
