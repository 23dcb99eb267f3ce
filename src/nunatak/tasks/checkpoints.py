"""Checkpoints: what stopped attempts kept is remembered for the next attempt of the task, and goes when the task is done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection

from nunatak.core.work import Outcome
from nunatak.datasets.progress import Moves
from nunatak.db.statement import Row, Statement
from nunatak.tasks import store
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.health.causes import cost_to
from nunatak.tasks.health.events import Cause
from nunatak.tasks.sharing.usage import Amount
from nunatak.tasks.spending import seconds_of
from nunatak.tasks.verdicts.kinds import Action, Kind
from nunatak.tasks.verdicts.model import Verdict

Key = tuple[int, int, int, int, int]  # dataset, job, task, attempt, lease
Task = tuple[int, int, int]  # dataset, job, task
WRONG = frozenset({Kind.COMMAND_FAILED, Kind.USER_ERROR, Kind.OUTPUT_MISSING})
"""Kinds after which what an attempt went on from is not trusted any more: it may be the reason."""

_TASK = "dataset int, job int, task int"
KEPT = Statement(
    "SELECT c.dataset, c.job, c.task, c.url, c.size, c.sha256 FROM {v} JOIN checkpoints c ON c.dataset = v.dataset"
    " AND c.job = v.job AND c.task = v.task",
    v=_TASK,
)
STANDING = Statement(
    "SELECT a.dataset, a.job, a.task, a.attempt, a.lease, t.state, c.attempt AS latest, c.url AS old, a.engine,"
    " a.verdict, a.claimed, a.started, a.ended, a.wall, a.cpu FROM {v}"
    " JOIN attempts a ON a.dataset = v.dataset AND a.job = v.job AND a.task = v.task AND a.attempt = v.attempt"
    " AND a.lease = v.lease JOIN tasks t ON t.dataset = v.dataset AND t.job = v.job AND t.task = v.task"
    " LEFT JOIN checkpoints c ON c.dataset = v.dataset AND c.job = v.job AND c.task = v.task",
    v=f"{_TASK}, attempt int, lease big",
)
KEEP = Statement(
    "INSERT INTO checkpoints (dataset, job, task, attempt, url, size, sha256, saved)"
    " SELECT dataset, job, task, attempt, url, size, digest, saved FROM {v} WHERE true ORDER BY dataset, job, task"
    " ON CONFLICT (dataset, job, task) DO UPDATE SET attempt = excluded.attempt, url = excluded.url, size = excluded.size,"
    " sha256 = excluded.sha256, saved = excluded.saved WHERE excluded.attempt >= checkpoints.attempt",
    v=f"{_TASK}, attempt int, url text, size big, digest text, saved real",
)
FORGET = Statement(
    "DELETE FROM checkpoints WHERE (dataset, job, task) IN (SELECT dataset, job, task FROM {v}) RETURNING dataset, url",
    v=_TASK,
)


class Kept(NamedTuple):
    """A checkpoint that the next attempt may go on from; `size` in bytes."""

    url: str
    size: int
    sha256: str


def of_tasks(tx: Connection, tasks: Iterable[Task]) -> dict[Task, Kept]:
    """Return the latest checkpoint of each task that has one."""
    wanted = sorted(set(tasks))
    rows = KEPT(tx, v=wanted) if wanted else ()
    return {(row.dataset, row.job, row.task): Kept(row.url, row.size, row.sha256) for row in rows}


def note(
    tx: Connection,
    contexts: Contexts,
    known: Mapping[int, Context],
    verdicts: Mapping[Key, Verdict],
    closed: Mapping[Key, Row],
    ended: Mapping[Key, Outcome],
    moves: Moves,
    now: float,
) -> None:
    """Remember what ended attempts kept, those that were stopped by us and report late too; let go of what is over.

    The time that a checkpoint saved is not lost: it moves from the cause of the attempt's end to what was well spent.
    """
    over = [key[:3] for key in closed if _is_over(known[key[0]], key, verdicts[key], ended[key])]
    gone = [(row.url, row.dataset) for row in FORGET(tx, v=sorted(over))] if over else []
    told = {key: outcome for key, outcome in ended.items() if _record(outcome)}
    if told:
        gone += _keep(tx, contexts, told, moves, now)
    if gone:
        store.EXPIRE_FILES(tx, v=sorted(set(gone)), now=now)


def _is_over(context: Context, key: Key, verdict: Verdict, outcome: Outcome) -> bool:
    """Tell whether a checkpoint of earlier attempts is of no more use: the task is done, or has failed from there."""
    if key[3] == 1 or not context.plan.tasks[key[2]].checkpoint:
        return False
    return verdict.action is Action.DONE or (verdict.kind in WRONG and "resumed" in outcome.detail)


def _record(outcome: Outcome) -> Mapping[str, Any] | None:
    record = outcome.detail.get("checkpoint") if outcome.detail else None
    if not isinstance(record, Mapping):
        return None
    url, size, sha256 = record.get("url"), record.get("size"), record.get("sha256")
    sound = isinstance(url, str) and isinstance(size, int) and isinstance(sha256, str) and len(sha256) == 64
    return record if sound else None


def _keep(
    tx: Connection, contexts: Contexts, told: Mapping[Key, Outcome], moves: Moves, now: float
) -> list[tuple[str, int]]:
    """Keep those that are the latest of their task; return (URL, dataset) of all that are not needed any more."""
    rows, gone = [], []
    for row in STANDING(tx, v=sorted(told)):
        outcome = told[tuple(row[:5])]
        record = outcome.detail["checkpoint"]
        if row.state == "done" or (row.latest or 0) > row.attempt:
            gone.append((record["url"], row.dataset))
            continue
        rows.append((*row[:4], record["url"], record["size"], record["sha256"], outcome.saved))
        if row.latest != row.attempt:  # else it was said before
            _save(contexts, row, outcome.saved, moves, now)
        if row.old and row.old != record["url"]:
            gone.append((row.old, row.dataset))
    latest = {row[:3]: row for row in sorted(rows)}  # of several attempts of a task, the last
    gone += [(row[4], row[0]) for row in rows if row is not latest[row[:3]]]
    if latest:
        KEEP(tx, v=list(latest.values()))
    return gone


def _save(contexts: Contexts, row: Row, saved: float, moves: Moves, now: float) -> None:
    """Count the seconds that a checkpoint kept of an attempt as well spent, as far as the attempt lasted."""
    lasted = seconds_of(row.claimed, row.started, row.ended, row.wall, row.ended)
    part = min(1.0, saved / lasted) if lasted > 0 else 0.0
    amounts = (part * lasted, part * (row.cpu or 0.0), 0.0, 0.0)  # what was occupied is the same
    nothing = contexts.decay.entry(Amount(0.0, 0.0), now)
    moves.spend((row.dataset, row.engine, Cause.OK), 0, amounts, nothing)
    lost_to = cost_to(row.verdict, began=row.started is not None)
    moves.spend((row.dataset, row.engine, lost_to), 0, [-amount for amount in amounts], nothing)
