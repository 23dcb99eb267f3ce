"""Reports of engines: attempts that began and attempts that ended. Batches, idempotent; a stale key changes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection

from nunatak.core.states import TaskState
from nunatak.core.work import Outcome, Shape
from nunatak.datasets import progress
from nunatak.datasets.progress import Moves
from nunatak.db.statement import Row
from nunatak.tasks import checkpoints, failures, following, ledger, nodes, store
from nunatak.tasks.advance import advance
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.elsewhere import avoid_text
from nunatak.tasks.expire import expire_temporary
from nunatak.tasks.health.news import News
from nunatak.tasks.judging import Chance, Judged, Key, judge_all
from nunatak.tasks.lessons import Lessons, note
from nunatak.tasks.shapes import number_of
from nunatak.tasks.spending import Spending
from nunatak.tasks.verdicts.kinds import RETRIED, Action
from nunatak.tasks.verdicts.model import NOWHERE, Verdict

S = TaskState

AFTER: Mapping[Action, TaskState] = {
    Action.DONE: S.DONE,
    Action.AGAIN: S.READY,
    Action.ELSEWHERE: S.READY,
    Action.FAILED: S.FAILED,
    Action.HELD: S.HELD,
    Action.HOLD_DATASET: S.FAILED,
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


def report_many(
    tx: Connection, contexts: Contexts, batches: Sequence[Batch], now: float, chance: Chance, lessons: Lessons
) -> list[Receipt]:
    """Take the reports of several engines in one transaction; returns a receipt for each, in order.

    `chance` returns random numbers from 0 to 1, which spread the delays of retries.
    """
    started = [item for batch in batches for item in batch.started]
    unique = {item.key: item.outcome for batch in batches for item in batch.ended}
    engines = {item.key: batch.engine for batch in batches for item in batch.ended}
    known = contexts.of(tx, {item.key[0] for item in started} | {key[0] for key in unique})
    moves, news = Moves(), News(now)
    news.begun((batch.engine, item.host) for batch in batches for item in batch.started if item.host)
    if started:
        _start(tx, started, moves)
    closed = _end(tx, contexts, known, unique, moves, now, chance, lessons, news) if unique else set()
    nodes.tell(tx, news)
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
    chance: Chance,
    lessons: Lessons,
    news: News,
) -> set[Key]:
    """End attempts whose key is open. Returns the keys that were."""
    judged = judge_all(tx, contexts, known, ended, now, chance)
    verdicts = judged.verdicts
    contexts.book.enter(tx, {verdict.shape for verdict in verdicts.values() if verdict.shape})
    rows = []
    for key, verdict in sorted(verdicts.items()):
        shape = number_of(verdict.shape) if verdict.shape else 0
        not_before = now + verdict.delay if verdict.action in RETRIED else 0.0
        reason = None if verdict.action is Action.DONE else verdict.message
        avoid = (
            avoid_text(verdict, judged.pool, _next_shape(judged, key))
            if judged.pool and verdict.avoid != NOWHERE
            else None
        )
        rows.append((*key, AFTER[verdict.action], shape, int(verdict.counts), not_before, reason, avoid))
    keys = {key[:4]: key for key in verdicts}
    closed = {keys[tuple(row[:4])]: row for row in store.END(tx, v=rows, now=now)}
    _write(tx, closed, judged, ended, moves, now)
    _mark(tx, known, closed, verdicts, moves)
    done = [key[:3] for key in closed if verdicts[key].action is Action.DONE]
    jobs_done = advance(tx, contexts, known, done, moves, now) if done else []
    following.note(tx, contexts, done, now)
    expire_temporary(tx, known, jobs_done, now)
    checkpoints.note(tx, contexts, known, verdicts, closed, ended, moves, now)
    failures.note(tx, judged, closed, ended, moves, now)
    note(tx, contexts, lessons, judged, closed, ended, now)
    _spend(tx, contexts, closed, verdicts, ended, moves, now)
    nodes.note(news, verdicts, closed, ended)
    return set(closed)


def _next_shape(judged: Judged, key: Key) -> Shape:
    return judged.verdicts[key].shape or judged.before[key].shape


def _write(
    tx: Connection,
    closed: Mapping[Key, Row],
    judged: Judged,
    ended: Mapping[Key, Outcome],
    moves: Moves,
    now: float,
) -> None:
    entries = []
    for key, row in closed.items():
        verdict, before_shape = judged.verdicts[key], judged.rows.get(key)
        shape = before_shape.shape if before_shape is not None else row.shape
        entries.append(ledger.entry(row, key[4], ended[key], verdict, now))
        before = S.QUEUED if row.started is None else S.RUNNING
        after = AFTER[verdict.action]
        if shape == row.shape:
            moves.task(row.dataset, row.task, shape, before, after)
        else:
            moves.task(row.dataset, row.task, shape, before, None)
            moves.task(row.dataset, row.task, row.shape, None, after)
    if entries:
        store.ADD_ATTEMPTS(tx, entries)


def _spend(
    tx: Connection,
    contexts: Contexts,
    closed: Mapping[Key, Row],
    verdicts: Mapping[Key, Verdict],
    ended: Mapping[Key, Outcome],
    moves: Moves,
    now: float,
) -> None:
    spending = Spending(contexts.book.shapes(tx, {row.asked for row in closed.values()}), now)
    for key, row in closed.items():
        spending.ended(row, verdicts[key].kind, ended[key])
    spending.hand_over(contexts, moves)


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
        state = AFTER[action]
        if key[1] >= 0 and state in (S.FAILED, S.HELD):
            marks[key[:2]][1 if state is S.FAILED else 2] += 1
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
