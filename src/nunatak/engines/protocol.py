"""The boundary to a computing resource: six bulk methods, frozen values in and out.

An engine holds no truth. It may be killed at any line; when it starts again, `adopt` says what is out there with our
keys, and the engine host reconciles. Nothing here talks to the server: the engine host (`loops.engine`) does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from nunatak.core.values import quickly_made
from nunatak.core.work import Outcome, Series, Shape, TaskSpec


@quickly_made
@dataclass(frozen=True, slots=True)
class Handle:
    """What identifies one attempt out there: our address and lease, and the resource's own id."""

    address: str  # with the attempt: 42/17/propagate#2
    lease: str
    external: str = ""  # process group, cluster.proc, job id


class What(StrEnum):
    """What changed."""

    RUNNING = "running"
    ENDED = "ended"


@quickly_made
@dataclass(frozen=True, slots=True)
class Change:
    """One attempt began to run or ended. An end carries an outcome, made by the engine if the worker left none."""

    handle: Handle
    what: What
    at: float  # seconds since the epoch
    host: str = ""
    outcome: Outcome | None = None


@quickly_made
@dataclass(frozen=True, slots=True)
class Changes:
    """What changed since a cursor. Asking again with the same cursor gives the same changes, or more."""

    cursor: str
    changes: tuple[Change, ...]


@quickly_made
@dataclass(frozen=True, slots=True)
class Capacity:
    """What the resource can take: `total` it has, `free` now, `queue` how many more attempts it wants (at most).

    `trouble` says why it takes nothing now, if something is wrong with it.
    """

    total: Shape
    free: Shape
    queue: int
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Nodes:
    """Nodes of a resource by name: `drained` get nothing new, `probed` one attempt at a time."""

    drained: tuple[str, ...] = ()
    probed: tuple[str, ...] = ()


ALL_FINE = Nodes()


@quickly_made
@dataclass(frozen=True, slots=True)
class LogPart:
    """Bytes appended to a log of a running or ended attempt, from `offset`."""

    handle: Handle
    stream: str  # stdout, stderr
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Script:
    """What was submitted for attempts, in the resource's own words: a batch script, a description of jobs."""

    text: str
    handles: tuple[Handle, ...]


class Engine(Protocol):
    """One computing resource. Every method is bulk and may be repeated; one thread at a time calls."""

    def submit(self, batch: Sequence[TaskSpec | Series], nodes: Nodes = ALL_FINE) -> list[Handle]:
        """Start attempts, or let them wait out there; one handle for each attempt, in order, those of a series as well.

        `nodes` holds from now on, also for what waits already, as far as the resource can be told; an empty batch says
        just that. The members of a series run one after the other in one place of the series' shape: each has its own
        changes, logs and end, one that fails does not take the others, and `cancel` of one leaves the others. Where a
        series is ended from outside, members that never began end with reason `unbegun`.
        A spec already known by its address and lease is not started twice; its handle is the same.
        A spec that can never run is not an error here: it becomes an ended change with reason `submit`.
        Raises `Unavailable` if nothing was submitted and trying again may help; so for more than `capacity().queue`
        new attempts, where a series counts as one. Raises `Invalid` for what is not the address or lease of an attempt.
        """

    def poll(self, cursor: str) -> Changes:
        """Return what changed since `cursor`, in order ("": everything this engine still knows).

        The given cursor acknowledges: the caller has recorded all it was given with that cursor. A cursor of an earlier
        life of the engine acknowledges nothing and is answered like "". A change may come more than once.
        """

    def cancel(self, handles: Sequence[Handle]) -> None:
        """Ask for attempts to end, their whole process trees; unknown ones are ignored. The end comes by `poll`."""

    def adopt(self) -> list[Handle]:
        """Return every attempt of ours out there whose end has not been acknowledged."""

    def capacity(self) -> Capacity:
        """Return what the resource can take now."""

    def logs(self, offsets: dict[tuple[str, str, str], int]) -> list[LogPart]:
        """Return new bytes of logs; `offsets` maps (address, lease, stream) to what the caller already has.

        A call returns a bounded amount; ask again for more. Works until the end of the attempt is acknowledged.
        """


@runtime_checkable
class CarriesFiles(Protocol):
    """Beside `Engine`: one that opens files of its own machine in the name of tasks."""

    carries: tuple[str, ...] | None
    """Directories beside the store's of which recipes may name files; None: it carries none, nodes see what they see."""


@runtime_checkable
class ShowsScripts(Protocol):
    """Beside `Engine`: one that submits something a person could read."""

    def scripts(self, handles: Sequence[Handle]) -> list[Script]:
        """Return what was submitted for those of the attempts for which something was, equal ones together."""


@runtime_checkable
class HeedsLooks(Protocol):
    """Beside `Engine`: one to which the logs of what runs come from elsewhere, sooner if somebody reads them."""

    def look(self, keys: Sequence[tuple[str, str]]) -> None:
        """Know by address and lease of which attempts somebody reads the logs now; it need not have all of them."""


@runtime_checkable
class TellsUse(Protocol):
    """Beside `Engine`: one that knows what attempts use while they run."""

    def using(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
        """Return what those of some attempts (address, lease) used so far that measured it, as bytes of a `usage.json`."""
