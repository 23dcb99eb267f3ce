"""Reports of engines: attempts that began and attempts that ended. Batches, idempotent; a stale key changes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection

from nunatak.core.states import TaskState
from nunatak.core.work import Outcome, Reason, Shape
from nunatak.datasets import progress
from nunatak.datasets.progress import Moves
from nunatak.db.statement import Row
from nunatak.tasks import ledger, store
from nunatak.tasks.advance import advance
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.expire import expire_temporary
from nunatak.tasks.judge import Action, History, Verdict, judge
from nunatak.tasks.shapes import number_of

S = TaskState
Key = tuple[int, int, int, int, int]  # dataset, job, task, attempt, lease

NO_HISTORY = History(0, Shape())

AFTER: Mapping[Action, TaskState] = {
    Action.DONE: S.DONE,
    Action.AGAIN: S.READY,
    Action.FAILED: S.FAILED,
    Action.HELD: S.HELD,
}


class Started(NamedTuple):
    """An attempt began to run on `host` at `at` (seconds since the epoch)."""

    key: Key
    at: float
    host: str


class Ended(NamedTuple):
    """An attempt ended with an outcome."""

    key: Key
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Batch:
    """What one engine reports at once."""

    engine: int
    started: Sequence[Started]
    ended: Sequence[Ended]


@dataclass(frozen=True, slots=True)
class Receipt:
    """How many reports were taken, and which came with a key that is not (or no longer) open."""

    taken: int
    stale: tuple[Key, ...]


def report_many(tx: Connection, contexts: Contexts, batches: Sequence[Batch], now: float) -> list[Receipt]:
    """Take the reports of several engines in one transaction; returns a receipt for each, in order."""
    started = [item for batch in batches for item in batch.started]
    unique = {item.key: item.outcome for batch in batches for item in batch.ended}
    engines = {item.key: batch.engine for batch in batches for item in batch.ended}
    known = contexts.of(tx, {item.key[0] for item in started} | {key[0] for key in unique})
    moves = Moves()
    if started:
        _start(tx, started, moves)
    closed = _end(tx, contexts, known, unique, moves, now) if unique else set()
    late = unique.keys() - closed
    stale = _stale(tx, engines, {key: unique[key] for key in late}, now) if late else frozenset()
    moves.apply(tx, now)
    if late:  # only attempts that we ended ourselves have a stop to be cleared
        store.CLEAR_STOPS(tx, v=[(engines[key], *key[:4]) for key in sorted(late)])
    return [_receipt(batch, stale) for batch in batches]


def _receipt(batch: Batch, stale: frozenset[Key]) -> Receipt:
    strange = tuple(sorted({item.key for item in batch.ended} & stale))
    return Receipt(
        len({item.key for item in batch.started}) + len({i.key for i in batch.ended}) - len(strange), strange
    )


def _start(tx: Connection, started: Sequence[Started], moves: Moves) -> None:
    rows = {item.key: (*item.key, item.at, item.host) for item in started}
    for row in store.START(tx, v=sorted(rows.values())):
        moves.task(row.dataset, row.task, row.shape, S.QUEUED, S.RUNNING)


def _end(
    tx: Connection,
    contexts: Contexts,
    known: Mapping[int, Context],
    ended: Mapping[Key, Outcome],
    moves: Moves,
    now: float,
) -> set[Key]:
    """End attempts whose key is open. Returns the keys that were."""
    verdicts, old_shapes = _judge(tx, contexts, known, ended)
    contexts.book.enter(tx, {verdict.shape for verdict in verdicts.values() if verdict.shape})
    rows = []
    for key, verdict in sorted(verdicts.items()):
        shape = number_of(verdict.shape) if verdict.shape else 0
        not_before = now + verdict.delay if verdict.action is Action.AGAIN else 0.0
        reason = None if verdict.action is Action.DONE else verdict.message
        rows.append((*key, AFTER[verdict.action], shape, int(verdict.counts), not_before, reason))
    keys = {key[:4]: key for key in verdicts}
    closed = {keys[tuple(row[:4])]: row for row in store.END(tx, v=rows, now=now)}
    _write(tx, closed, verdicts, old_shapes, ended, moves, now)
    _mark(tx, known, closed, verdicts, moves)
    done = [key[:3] for key in closed if verdicts[key].action is Action.DONE]
    jobs_done = advance(tx, contexts, known, done, moves, now) if done else []
    expire_temporary(tx, known, jobs_done, now)
    return set(closed)


def _judge(
    tx: Connection, contexts: Contexts, known: Mapping[int, Context], ended: Mapping[Key, Outcome]
) -> tuple[dict[Key, Verdict], dict[Key, int]]:
    """Judge each outcome; the history is read only for those that did not go well."""
    bad = [key for key, outcome in ended.items() if outcome.reason is not Reason.OK]
    rows = {tuple(row[:5]): row for row in store.OPEN_ATTEMPTS(tx, v=sorted(bad))} if bad else {}
    shapes = contexts.book.shapes(tx, {row.shape for row in rows.values()})
    verdicts: dict[Key, Verdict] = {}
    for key, outcome in ended.items():
        row = rows.get(key)
        if row is None and outcome.reason is not Reason.OK:
            continue  # stale
        retry = known[key[0]].plan.tasks[key[2]].retry
        history = History(row.tries, shapes[row.shape]) if row is not None else NO_HISTORY
        free = row.free if row is not None else 0
        verdicts[key] = judge(outcome, history, retry, free_tries=free)
    return verdicts, {key: row.shape for key, row in rows.items()}


def _write(
    tx: Connection,
    closed: Mapping[Key, Row],
    verdicts: Mapping[Key, Verdict],
    old_shapes: Mapping[Key, int],
    ended: Mapping[Key, Outcome],
    moves: Moves,
    now: float,
) -> None:
    entries = []
    for key, row in closed.items():
        verdict = verdicts[key]
        shape = old_shapes.get(key, row.shape)
        entries.append(ledger.entry(row, key[4], shape, ended[key], verdict, now))
        before = S.QUEUED if row.started is None else S.RUNNING
        after = AFTER[verdict.action]
        if shape == row.shape:
            moves.task(row.dataset, row.task, shape, before, after)
        else:
            moves.task(row.dataset, row.task, shape, before, None)
            moves.task(row.dataset, row.task, row.shape, None, after)
    if entries:
        store.ADD_ATTEMPTS(tx, entries)


def _mark(
    tx: Connection,
    known: Mapping[int, Context],
    closed: Mapping[Key, Row],
    verdicts: Mapping[Key, Verdict],
    moves: Moves,
) -> None:
    """Mark the jobs of tasks that failed or were held."""
    marks: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for key in closed:
        action = verdicts[key].action
        if key[1] >= 0 and action in (Action.FAILED, Action.HELD):
            marks[key[:2]][1 if action is Action.FAILED else 2] += 1
    if marks:
        of = {dataset: len(context.graph.sinks) for dataset, context in known.items()}
        progress.mark_jobs(tx, moves, {key: (a, b, c) for key, (a, b, c) in marks.items()}, of)


def _stale(tx: Connection, engines: Mapping[Key, int], late: Mapping[Key, Outcome], now: float) -> frozenset[Key]:
    """Return the keys that were not open, leaving a record; one that ended just so before is a repetition, not stale."""
    again = {tuple(row) for row in store.ENDED_BEFORE(tx, v=sorted(late))}
    stale = [key for key in sorted(late) if (*key[:4], late[key].reason) not in again]
    if stale:
        rows = [(engines[key], *key, late[key].reason, late[key].usage.wall, late[key].usage.cpu) for key in stale]
        store.ADD_STALE(tx, v=rows, now=now)
    return frozenset(stale)
