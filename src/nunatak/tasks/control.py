"""What people do to work: hold, release, retry, cancel and close, on datasets, jobs and tasks; running work is ended."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from nunatak.core.address import ONCE, Address
from nunatak.core.errors import Conflict, Invalid
from nunatak.core.states import LEASED_STATES, OPEN_STATES, TaskState
from nunatak.datasets import progress
from nunatak.datasets import store as datasets_store
from nunatak.datasets.progress import Moves
from nunatak.db.statement import Row
from nunatak.tasks import ledger, store
from nunatak.tasks.advance import expect, once_done
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.ledger import Stop
from nunatak.tasks.unfold import touch
from nunatak.tasks.verdicts.kinds import Action, Kind

S = TaskState
PAGE = 2000
VERBS = ("hold", "release", "retry", "cancel", "close")
FROM = {
    "hold": (*OPEN_STATES, S.FAILED),
    "release": (S.HELD,),
    "retry": (S.FAILED, S.HELD),
    "cancel": (*OPEN_STATES, S.HELD),
}


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done, by whom, and why. With a `signature`, a dataset's retry is of one group of failures alone."""

    verb: str
    address: Address
    actor: str
    reason: str = ""
    signature: str = ""


def act(tx: Connection, contexts: Contexts, order: Order, now: float) -> int:
    """Carry out an order in one transaction; returns how many tasks changed (for a dataset's hold: 1).

    Raises `NotFound` for an address that is not there, `Conflict` where it makes no sense in the present state.
    """
    if order.verb not in VERBS:
        raise Invalid(f"cannot {order.verb}", code="bad-verb", hint=f"one of {', '.join(VERBS)}")
    context = contexts.one(tx, order.address.dataset)
    moves = Moves()
    if order.signature:
        changed = _group(tx, contexts, context, order, moves, now)
    elif order.address.level == "dataset":
        changed = _dataset(tx, contexts, context, order, moves, now)
    else:
        if order.verb == "close":
            raise Invalid("only a dataset can be closed", code="bad-level", hint=f"nunatak close {context.dataset}")
        changed = _rows_of(tx, contexts, context, order, moves, now)
    address = order.address
    of = {"signature": order.signature} if order.signature else {}
    detail = json.dumps({"reason": order.reason, "tasks": changed, **of})
    datasets_store.ADD_EVENT(
        tx, dataset=address.dataset, job=address.job, task=address.task, actor=order.actor, verb=order.verb,
        detail=detail, now=now,
    )  # fmt: skip
    moves.settle(context.dataset)
    moves.apply(tx, now)
    return changed


def _dataset(tx: Connection, contexts: Contexts, context: Context, order: Order, moves: Moves, now: float) -> int:
    dataset = context.dataset
    datasets_store.LOCK_FRONTIER(tx, dataset=dataset)  # orders on one dataset come one after the other
    row = datasets_store.DATASET(tx, dataset=dataset)[0]
    flags = {key: bool(getattr(row, key)) for key in ("held", "closed", "cancelled")} | {"reason": row.reason}
    why = f"{order.verb} by {order.actor}" + (f": {order.reason}" if order.reason else "")
    changed = 1
    if order.verb == "hold":
        flags.update(held=True, reason=why)
        _requeue_leased(tx, contexts, context, why, moves, now)
    elif order.verb == "release":
        flags.update(held=False, reason=None)
        _begin_anew(tx, dataset, now)
    elif order.verb == "retry":
        flags.update(held=False, cancelled=False)
        _begin_anew(tx, dataset, now)
        changed = _every(tx, contexts, context, order, [S.FAILED], moves, now)
    elif order.verb == "close":
        flags.update(closed=True, reason=why)
        changed = _drop_untouched(tx, contexts, context, moves, now)
    else:
        if row.state == "done":
            raise Conflict(f"dataset {dataset} is done", code="done")
        flags.update(held=False, closed=True, cancelled=True, reason=why)
        _drop_untouched(tx, contexts, context, moves, now)
        changed = _every(tx, contexts, context, order, FROM["cancel"], moves, now)
    moves.flag(dataset, flags)
    return changed


