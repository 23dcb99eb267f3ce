"""What the client gives back: small frozen values, made from the server's JSON, which each keeps as `plain`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, NamedTuple, Self

Plain = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A value read from JSON; what this version does not know stays in `plain`."""

    plain: Plain = field(repr=False, compare=False)

    @classmethod
    def of(cls, plain: Plain) -> Self:
        """Read one from the server's JSON."""
        values: dict[str, Any] = {"plain": plain}
        for item in fields(cls):
            if item.name in plain and item.name != "plain":
                read: Callable[[Any], Any] | None = item.metadata.get("read")
                value = plain[item.name]
                values[item.name] = read(value) if read and value is not None else value
        return cls(**values)


MOMENT = {"read": datetime.fromisoformat}


TUPLE = {"read": tuple}


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted(Result):
    """A dataset that was accepted; `planned` is how many jobs its recipe stands for.

    `warnings`: tasks that are too long for every place there is, in words.
    """

    dataset: int
    url: str = ""
    planned: int = 0
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Revised(Result):
    """An edit of a recipe: the `revision` the dataset is at, what changes, what cannot and why, and its `tasks` by state.

    `changed` is false where nothing is written otherwise, or (of a check) something cannot be. `difference` has the lines
    in which the texts differ, `notes` say in words what else to know.
    """

    dataset: int
    revision: int
    changed: bool
    changes: Sequence[Plain] = ()
    refusals: Sequence[Plain] = ()
    notes: Sequence[str] = ()
    difference: Sequence[str] = ()
    tasks: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Divided(Result):
    """A split: `moved` jobs of `dataset` are `jobs` jobs of `made` (0: it was a preview), each divided into `pieces`.

    The parameter is `low` in some and `high` in the rest, `whole` before; `notes` say in words what else is otherwise.
    """

    dataset: int
    made: int
    moved: int
    jobs: int
    pieces: int
    parameter: str
    whole: int
    low: int
    high: int
    notes: Sequence[str] = ()
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked(Result):
    """A recipe that can be submitted."""

    name: str
    jobs: int
    tasks: tuple[str, ...] = field(default=(), metadata=TUPLE)
    dry_run: tuple[Mapping[str, Any], ...] = field(default=(), repr=False, metadata=TUPLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Why(Result):
    """Why something is where it is, in words."""

    address: str
    state: str
    sentence: str
    reasons: tuple[Any, ...] = field(default=(), metadata=TUPLE)

    def __str__(self) -> str:
        """Say it."""
        return self.sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Result):
    """Something that happened: an action of a person, or an attempt."""

    at: datetime = field(metadata=MOMENT)
    what: str = ""
    address: str = ""
    actor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure(Result):
    """Equal failures, grouped."""

    kind: str
    message: str
    count: int
    id: str = ""
    title: str = ""
    signature: str = ""
    pattern: str = ""
    tasks: int = 0  # of those a person has not let go on since
    sites: Mapping[str, Any] = field(default_factory=dict)  # `counts` by name, `more`: there were others
    nodes: Mapping[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    example: str = ""
    first: datetime | None = field(default=None, metadata=MOMENT)
    last: datetime | None = field(default=None, metadata=MOMENT)
    whose: str | None = None
    advice: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailuresAcross(Result):
    """Failures of all datasets, equal ones grouped; `at` of an item counts attempts at each of `sites`.

    `left_out`: the oldest were not looked at.
    """

    items: tuple[Mapping[str, Any], ...] = field(default=(), metadata=TUPLE)
    sites: tuple[str, ...] = field(default=(), metadata=TUPLE)
    signatures: int = 0
    attempts: int = 0
    tasks: int = 0
    left_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile(Result):
    """An output that a task recorded; size in bytes."""

    address: str
    task: str
    name: str
    url: str
    size: int
    sha256: str


class NodeList(NamedTuple):
    """Nodes as the server describes them, and a sentence on those that stand out and still get work ("": none)."""

    items: Iterator[Mapping[str, Any]]
    spared: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Token(Result):
    """A token; the secret `token` itself is there only when it was just made."""

    id: int
    name: str = ""
    principal: str = ""
    scopes: tuple[str, ...] = field(default=(), metadata=TUPLE)
    expires: datetime | None = field(default=None, metadata=MOMENT)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Who(Result):
    """Whom the server takes us for."""

    name: str
    scopes: tuple[str, ...] = field(default=(), metadata=TUPLE)
    expires: datetime | None = field(default=None, metadata=MOMENT)
