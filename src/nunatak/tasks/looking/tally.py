"""Read model that adds up a whole campaign: what attempts cost by task, engine and verdict, and what is left.

It reads the whole ledger, which is right for a passing database of a simulation and wrong for serving.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from nunatak.core.states import TaskState
from nunatak.datasets import store as datasets_store
from nunatak.tasks.looking import tally_store as store


@dataclass(frozen=True, slots=True)
class Spent:
    """Attempts of a task on an engine that got one verdict; wall, cpu and queued (from claim to start) are summed seconds."""

    dataset: int
    task: int
    engine: int
    verdict: str
    shape: int
    attempts: int
    counted: int  # used up a try
    wall: float
    cpu: float
    queued: float
    last: float


@dataclass(frozen=True, slots=True)
class Ending:
    """Where a dataset is; `ended` is set when all is done."""

    dataset: int
    state: str
    held: bool
    reason: str | None
    ended: float | None


def spent(tx: Connection) -> list[Spent]:
    """Return all that was spent."""
    return [Spent(*row) for row in store.SPENT(tx)]


def counts(tx: Connection) -> dict[tuple[int, int], dict[TaskState, int]]:
    """Return how many tasks are in each state by (dataset, task)."""
    return {
        (row.dataset, row.task): {TaskState(state): int(getattr(row, state)) for state in datasets_store.STATES}
        for row in store.COUNTS(tx)
    }


def next_try(tx: Connection, now: float) -> float | None:
    """Return when the next task that pauses before another try may go on; None if none does."""
    at: float | None = store.NEXT_TRY(tx, now=now)[0].at
    return at


def endings(tx: Connection) -> list[Ending]:
    """Return where each dataset is."""
    return [Ending(row.dataset, row.state, bool(row.held), row.reason, row.ended) for row in store.ENDS(tx)]
