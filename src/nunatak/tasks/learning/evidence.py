"""What the attempts of one task of a dataset were seen to use: taken from each report, kept in one row a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple, Self

import orjson

from nunatak.core.work import Shape, Usage
from nunatak.tasks.learning.sketch import EMPTY, Sketch

MOST = 1e18
"""Bytes or seconds: more than that was not used by anything."""
SHORTEST = 0.1
"""Seconds: of shorter attempts the processor's share says nothing."""


class Quantity(StrEnum):
    """What is learnt and asked for; the words are those of a recipe's needs."""

    MEMORY = "memory"  # bytes
    DISK = "disk"  # bytes
    TIME = "time"  # seconds


class End(StrEnum):
    """What the end of an attempt says about its needs."""

    FINISHED = "finished"  # it used what it needs
    RAN_OUT = "ran-out"  # it needs more than it was given, of one quantity
    STOPPED = "stopped"  # evicted or lost: it needs at least what it used up to then
    WRONG = "wrong"  # it failed by itself: what it used says nothing


class Observed(NamedTuple):
    """One ended attempt: its usage, what it had asked for, and of what it ran out, if of anything."""

    end: End
    usage: Usage
    asked: Shape
    of: Quantity | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What attempts used of one quantity."""

    used: Sketch = EMPTY  # by those that finished
    most: float = 0.0  # by any that finished, ran out of something or was stopped
    over: float = 0.0  # the largest amount that was not enough
    overs: int = 0  # how often an amount was not enough

    def add(self, used: Sequence[float], stopped: Sequence[float], overs: Sequence[float]) -> Seen:
        """Return this and what was seen of attempts that finished, that were stopped, and that ran out."""
        return Seen(
            self.used.add(used),
            max(self.most, *used, *stopped, 0.0),
            max(self.over, *overs, 0.0),
            self.overs + len(overs),
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is learnt of one task of a dataset. `settled` is how many had finished when its needs were last changed."""

    memory: Seen = Seen()
    disk: Seen = Seen()
    time: Seen = Seen()
    cpu: Sketch = EMPTY  # processor seconds over wall seconds and processors asked for
    ended: int = 0
    settled: int = 0

    @property
    def finished(self) -> int:
        """How many attempts finished."""
        return self.time.used.count

    def of(self, quantity: Quantity) -> Seen:
        """Return what was seen of a quantity."""
        return {Quantity.MEMORY: self.memory, Quantity.DISK: self.disk, Quantity.TIME: self.time}[quantity]

    def add(self, attempts: Sequence[Observed]) -> Evidence:
        """Return this with some more ended attempts; what was not measured is left out."""
        seen = {quantity: _add(self.of(quantity), quantity, attempts) for quantity in Quantity}
        shares = (_share(item) for item in attempts if item.end is End.FINISHED)
        cpu = [share for share in shares if share is not None]
        ended = self.ended + len(attempts)
        return replace(
            self,
            memory=seen[Quantity.MEMORY],
            disk=seen[Quantity.DISK],
            time=seen[Quantity.TIME],
            cpu=self.cpu.add(cpu),
            ended=ended,
        )

    def to_text(self) -> str:
        """Return what is kept in the database."""
        rows = [[seen.used.to_text(), seen.most, seen.over, seen.overs] for seen in map(self.of, Quantity)]
        return orjson.dumps([*rows, self.cpu.to_text(), self.ended, self.settled]).decode()

    @classmethod
    def from_text(cls, text: str | None) -> Self:
        """Read what `to_text` wrote; nothing is no evidence."""
        if not text:
            return cls()
        *rows, cpu, ended, settled = orjson.loads(text)
        memory, disk, time = (Seen(Sketch.from_text(used), *rest) for used, *rest in rows)
        return cls(memory, disk, time, Sketch.from_text(cpu), ended, settled)


def _add(seen: Seen, quantity: Quantity, attempts: Sequence[Observed]) -> Seen:
    used, stopped, overs = list[float](), list[float](), list[float]()
    for item in attempts:
        amount = amount_of(item.usage, quantity)
        if item.end is End.RAN_OUT and item.of is quantity:
            overs.append(max(amount or 0.0, asked_of(item.asked, quantity)))
        if amount is None or item.end is End.WRONG:
            continue
        (used if item.end is End.FINISHED else stopped).append(amount)
    return seen.add(used, stopped, overs) if used or stopped or overs else seen


def _share(item: Observed) -> float | None:
    wall, cpu = item.usage.wall, item.usage.cpu
    if cpu is None or wall is None or not (0 <= cpu <= MOST and SHORTEST <= wall <= MOST) or not item.asked.cpu:
        return None
    return min(cpu / (wall * item.asked.cpu), 1000.0)


def amount_of(usage: Usage, quantity: Quantity) -> float | None:
    """Return how much was used; None if it was not measured, or cannot be true."""
    amount = {Quantity.MEMORY: usage.memory, Quantity.DISK: usage.disk, Quantity.TIME: usage.wall}[quantity]
    return amount if amount is not None and 0 <= amount <= MOST else None


def asked_of(shape: Shape, quantity: Quantity) -> int:
    """Return how much a shape asks for."""
    return {Quantity.MEMORY: shape.memory, Quantity.DISK: shape.disk, Quantity.TIME: shape.time}[quantity]
