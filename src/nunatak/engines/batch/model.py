"""What the engine and the dialects of batch systems tell each other: orders, jobs, clusters. Plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from nunatak.core.work import Shape


class Stage(StrEnum):
    """Where a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"


class Cause(StrEnum):
    """Why a job ended, or why it waits for ever, as far as the batch system says."""

    DONE = "done"  # by itself, with exit code 0
    FAILED = "failed"  # by itself, otherwise
    CANCELLED = "cancelled"
    PREEMPTED = "preempted"
    REQUEUED = "requeued"
    NODE = "node"  # its node failed
    TIME = "time"
    MEMORY = "memory"
    REFUSED = "refused"  # it can never start
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt as the batch system sees it. Times are seconds since the epoch; 0 = not known."""

    id: str  # of the submission, whole
    index: int = 0  # in the submission, from 1; 0 = it is the only one, or where jobs are named, all of them
    stage: Stage = Stage.WAITING
    state: str = ""  # in the batch system's own word
    cause: Cause = Cause.UNKNOWN
    text: str = ""  # the batch system's reason
    host: str = ""
    began: float = 0.0
    ended: float = 0.0
    exit: int | None = None
    signal: int | None = None
    mark: str = ""  # of the submission, if it can be told
    ran: bool = False  # it is known to have begun, whenever that was


@dataclass(frozen=True, slots=True)
class Order:
    """What a submission asks for: `count` attempts of one shape."""

    mark: str  # identifies it out there: a letter and 14 letters or digits
    name: str  # for people: an address, or what the addresses have in common
    lease: str
    count: int
    shape: Shape  # what is asked for, margins included
    talk: str  # path, out there, to which .INDEX.out is added: what a job says beside the logs
    body: str  # the script below its head
    queues: tuple[str, ...] = ()  # any of these; () = the batch system's choice
    avoid: tuple[str, ...] = ()  # nodes


class Submitted(NamedTuple):
    """What came of a submission: an id; or `refused` or `away` with words; or `unsure` whether it was made."""

    id: str = ""
    refused: str = ""
    away: str = ""
    unsure: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """One machine; memory in bytes. `usable`: it takes new jobs."""

    name: str
    cpu: int
    memory: int
    gpu: int = 0
    features: tuple[str, ...] = ()
    platform: str = ""
    queues: tuple[str, ...] = ()
    cpu_taken: int = 0
    memory_taken: int = 0
    gpu_taken: int = 0
    usable: bool = True


@dataclass(frozen=True, slots=True)
class Queue:
    """A partition or queue with its limits; 0 = none. `time` in seconds, `memory` in bytes, both of one job and node."""

    name: str
    time: int = 0
    memory: int = 0
    cpu: int = 0
    default: bool = False
    open: bool = True  # takes jobs of anybody


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a batch system has and allows. `array` is how many jobs one submission may have."""

    nodes: tuple[Node, ...] = ()
    queues: tuple[Queue, ...] = ()
    array: int = 1000
    history: str = ""  # where ended jobs are found, in the dialect's own terms; "" = nowhere
