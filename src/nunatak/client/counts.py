"""How many tasks and jobs are in each state, as the server says it."""

from __future__ import annotations

from dataclasses import dataclass

from nunatak.client.results import Result

SHOWN = ("done", "running", "queued", "ready", "waiting", "held", "failed")
"""The states of tasks in the order they are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts(Result):
    """How many tasks are in each state."""

    total: int = 0
    waiting: int = 0
    ready: int = 0
    queued: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    held: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCounts(Result):
    """How many jobs are in each state."""

    total: int = 0
    open: int = 0
    done: int = 0
    failed: int = 0
    held: int = 0


NO_TASKS, NO_JOBS = Counts(plain={}), JobCounts(plain={})
