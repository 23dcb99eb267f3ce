"""Rows of tasks change as an order says, in sets: their states, their open attempts, the marks of their jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from nunatak.core.address import ONCE
from nunatak.core.states import LEASED_STATES, TaskState
from nunatak.datasets import progress
from nunatak.datasets import store as datasets_store
from nunatak.datasets.progress import Moves
from nunatak.db.statement import Row
from nunatak.tasks import ledger, store
from nunatak.tasks.advance import once_done
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.ledger import Stop
from nunatak.tasks.orders import Order
from nunatak.tasks.verdicts.kinds import Action, Kind

S = TaskState
PAGE = 2000


def change(
    tx: Connection, contexts: Contexts, context: Context, given: Order, rows: Sequence[Row], moves: Moves, now: float
) -> int:
    """Move rows to the state the verb asks for; leased attempts are ended and their engines told. Returns how many."""
    if not rows:
        return 0
    leased = [row for row in rows if row.state in LEASED_STATES]
    ending = (Kind.CANCELLED, Action.FAILED) if given.verb == "cancel" else (Kind.HELD, Action.HELD)
    ledger.close_open(tx, contexts, leased, Stop(*ending, given.why), moves, now)
    opened = context.graph.open_tasks(once_done(tx, context.dataset))
    changes = []
    marks: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in rows:
        before, after = TaskState(row.state), _after(given.verb, row, opened)
        tries = 0 if given.verb == "retry" else row.tries
        reason = given.why if after in (S.HELD, S.FAILED) else None
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


def change_every(
    tx: Connection,
    contexts: Contexts,
    context: Context,
    given: Order,
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
            wanted = rows if given.verb == "cancel" else [row for row in rows if row.job not in given_up]
            wanted = _of_group(tx, wanted, given.signature) if given.signature else wanted
            changed += change(tx, contexts, context, given, wanted, moves, now)
    return changed


def _of_group(tx: Connection, rows: Sequence[Row], signature: str) -> list[Row]:
    """Return those whose last attempt ended like the others of a group."""
    keys = [(row.dataset, row.job, row.task, row.attempt) for row in rows]
    found = {(row.job, row.task) for row in store.OF_GROUP(tx, v=keys, signature=signature)} if keys else set()
    return [row for row in rows if (row.job, row.task) in found]


def requeue_leased(
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
