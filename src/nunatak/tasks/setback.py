"""After the clock was set back: what was to happen so long after something is counted from now on.

Without this, a retry with a delay of ten seconds would wait for the clock to make up for an hour, and so would a task
of an engine that died.
"""

from __future__ import annotations

from sqlalchemy import Connection

from nunatak.db.statement import Statement

SKEW = 5.0
"""Seconds by which the clocks of several servers may differ; a smaller step back is not worth a thought."""

ENGINES = Statement(
    "UPDATE engines SET lease_until = :now + (lease_until - seen), seen = :now WHERE seen > :limit RETURNING engine"
)
BACKING_OFF = Statement("SELECT dataset, task, shape FROM task_counts WHERE ready > 0 ORDER BY dataset, task, shape")
TASKS = Statement(
    "UPDATE tasks SET not_before = :now + (not_before - since), since = :now WHERE dataset = :dataset AND task = :task"
    " AND shape = :shape AND state = 'ready' AND not_before > :now AND since > :limit RETURNING job"
)


def start_engines_anew(tx: Connection, now: float) -> int:
    """Let leases that were renewed in the future run from now; returns of how many engines."""
    return len(ENGINES(tx, now=now, limit=now + SKEW))


def backing_off(tx: Connection) -> list[tuple[int, int, int]]:
    """Return (dataset, task, shape) of all tasks that are ready, among which some may wait for their next try."""
    return [(row.dataset, row.task, row.shape) for row in BACKING_OFF(tx)]


def start_delays_anew(tx: Connection, dataset: int, task: int, shape: int, now: float) -> int:
    """Let delays that began in the future begin now; returns of how many tasks."""
    return len(TASKS(tx, dataset=dataset, task=task, shape=shape, now=now, limit=now + SKEW))
