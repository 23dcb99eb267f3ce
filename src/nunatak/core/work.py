"""What travels between server, engine and worker: shapes, task specifications, outcomes. Plain frozen values.

The worker reads a `TaskSpec` as JSON (`task.json`) and writes an `Outcome` as JSON (`outcome.json`); both carry `format: 1`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Self

from nunatak.core.values import quickly_made

FORMAT = 1


@quickly_made
@dataclass(frozen=True, slots=True)
class Shape:
    """A resource vector: tasks of one shape are interchangeable to an engine.

    cpu and gpu are counts, memory and disk bytes, time seconds of wall clock; platform is like `linux/x86_64` ("" = any).
    """

    cpu: int = 1
    gpu: int = 0
    memory: int = 1_000_000_000
    disk: int = 1_000_000_000
    time: int = 3600
    platform: str = ""
    features: tuple[str, ...] = ()

    def rounded(self) -> Shape:
        """Round memory and disk up to 64 MB, time up to 60 s (whole values below 5 min to 10 s), features sorted."""
        step = 10 if self.time < 300 else 60
        return replace(
            self,
            memory=_up(self.memory, 64_000_000),
            disk=_up(self.disk, 64_000_000),
            time=_up(self.time, step),
            features=tuple(sorted(set(self.features))),
        )

    def fits(self, free: Shape) -> bool:
        """Tell whether a task of this shape can start in `free`, one slot's or machine's free resources."""
        return (
            self.cpu <= free.cpu
            and self.gpu <= free.gpu
            and self.memory <= free.memory
            and self.disk <= free.disk
            and self.time <= free.time
            and self.platform in ("", free.platform)
            and (not self.features or set(self.features) <= set(free.features))
        )

    def to_plain(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return {**asdict(self), "features": list(self.features)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Read what `to_plain` wrote."""
        return cls(**{**plain, "features": tuple(plain.get("features", ()))})

    def key(self) -> str:
        """Return the canonical text that identifies this shape."""
        return json.dumps(self.to_plain(), sort_keys=True, separators=(",", ":"))