def _group(tx: Connection, contexts: Contexts, context: Context, order: Order, moves: Moves, now: float) -> int:
    """Try the failed tasks of one group of failures again; all else of the dataset stays as it is."""
    if order.verb != "retry" or order.address.level != "dataset":
        raise Invalid("only retries of a dataset are of a group of failures", code="bad-verb")
    datasets_store.LOCK_FRONTIER(tx, dataset=context.dataset)
    store.FORGET_GROUP(tx, dataset=context.dataset, signature=order.signature)
    return _every(tx, contexts, context, order, [S.FAILED], moves, now)


def _begin_anew(tx: Connection, dataset: int, now: float) -> None:
    """A person lets a dataset go on: what waits for its next try need not wait, what failed before is not held against it."""
    store.END_DELAYS(tx, dataset=dataset, now=now)
    store.FORGET_FAILING(tx, dataset=dataset)


def _requeue_leased(
    tx: Connection,
    contexts: Contexts,
    context: Context,
    why: str,
    moves: Moves,
    now: float,
    states: Iterable[TaskState] = LEASED_STATES,
) -> int:
    """End what is leased of a dataset; the tasks are ready, and stay so until the dataset is released. Returns how many."""
    ended = 0
    for state in states:
        job, task = -2, 0
        while rows := store.LOCKED_ROWS_OF(tx, dataset=context.dataset, state=state, job=job, task=task, n=PAGE):
            job, task = rows[-1].job, rows[-1].task
            ledger.close_open(tx, contexts, rows, Stop(Kind.HELD, Action.AGAIN, why), moves, now)
            changes = [(r.dataset, r.job, r.task, S.READY, r.pending, r.tries, why) for r in rows]
            store.CHANGE(tx, v=changes, now=now)
            for row in rows:
                moves.task(row.dataset, row.task, row.shape, state, S.READY)
            ended += len(rows)
    return ended


def stopped_but_live(tx: Connection) -> bool:
    """Tell whether any held or cancelled dataset has tasks that are ready, queued or running."""
    return bool(datasets_store.STOPPED_DATASETS(tx))


def enforce(tx: Connection, contexts: Contexts, now: float) -> int:
    """Stop what slipped through while a dataset was being held or cancelled; returns how many tasks were changed.

    Claims and reports do not wait for such orders, so one that is under way at the same moment may still make work of the
    dataset leased or ready. Nothing of it is claimed afterwards, and this ends what was.
    """
    changed, moves = 0, Moves()
    for row in datasets_store.STOPPED_DATASETS(tx):
        context = contexts.one(tx, row.dataset)
        datasets_store.LOCK_FRONTIER(tx, dataset=row.dataset)
        if row.cancelled:
            order = Order("cancel", Address(row.dataset), "nunatak", row.reason or "")
            changed += _every(tx, contexts, context, order, FROM["cancel"], moves, now)
        else:
            states = (S.QUEUED,) if row.gentle else LEASED_STATES
            changed += _requeue_leased(tx, contexts, context, row.reason or "held", moves, now, states)
        moves.settle(row.dataset)
    moves.apply(tx, now)
    return changed


def _every(
    tx: Connection,
    contexts: Contexts,
    context: Context,
    order: Order,
    states: Sequence[TaskState],
    moves: Moves,
    now: float,
) -> int:
    """Change every touched task of a dataset that is in one of the states."""
    changed = 0
    given_up = {row.job for row in datasets_store.CANCELLED_JOBS(tx, dataset=context.dataset)}
    for state in states:
        job, task = -2, 0
        while rows := store.LOCKED_ROWS_OF(tx, dataset=context.dataset, state=state, job=job, task=task, n=PAGE):
            job, task = rows[-1].job, rows[-1].task
            wanted = rows if order.verb == "cancel" else [row for row in rows if row.job not in given_up]
            wanted = _of_group(tx, wanted, order.signature) if order.signature else wanted
            changed += _change(tx, contexts, context, order, wanted, moves, now)
    return changed


def _of_group(tx: Connection, rows: Sequence[Row], signature: str) -> list[Row]:
    """Return those whose last attempt ended like the others of a group."""
    keys = [(row.dataset, row.job, row.task, row.attempt) for row in rows]
    found = {(row.job, row.task) for row in store.OF_GROUP(tx, v=keys, signature=signature)} if keys else set()
    return [row for row in rows if (row.job, row.task) in found]


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


