"""What the local engine has in mind: workers, each a process there or to come, and the attempts they run."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from nunatak.core.work import Shape
from nunatak.engines.folder import Folder
from nunatak.engines.keys import Key
from nunatak.engines.outcomes import Stop
from nunatak.engines.processes import Process
from nunatak.engines.sandbox import SERIES, Sandbox

BEGUN, OUTCOME = "begun", "outcome.json"


@dataclass(slots=True, eq=False)
class Attempt:
    """One attempt; everything here can be read again from its sandbox. Times are in seconds since boot."""

    box: Sandbox
    shape: Shape
    damaged: bool = False  # what it is cannot be read
    worker: Worker = field(init=False)
    begun: float | None = None
    stop: Stop | None = None
    ask_at: float = 0.0  # when to ask again
    kill_at: float = 0.0
    ended: bool = False


@dataclass(slots=True, eq=False)
class Worker:
    """One worker, its place in the line and in the slots, and what it runs: one attempt, or those of a series in order."""

    home: Folder  # where its own records are: the sandbox, or the directory of the series
    shape: Shape
    order: tuple[str, ...]  # what its command line says
    left: deque[Attempt]  # in order; the ended ones in front are taken out
    unforgotten: int  # attempts whose end was not acknowledged
    over: bool = False  # it has ended, or will never begin
    gpus: tuple[int, ...] = ()
    process: Process | None = None
    watched: int = -1  # pidfd
    family: set[Process] = field(default_factory=set)
    idle_since: float = 0.0  # no attempt has run since, in seconds since boot

    @property
    def key(self) -> Key:
        """What identifies it in the line."""
        return str(self.home.path), ""

    @property
    def series(self) -> bool:
        """Tell whether it runs a series."""
        return len(self.order) > 1

    def unended(self) -> list[Attempt]:
        """Return the attempts that have not ended, in order."""
        return [attempt for attempt in self.left if not attempt.ended]

    def head(self) -> Attempt | None:
        """Return the attempt that runs or is the next to run."""
        while self.left and self.left[0].ended:
            self.left.popleft()
        return self.left[0] if self.left else None

    def running(self) -> Attempt | None:
        """Return the attempt that runs."""
        head = self.head()
        return head if head is not None and head.begun is not None else None

    def after_head(self) -> Attempt | None:
        """Return the attempt that comes after the head."""
        rest = iter(self.left)
        next(rest, None)
        return next((attempt for attempt in rest if not attempt.ended), None)


def alone(attempt: Attempt) -> Worker:
    """Return the worker of one attempt."""
    return _worker(attempt.box, attempt.shape, (str(attempt.box.path),), [attempt])


def in_a_row(home: Folder, shape: Shape, attempts: Sequence[Attempt]) -> Worker:
    """Return the worker of a series."""
    return _worker(home, shape, ("--series", str(home.path / SERIES)), attempts)


def _worker(home: Folder, shape: Shape, order: tuple[str, ...], attempts: Sequence[Attempt]) -> Worker:
    worker = Worker(home, shape, order, deque(attempts), len(attempts))
    for attempt in attempts:
        attempt.worker = worker
    return worker
