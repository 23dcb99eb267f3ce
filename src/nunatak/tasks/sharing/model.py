"""The values of fair share: who wants what, what the rules are, and where everybody stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

Owner = tuple[str, str | int]
"""Whom a cap binds: ("group" or "user" or "site", its name), or ("dataset", its number)."""


class Demand(NamedTuple):
    """Tasks of one name and shape in one dataset; shape 0 is not known before the job is touched.

    `cost` is what one of them is expected to occupy, in core-hours of worth (see `usage.occupied`). `asked` is the shape
    that has to fit, where that is not `shape` by which the tasks are found. `room` is how many more of the task may be
    tried now, of all its shapes together (None: any number).
    """

    dataset: int
    task: int
    shape: int
    ready: int
    queued: int = 0
    running: int = 0
    cost: float = 1.0
    asked: int = 0  # 0: `shape`
    room: int | None = None


class Member(NamedTuple):
    """A dataset as fair share sees it; `priority` counts against the other datasets of its user only.

    `since`: when it was last given a place, or began to want one.
    """

    dataset: int
    group: str
    user: str
    priority: float = 1.0
    since: float = 0.0

    def owners(self) -> tuple[Owner, Owner, Owner]:
        """Return all whose caps bind a dataset's tasks, wherever they run."""
        return ("dataset", self.dataset), ("user", self.user), ("group", self.group)


class Busy(NamedTuple):
    """Tasks that are with an engine: how many are queued there and how many run, and what all are expected to cost."""

    queued: int = 0
    running: int = 0
    cost: float = 0.0

    def plus(self, other: Busy) -> Busy:
        """Return both together."""
        return Busy(self[0] + other[0], self[1] + other[1], self[2] + other[2])


class Cap(NamedTuple):
    """Most tasks at a time, None for any number.

    `running` bounds queued and running tasks together, for what is queued at an engine may begin at any moment;
    `queued` bounds those that are queued.
    """

    running: int | None = None
    queued: int | None = None

    def room(self, busy: Busy) -> int | None:
        """Return how many more may be given to engines, None for any number."""
        rooms = []
        if self.running is not None:
            rooms.append(self.running - busy.queued - busy.running)
        if self.queued is not None:
            rooms.append(self.queued - busy.queued)
        return max(0, min(rooms)) if rooms else None


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules: weights (1 unless given), caps by kind and of single owners, and how fast waiting counts.

    The share of who has nothing running doubles with every `aging` seconds of waiting.
    """

    groups: Mapping[str, float] = field(default_factory=dict)
    users: Mapping[str, float] = field(default_factory=dict)
    caps: Mapping[str, Cap] = field(default_factory=dict)  # of every group, user, dataset or site
    own_caps: Mapping[Owner, Cap] = field(default_factory=dict)  # of one of them, in place of the former
    aging: float = 6 * 3600.0

    def cap(self, owner: Owner) -> Cap | None:
        """Return the cap that binds an owner."""
        return self.own_caps.get(owner) or self.caps.get(owner[0])

    def capped(self) -> frozenset[str]:
        """Return the kinds of owners of which some have a cap."""
        return frozenset(self.caps) | {kind for kind, _ in self.own_caps}


class Line(NamedTuple):
    """A dataset that wants places; its parts mean what those of a `Group` mean."""

    key: int
    rate: float
    ratio: float
    part: float
    mask: int
    below: Sequence[Demand]  # what is ready of it
    member: Member


class User(NamedTuple):
    """A user, within a group, that wants places; its parts mean what those of a `Group` mean."""

    key: tuple[str, str]
    rate: float
    ratio: float
    part: float
    mask: int
    below: Sequence[Line]


class Group(NamedTuple):
    """A group that wants places.

    rate   how fast it is given places, against its siblings: weight, corrected by what it used, raised by waiting
    ratio  what it used of its share: 0.71 = 71 %; 1 where nobody used anything
    part   its part of the next places, if everything fits everywhere
    mask   the shapes it wants, as bits of `Positions.bits`
    """

    key: str
    rate: float
    ratio: float
    part: float
    mask: int
    below: Sequence[User]


class Bound(NamedTuple):
    """A cap that binds an owner, what is under way there, and how many tasks more it allows."""

    owner: Owner
    cap: Cap
    busy: Busy
    room: int


@dataclass(frozen=True)
class Positions:
    """Where everybody stands at one moment: a tree of groups, users and datasets that want places."""

    groups: Sequence[Group]
    bits: Mapping[int, int]  # the bit of each shape that is wanted
    policy: Policy
    busy: Mapping[str, Mapping[str | int, Busy]]  # by kind of owner, by owner

    @cached_property
    def paths(self) -> dict[int, tuple[Group, User, Line]]:
        """Return by dataset its group, its user and itself."""
        return {line.key: (group, user, line) for group in self.groups for user in group.below for line in user.below}

    def bound(self, owner: Owner) -> Bound | None:
        """Return what binds an owner, None if nothing does."""
        cap = self.policy.cap(owner)
        busy = self.busy[owner[0]].get(owner[1], Busy())
        room = cap.room(busy) if cap else None
        return None if cap is None or room is None else Bound(owner, cap, busy, room)


class Allotment(NamedTuple):
    """Up to `n` tasks of one name and shape in one dataset; `asked` is what each of them asks for."""

    dataset: int
    task: int
    shape: int
    n: int
    asked: int = 0
