"""What the engine has in mind of each attempt, and of the jobs of the batch system that run them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nunatak.core.work import Shape
from nunatak.engines.batch.model import Job
from nunatak.engines.batch.submissions import Submission
from nunatak.engines.folder import Folder
from nunatak.engines.keys import Key, key_of
from nunatak.engines.outcomes import Stop
from nunatak.engines.sandbox import SERIES, Sandbox

BEGUN, OUTCOME = "begun", "outcome.json"


@dataclass(slots=True, eq=False)
class Attempt:
    """One attempt; everything here can be found again on disk."""

    box: Sandbox
    shape: Shape
    avoid: tuple[str, ...] = ()
    worker: Worker = field(init=False)
    begun: bool = False
    ended: bool = False
    stop: Stop | None = None  # we want it ended

    @property
    def key(self) -> Key:
        """Return what identifies it."""
        return key_of(self.box.handle)


@dataclass(slots=True, eq=False)
class Worker:
    """One job of the batch system, and what it runs: one attempt, or those of a series in order."""

    place: str  # its line in a submission: the sandbox, or the order of the series, relative to the engine's directory
    shape: Shape
    attempts: tuple[Attempt, ...]
    home: Folder | None = None  # the directory of a series
    submission: Submission | None = None
    index: int = 1  # its line in the submission
    host: str = ""  # where it runs
    running: bool = False
    asked: float = float("-inf")  # when the batch system was last asked to end it, or a member of it
    over: Job | None = None  # the batch system says so, or no longer knows of it
    since: float = 0.0  # when that was seen first
    fetched: bool = False  # what it left was seen after its end
    done: bool = False  # no more will come of it
    unforgotten: int = 0  # attempts whose end was not acknowledged

    @property
    def job(self) -> Job | None:
        """Return how the batch system names it, if it is known to be there."""
        if self.submission is None or not self.submission.id:
            return None
        return Job(self.submission.id, self.index if len(self.submission.places) > 1 else 0)

    @property
    def folder(self) -> Folder:
        """Return the directory that is its own: that of the series, or the sandbox."""
        return self.home or self.attempts[0].box

    @property
    def avoid(self) -> tuple[str, ...]:
        """Return the nodes that any of its attempts should not be made on."""
        return tuple(sorted({node for attempt in self.attempts for node in attempt.avoid}))

    def unended(self) -> list[Attempt]:
        """Return the attempts that have not ended, in order."""
        return [attempt for attempt in self.attempts if not attempt.ended]

    def unwanted(self) -> bool:
        """Tell whether its job is to be ended: all that is left of it was stopped."""
        return any(attempt.stop for attempt in self.attempts) and all(attempt.stop for attempt in self.unended())


def alone(attempt: Attempt) -> Worker:
    """Return the worker of one attempt."""
    return _worker(Worker(attempt.box.handle.external, attempt.shape, (attempt,)))


def in_a_row(home: Folder, shape: Shape, attempts: Sequence[Attempt]) -> Worker:
    """Return the worker of a series."""
    return _worker(Worker(f".series/{home.path.name}/{SERIES}", shape, tuple(attempts), home))


def _worker(worker: Worker) -> Worker:
    worker.unforgotten = len(worker.attempts)
    for attempt in worker.attempts:
        attempt.worker = worker
    return worker