def _up(amount: int, step: int) -> int:
    return -(-amount // step) * step


@quickly_made
@dataclass(frozen=True, slots=True)
class Input:
    """A file to have in the sandbox before the task starts; `name` is relative to the sandbox."""

    name: str
    url: str
    sha256: str = ""  # "" = not known, not verified
    size: int = -1  # bytes; -1 = not known
    optional: bool = False
    mode: int = 0o644


@quickly_made
@dataclass(frozen=True, slots=True)
class Output:
    """A file the task makes; `name` is relative to the sandbox, `url` where it goes."""

    name: str
    url: str
    optional: bool = False
    temporary: bool = False  # deleted when its job is done


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A file that the task writes now and then, and goes on from where it is there at the start.

    `url` is where this attempt keeps it if it does not come to its end; `before` is what an earlier attempt kept.
    """

    name: str
    url: str
    before: Input | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """One command: an argument list, or with `shell` a single text for /bin/sh -c (argv has one element)."""

    argv: tuple[str, ...]
    shell: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""  # a file in the sandbox


@dataclass(frozen=True, slots=True)
class Environment:
    """What surrounds the commands of a task."""

    variables: Mapping[str, str] = field(default_factory=dict)
    setup: str = ""  # a shell script in the sandbox, sourced before each command
    image: str = ""  # a container image for apptainer or singularity
    requirements: str = ""  # a pip requirement file in the sandbox; becomes a cached virtual environment


@quickly_made
@dataclass(frozen=True, slots=True)
class TaskSpec:
    """All a worker needs to run one attempt, everything expanded."""

    address: str  # with the attempt: 42/17/propagate#2
    lease: str  # hexadecimal
    commands: tuple[Command, ...]
    environment: Environment
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    shape: Shape
    log_limit: int = 10_000_000  # bytes kept of stdout and of stderr each, head and tail
    avoid: tuple[str, ...] = ()  # nodes on which it should not be tried; for engines that have several
    checkpoint: Checkpoint | None = None
    engines: Mapping[str, Any] = field(default_factory=dict)  # by kind of engine, what it alone is told
    owner: str = ""  # whose dataset it is of, for engines that account for it
    group: str = ""

    def to_plain(self) -> dict[str, Any]:
        """Return the JSON-able dictionary that the worker reads."""
        plain = {"format": FORMAT, **asdict(self), "shape": self.shape.to_plain()}
        if self.checkpoint is None:
            del plain["checkpoint"]
        for name in ("engines", "owner", "group"):
            if not plain[name]:
                del plain[name]
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Read what `to_plain` wrote."""
        return cls(
            address=plain["address"],
            lease=plain["lease"],
            commands=tuple(Command(**{**command, "argv": tuple(command["argv"])}) for command in plain["commands"]),
            environment=Environment(**plain["environment"]),
            inputs=tuple(Input(**item) for item in plain["inputs"]),
            outputs=tuple(Output(**item) for item in plain["outputs"]),
            shape=Shape.from_plain(plain["shape"]),
            log_limit=plain["log_limit"],
            avoid=tuple(plain.get("avoid", ())),
            checkpoint=_checkpoint(plain.get("checkpoint")),
            engines=plain.get("engines", {}),
            owner=plain.get("owner", ""),
            group=plain.get("group", ""),
        )


def _checkpoint(plain: Mapping[str, Any] | None) -> Checkpoint | None:
    if plain is None:
        return None
    before = plain.get("before")
    return Checkpoint(plain["name"], plain["url"], None if before is None else Input(**before))


@quickly_made
@dataclass(frozen=True, slots=True)
class Series:
    """Short tasks that one worker runs one after the other; `shape` is what is asked of the engine for all of them."""

    members: tuple[TaskSpec, ...]
    shape: Shape


TARGET = 1800.0
"""Seconds that a series aims at, unless the engine says otherwise."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """How short tasks are put into series for an engine; seconds. The engine says the first four."""

    target: float = TARGET  # that one submission aims at; 0: every task goes alone
    longest: float = math.inf  # the longest time the engine takes
    most: int = 200  # members
    overhead: float = 0.5  # between two members, about
    share: float = 0.95  # of groups that the time asked for is enough for
    known: int = 4  # times as many members as attempts have finished, at most

    def to_plain(self) -> dict[str, Any]:
        """Return what an engine says with a claim."""
        told = {"target": self.target, "most": self.most, "overhead": self.overhead}
        return told if math.isinf(self.longest) else {**told, "longest": self.longest}


class Reason(StrEnum):
    """Why an attempt ended, as the worker or the engine saw it."""

    OK = "ok"
    EXIT = "exit"  # a command returned non-zero: `exit` has the code
    SIGNAL = "signal"  # a command died of a signal: `signal` has its number
    MEMORY = "memory"  # over the memory asked for
    DISK = "disk"  # over the disk asked for
    TIME = "time"  # over the wall time asked for
    STAGE_IN = "stage-in"  # an input could not be had, or was wrong
    SETUP = "setup"  # the environment could not be made
    COMMAND = "command"  # a command could not be started (not found, not executable, wrong architecture)
    OUTPUT = "output"  # a promised output is missing
    STAGE_OUT = "stage-out"  # an output could not be stored
    TERMINATED = "terminated"  # the worker was told to stop (eviction, hold, cancel)
    LOST = "lost"  # the attempt vanished without an outcome
    INVALID = "invalid"  # the outcome could not be understood
    SUBMIT = "submit"  # the engine could not submit it
    UNBEGUN = "unbegun"  # its series ended before it began: nothing was tried
    INTERNAL = "internal"  # the worker itself failed


@quickly_made
@dataclass(frozen=True, slots=True)
class Usage:
    """Resources used, over the process tree; None where it could not be measured."""

    wall: float | None = None  # seconds
    cpu: float | None = None  # seconds, user + system
    memory: int | None = None  # bytes, largest sum of resident sets
    disk: int | None = None  # bytes, largest size of the sandbox
    gpu: float | None = None  # GPU seconds


@quickly_made
@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file that was read or written; `size` in bytes."""

    name: str
    url: str
    size: int
    sha256: str
    temporary: bool = False


@quickly_made
@dataclass(frozen=True, slots=True)
class Outcome:
    """What the worker (or, in its absence, the engine) says happened to one attempt."""

    address: str
    lease: str
    reason: Reason
    message: str = ""  # a sentence for a person
    exit: int | None = None
    signal: int | None = None
    started: float | None = None
    ended: float | None = None
    host: str = ""
    usage: Usage = field(default_factory=Usage)
    inputs: tuple[FileRecord, ...] = ()
    outputs: tuple[FileRecord, ...] = ()
    detail: Mapping[str, Any] = field(default_factory=dict)  # phases' seconds, versions, per-command exits

    @property
    def saved(self) -> float:
        """Return how many seconds of its wall clock a checkpoint kept; 0 without one."""
        kept = self.detail.get("checkpoint") if self.detail else None
        saved = kept.get("saved") if isinstance(kept, Mapping) else None
        return max(0.0, float(saved)) if isinstance(saved, int | float) else 0.0

    def to_plain(self) -> dict[str, Any]:
        """Return a JSON-able dictionary. Written out by hand: thousands are reported a second."""
        plain: dict[str, Any] = {"format": FORMAT, **{name: getattr(self, name) for name in _OUTCOME}}
        plain["usage"] = {name: getattr(self.usage, name) for name in _USAGE}
        plain["inputs"] = tuple([asdict(item) for item in self.inputs])
        plain["outputs"] = tuple([asdict(item) for item in self.outputs])
        plain["detail"] = dict(self.detail)
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Read what `to_plain` or a worker wrote. Raises `KeyError`, `TypeError` or `ValueError` on anything else."""
        known = {item.name for item in fields(cls)}
        values = {key: value for key, value in plain.items() if key in known}
        values["reason"] = Reason(values["reason"])
        values["usage"] = Usage(**(values.get("usage") or {}))
        for name in ("inputs", "outputs"):
            values[name] = tuple(FileRecord(**item) for item in values.get(name) or ())
        return cls(**values)


_OUTCOME, _USAGE = ([item.name for item in fields(cls)] for cls in (Outcome, Usage))
