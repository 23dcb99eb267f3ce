"""The ledger of attempts: one row for each that ended, written in the transaction that ends it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection

from nunatak.core.work import FileRecord, Outcome, Reason
from nunatak.datasets.progress import Moves
from nunatak.db.statement import Row
from nunatak.tasks import spending, store
from nunatak.tasks.context import Contexts
from nunatak.tasks.verdicts.kinds import Action, Kind
from nunatak.tasks.verdicts.model import Verdict

ELSEWHERE = ("tail", "course", "speed")
"""What a worker tells in the detail, and that is kept elsewhere."""
SKEW = 5.0
"""Seconds by which clocks may differ; what differs by less is recorded as it was told."""


def by_our_clock(claimed: float, started: float | None, ended: float, now: float) -> tuple[float | None, float]:
    """Return when an attempt started and ended, told by a node whose clock may be hours wrong; seconds since the epoch.

    It was claimed before it started, and ended before it was reported. Times that say otherwise tell only how long it
    took: then it ended now.
    """
    begun = ended if started is None else started
    if claimed - SKEW <= begun <= ended <= now + SKEW:
        return started, ended
    took = max(0.0, ended - begun)
    took = min(took, now - claimed) if now >= claimed else took
    return (None if started is None else now - took), now


def entry(row: Row, lease: int, outcome: Outcome, verdict: Verdict, now: float) -> tuple[Any, ...]:
    """Return the ledger's row for an attempt that was open as `row` says."""
    usage = outcome.usage
    started = outcome.started if outcome.started is not None else row.started
    started, ended = by_our_clock(row.claimed, started, outcome.ended if outcome.ended is not None else now, now)
    return (
        row.dataset,
        row.job,
        row.task,
        row.attempt,
        lease,
        row.engine,
        row.asked,
        outcome.host or row.host,
        row.claimed,
        started,
        ended,
        outcome.reason,
        verdict.kind,
        verdict.action,
        verdict.message if verdict.kind != "ok" else None,
        verdict.counts,
        verdict.signature or None,
        json.dumps(verdict.lines) if verdict.lines else None,
        outcome.exit,
        outcome.signal,
        usage.wall,
        usage.cpu,
        usage.memory,
        usage.disk,
        usage.gpu,
        _files(outcome.inputs),
        _files(outcome.outputs),
        _detail(outcome),
        row.revision,
    )


def _detail(outcome: Outcome) -> str | None:
    """Return the detail as JSON, without the end of the log: what matters of it is in `lines`, all of it is in the log.

    Nor is what was used over time here: it is kept beside the log.
    """
    kept = {key: value for key, value in outcome.detail.items() if key not in ELSEWHERE} if outcome.detail else {}
    return json.dumps(kept) if kept else None


def _files(records: Sequence[FileRecord]) -> str | None:
    return json.dumps([asdict(record) for record in records]) if records else None


_identity = attrgetter("dataset", "job", "task", "attempt", "lease", "engine", "asked", "host", "claimed", "started")


@dataclass(frozen=True, slots=True)
class Stop:
    """Why we end attempts ourselves, and what is done with their tasks."""

    kind: Kind
    action: Action
    message: str


def close_open(tx: Connection, contexts: Contexts, rows: Sequence[Row], stop: Stop, moves: Moves, now: float) -> None:
    """Write down open attempts that we end ourselves and what they cost, and tell their engines to stop them.

    `rows` have the columns of a task with its open attempt. The caller changes the tasks.
    """
    if not rows:
        return
    nothing = (False, *(None,) * 12)  # counted, signature ... detail: the engine may still report, too late to count
    store.ADD_ATTEMPTS(
        tx,
        [
            (*_identity(row), now, Reason.TERMINATED, stop.kind, stop.action, stop.message, *nothing, row.revision)
            for row in rows
        ],
    )
    store.ADD_STOPS(
        tx, v=[(row.engine, row.dataset, row.job, row.task, row.attempt, row.lease) for row in rows], now=now
    )
    spending.stopped(tx, contexts, rows, stop.kind, moves, now)