def _rows_of(tx: Connection, contexts: Contexts, context: Context, order: Order, moves: Moves, now: float) -> int:
    """Change the tasks of a job, or one task."""
    address = order.address
    wanted = None if address.task is None else context.plan.number(address.task)
    once = wanted is not None and context.plan.tasks[wanted].once
    if once and address.job is not None:
        raise Invalid(
            f"{address.task} is done once a dataset", code="bad-address", hint=f"write {context.dataset}/{address.task}"
        )
    if wanted is not None and not once and address.job is None:
        raise Invalid(
            f"{address.task} is done in every job", code="bad-address", hint=f"write {context.dataset}/0/{address.task}"
        )
    job = ONCE if address.job is None else address.job
    if job != ONCE:
        datasets_store.LOCK_FRONTIER(tx, dataset=context.dataset)
        touch(tx, contexts, context, job, moves, now)
    of_job = store.LOCKED_ROWS(tx, dataset=context.dataset, job=job)
    undone = [row.task for row in of_job if row.state != S.DONE]
    rows = [row for row in of_job if wanted in (None, row.task) and row.state in FROM[order.verb]]
    changed = _change(tx, contexts, context, order, rows, moves, now)
    if changed and job != ONCE:
        _give_up(
            tx, contexts, context, job, [task for task in undone if task in context.graph.gathered], order, moves, now
        )
    if not changed and wanted is not None:
        raise Conflict(
            f"{address} cannot be {PAST[order.verb]} in its present state",
            code="bad-state",
            hint=f"nunatak status {address}",
        )
    return changed


def _give_up(
    tx: Connection,
    contexts: Contexts,
    context: Context,
    job: int,
    undone: Sequence[int],
    order: Order,
    moves: Moves,
    now: float,
) -> None:
    """A cancelled job is given up: tasks that gather all jobs go on without it, until it is tried again."""
    marks = datasets_store.JOB_MARKS(tx, dataset=context.dataset, wanted=[(job,)])
    was = bool(marks and marks[0].cancelled)
    now_given_up = order.verb in ("cancel", "hold") and (
        was or (order.verb == "cancel" and order.address.level == "job")
    )
    if now_given_up != was:
        datasets_store.CANCEL_JOBS(tx, marks=[(context.dataset, job, int(now_given_up))])
        expect(tx, contexts, context, dict.fromkeys(undone, -1 if now_given_up else 1), moves, now)


PAST = {"hold": "held", "release": "released", "retry": "tried again", "cancel": "cancelled"}


def _change(
    tx: Connection, contexts: Contexts, context: Context, order: Order, rows: Sequence[Row], moves: Moves, now: float
) -> int:
    """Move rows to the state the verb asks for; leased attempts are ended and their engines told."""
    if not rows:
        return 0
    why = f"{PAST[order.verb]} by {order.actor}" + (f": {order.reason}" if order.reason else "")
    leased = [row for row in rows if row.state in LEASED_STATES]
    ending = (Kind.CANCELLED, Action.FAILED) if order.verb == "cancel" else (Kind.HELD, Action.HELD)
    ledger.close_open(tx, contexts, leased, Stop(*ending, why), moves, now)
    opened = context.graph.open_tasks(once_done(tx, context.dataset))
    changes = []
    marks: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in rows:
        before, after = TaskState(row.state), _after(order.verb, row, opened)
        tries = 0 if order.verb == "retry" else row.tries
        reason = why if after in (S.HELD, S.FAILED) else None
        changes.append((row.dataset, row.job, row.task, after, row.pending, tries, reason))
        moves.task(row.dataset, row.task, row.shape, before, after)
        if row.job >= 0:
            for place, state in ((1, S.FAILED), (2, S.HELD)):
                marks[row.dataset, row.job][place] += (after is state) - (before is state)
    store.CHANGE(tx, v=changes, now=now)
    of = {context.dataset: len(context.graph.sinks)}
    progress.mark_jobs(tx, moves, {key: (a, b, c) for key, (a, b, c) in marks.items()}, of)
    return len(changes)


def _after(verb: str, row: Row, opened: frozenset[int]) -> TaskState:
    if verb == "hold":
        return S.HELD
    if verb == "cancel":
        return S.FAILED
    free = row.pending == 0 and (row.job == ONCE or row.task in opened)
    return S.READY if free else S.WAITING
