"""What the client says of where a dataset, job, task or attempt is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from nunatak.client.counts import NO_JOBS, NO_TASKS, SHOWN, Counts, JobCounts
from nunatak.client.notebook import dataset_html
from nunatak.client.results import MOMENT, Plain, Result
from nunatak.core.units import count_text, memory_text, time_text


def _table(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda plain: {name: read(value) for name, value in plain.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(Result):
    """Where a dataset, job, task or attempt is."""

    address: str
    state: str

    @property
    def settled(self) -> bool:
        """Tell whether nothing more happens by itself."""
        return self.state in ("done", "failed", "held", "ended")

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.address}: {self.state}"

    def __repr__(self) -> str:
        """Say it in one line, as in a notebook."""
        return f"<{self}>"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DatasetStatus(Status):
    """Where a dataset is: states, and how many jobs and tasks are in each."""

    dataset: int
    name: str = ""
    owner: str = ""
    team: str = ""
    priority: float = 1.0
    revision: int = 1
    held: bool = False
    closed: bool = False
    reason: str | None = None
    created: datetime | None = field(default=None, metadata=MOMENT)
    ended: datetime | None = field(default=None, metadata=MOMENT)
    url: str = ""
    jobs: JobCounts = field(default=NO_JOBS, metadata={"read": JobCounts.of})
    tasks: Counts = field(default=NO_TASKS, metadata={"read": Counts.of})
    per_task: Mapping[str, Counts] = field(default_factory=dict, metadata={"read": _table(Counts.of)})
    used: Mapping[str, list[Mapping[str, Any]]] = field(default_factory=dict)  # asked against used, of `status` alone

    def __str__(self) -> str:
        """Say it in one line."""
        counts = [f"{count} {state}" for state in SHOWN if (count := getattr(self.tasks, state))]
        said = f"{self.address} {self.name}: {self._said}"
        return f"{said} (tasks: {', '.join(counts)})" if counts else said

    @property
    def _said(self) -> str:
        return f"{self.state}, {self.jobs.done} of {count_text(self.jobs.total, 'job')} done"

    def _repr_html_(self) -> str:
        """Show a table with bars in a notebook."""
        return dataset_html(f"{self.address} {self.name}", self._said, self.per_task)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JobStatus(Status):
    """Where a job is."""

    dataset: int
    job: int
    tasks: Counts = field(default=NO_TASKS, metadata={"read": Counts.of})
    per_task: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AttemptStatus(Status):
    """One try of a task: when, where, how it ended and what it used (seconds, bytes)."""

    number: int = 0
    revision: int = 1  # of the recipe, by which it ran
    engine: str | None = None
    site: str | None = None
    host: str | None = None
    claimed: datetime | None = field(default=None, metadata=MOMENT)
    started: datetime | None = field(default=None, metadata=MOMENT)
    ended: datetime | None = field(default=None, metadata=MOMENT)
    reason: str | None = None
    verdict: str | None = None
    action: str | None = None
    message: str | None = None
    exit: int | None = None
    signal: int | None = None
    wall: float | None = None
    cpu: float | None = None
    memory: int | None = None
    disk: int | None = None
    gpu: float | None = None

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.address}: {self.state}{self.said_so_far}"

    @property
    def said_so_far(self) -> str:
        """Return what it used so far, of one that runs and of which that is known."""
        if self.ended is not None or self.wall is None:
            return ""
        cores = f", {self.cpu / self.wall:.1f} processors busy" if self.cpu is not None and self.wall >= 1.0 else ""
        memory = f", {memory_text(self.memory)} of memory" if self.memory else ""
        return f" for {time_text(round(self.wall))}{cores}{memory}"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TaskStatus(Status):
    """Where a task is, with its attempts."""

    dataset: int
    task: str
    job: int | None = None
    reason: str | None = None
    attempt: int = 0
    tries: int = 0
    since: datetime | None = field(default=None, metadata=MOMENT)
    not_before: datetime | None = field(default=None, metadata=MOMENT)
    host: str | None = None
    engine: str | None = None
    shape: Mapping[str, Any] = field(default_factory=dict)
    attempts: tuple[AttemptStatus, ...] = field(
        default=(), metadata={"read": lambda rows: tuple(AttemptStatus.of(row) for row in rows)}
    )

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.address}: {self.state}{self.attempts[-1].said_so_far if self.attempts else ''}"


def status_of(plain: Plain) -> Status:
    """Read the status of whatever it is of."""
    if "jobs" in plain:
        return DatasetStatus.of(plain)
    if "number" in plain:
        return AttemptStatus.of(plain)
    return TaskStatus.of(plain) if "task" in plain else JobStatus.of(plain)
