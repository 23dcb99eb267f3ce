"""What people do to work: hold, release, retry, cancel and close, on datasets, jobs and tasks; running work is ended."""

from __future__ import annotations

import json
from itertools import groupby

from sqlalchemy import Connection

from nunatak.core.address import Address
from nunatak.core.errors import Conflict, Invalid
from nunatak.core.states import TaskState
from nunatak.datasets import store as datasets_store
from nunatak.datasets.progress import Moves
from nunatak.tasks import store
from nunatak.tasks.advance import expect, once_done
from nunatak.tasks.changing import change_every, requeue_leased
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.orders import FROM, Order
from nunatak.tasks.picked import change_picked

S = TaskState


def act(tx: Connection, contexts: Contexts, given: Order, now: float) -> int:
    """Carry out an order in one transaction; returns how many tasks changed or jobs were dropped.

    A dataset that is held or released counts as 1, or 0 if it was so already.
    The number of statements depends on the datasets, not on how many jobs and tasks are picked of them.
    Raises `NotFound` for an address that is not there, `Conflict` where it makes no sense in the present state.
    """
    if given.signature and (given.verb != "retry" or any(at.level != "dataset" for at in given.addresses)):
        raise Invalid("only retries of a dataset are of a group of failures", code="bad-verb")
    moves = Moves()
    changed: dict[Address, int] = {}
    by_dataset = sorted(given.addresses, key=lambda at: at.dataset)
    for dataset, group in groupby(by_dataset, key=lambda at: at.dataset):
        addresses = list(group)
        context = contexts.one(tx, dataset)
        for at in addresses:
            if at.level == "dataset":
                changed[at] = _dataset(tx, contexts, context, given, moves, now)
        picked = [at for at in addresses if at.level != "dataset"]
        if picked:
            changed |= change_picked(tx, contexts, context, given, picked, moves, now)
        moves.settle(dataset)
    _note(tx, given, changed, now)
    moves.apply(tx, now)
    return sum(changed.values())


def _note(tx: Connection, given: Order, changed: dict[Address, int], now: float) -> None:
    """Write an order into the history, under each of its addresses."""
    of = {"signature": given.signature} if given.signature else {}
    rows = [
        (at.dataset, at.job, at.task, json.dumps({"reason": given.reason, "tasks": n, **of}))
        for at, n in sorted(changed.items(), key=lambda item: str(item[0]))
    ]
    if rows:
        datasets_store.ADD_EVENTS(tx, v=rows, actor=given.actor, verb=given.verb, now=now)


def _dataset(tx: Connection, contexts: Contexts, context: Context, given: Order, moves: Moves, now: float) -> int:
    dataset = context.dataset
    datasets_store.LOCK_FRONTIER(tx, dataset=dataset)  # orders on one dataset come one after the other
    if given.signature:  # all else of the dataset stays as it is
        store.FORGET_GROUP(tx, dataset=dataset, signature=given.signature)
        return change_every(tx, contexts, context, given, [S.FAILED], moves, now)
    row = datasets_store.DATASET(tx, dataset=dataset)[0]
    flags = {key: bool(getattr(row, key)) for key in ("held", "closed", "cancelled")} | {"reason": row.reason}
    why = given.as_said(given.verb)
    changed = 1
    if given.verb == "hold":
        changed = int(not row.held or bool(row.gentle))
        flags.update(held=True, reason=why)
        requeue_leased(tx, contexts, context, why, moves, now)
    elif given.verb == "release":
        changed = int(bool(row.held))
        flags.update(held=False, reason=None)
        _begin_anew(tx, dataset, now)
    elif given.verb == "retry":
        flags.update(held=False, cancelled=False)
        _begin_anew(tx, dataset, now)
        changed = change_every(tx, contexts, context, given, [S.FAILED], moves, now)
    elif given.verb == "close":
        flags.update(closed=True, reason=why)
        changed = _drop_untouched(tx, contexts, context, moves, now)
    else:
        if row.state == "done":
            if given.lenient:
                return 0
            raise Conflict(f"dataset {dataset} is done", code="done")
        flags.update(held=False, closed=True, cancelled=True, reason=why)
        changed = _drop_untouched(tx, contexts, context, moves, now)
        changed += change_every(tx, contexts, context, given, FROM["cancel"], moves, now)
    moves.flag(dataset, flags)
    return changed


def _begin_anew(tx: Connection, dataset: int, now: float) -> None:
    """A person lets a dataset go on: what waits for its next try need not wait, what failed before is not held against it."""
    store.END_DELAYS(tx, dataset=dataset, now=now)
    store.FORGET_FAILING(tx, dataset=dataset)


def _drop_untouched(tx: Connection, contexts: Contexts, context: Context, moves: Moves, now: float) -> int:
    """Give up the jobs nobody has touched: those from the last touched one on. Returns how many jobs were dropped."""
    dataset = context.dataset
    limits = datasets_store.LOCK_FRONTIER(tx, dataset=dataset)[0]
    last = store.LAST_TOUCHED(tx, dataset=dataset)[0].job
    keep = max(limits.next_job, (last if last is not None else -1) + 1)
    dropped = int(limits.total - keep)
    if dropped <= 0:
        return 0
    datasets_store.SET_FRONTIER(tx, dataset=dataset, next_job=limits.next_job, total=keep)
    opened = context.graph.open_tasks(once_done(tx, dataset))
    for task in context.graph.per_job:
        ready = task in context.graph.roots and task in opened
        moves.task(dataset, task, context.base[task], S.READY if ready else S.WAITING, None, dropped)
    moves.new_jobs(dataset, -dropped)
    expect(tx, contexts, context, dict.fromkeys(context.graph.gathered, -dropped), moves, now)
    return dropped
