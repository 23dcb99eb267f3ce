"""The attempts of a node since its faults began to pile up, and how much of the past is remembered at all.

Everything that fades is counted in weights that grow with time instead: an attempt weighs twice as much as one a half-life
before it, and a count is read by dividing by the weight of now (forward decay: Cormode, Shkapenyuk, Srivastava and
Xu, ICDE 2009). So counts add up and can be taken apart without looking at the clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from nunatak.tasks.health.events import Event, Work

Kinds = tuple[tuple[str, float], ...]
"""Weights by kind of fault, the most frequent first."""


class Memory(NamedTuple):
    """How much is remembered, and for how long."""

    half_life: float = 6 * 3600.0  # seconds after which an attempt counts half
    voice: float = 10.0  # attempts of one work by which one node counts in the comparison of others, at most
    works: int = 8
    kinds: int = 8
    sources: int = 4
    down: float = 1 / 6  # what a success takes from the height of a window; a fault adds one
    height: float = 12.0

    def weight(self, seconds: float) -> float:
        """Return what an attempt weighs so many seconds after the moment at which it would weigh one."""
        return math.exp2(seconds / self.half_life)


MEMORY = Memory()


class Window(NamedTuple):
    """Attempts since faults began to pile up: where Page's cumulative sum last left zero (Biometrika 41, 1954, 100).

    A fault adds one to `height`, a success takes some away, and at zero everything is forgotten: so thousands of
    successes before a disk filled up do not hide what it does now, and a fault now and then leaves no trace.
    """

    height: float = 0.0
    works: tuple[tuple[Work, float, float], ...] = ()  # (work, well, faults), the latest first
    kinds: Kinds = ()
    wall: float = 0.0  # seconds of all faults
    sources: tuple[str, ...] = ()

    def bad(self) -> float:
        """Return how many faults are in the window."""
        return math.fsum(item[2] for item in self.works)

    def with_ok(self, work: Work, weight: float, memory: Memory) -> Window:
        """Return the window after successes of this weight in all."""
        height = self.height - memory.down * weight
        if height <= 0:
            return EMPTY
        return self._replace(height=height, works=_more(self.works, work, weight, 0.0, memory.works))

    def with_bad(self, event: Event, weight: float, memory: Memory) -> Window:
        """Return the window after a fault, or `event.n` of them; `weight` is that of one."""
        kept, whole = self.sources, weight * event.n
        new = event.source not in kept and len(kept) < memory.sources
        return Window(
            min(self.height + whole, memory.height * weight),
            _more(self.works, event.work, 0.0, whole, memory.works),
            count((*self.kinds, (event.kind, whole)), memory.kinds),
            self.wall + event.wall * whole,
            (*kept, event.source) if new else kept,
        )

    def times(self, factor: float) -> Window:
        """Return it in other weights."""
        if not self.works:
            return self
        works = tuple((work, ok * factor, bad * factor) for work, ok, bad in self.works)
        return Window(self.height * factor, works, scaled(self.kinds, factor), self.wall * factor, self.sources)


EMPTY = Window()


def beside(a: Window, b: Window, memory: Memory) -> Window:
    """Lay two windows on one node side by side; their order in time is lost."""
    works: dict[Work, tuple[float, float]] = {}
    for work, ok, bad in (*a.works, *b.works):
        well, faults = works.get(work, (0.0, 0.0))
        works[work] = (well + ok, faults + bad)
    most = sorted(works.items(), key=lambda item: (-item[1][1], item[0]))[: memory.works]
    return Window(
        a.height + b.height,
        tuple((work, ok, bad) for work, (ok, bad) in most),
        count((*a.kinds, *b.kinds), memory.kinds),
        a.wall + b.wall,
        tuple(sorted({*a.sources, *b.sources})[: memory.sources]),
    )


def _more(
    works: tuple[tuple[Work, float, float], ...], work: Work, ok: float, bad: float, most: int
) -> tuple[tuple[Work, float, float], ...]:
    """Add to one work and put it first; the one that was not heard of for longest makes room."""
    before = next((item for item in works if item[0] == work), (work, 0.0, 0.0))
    rest = tuple(item for item in works if item[0] != work)[: most - 1]
    return ((work, before[1] + ok, before[2] + bad), *rest)


def count(kinds: Iterable[tuple[str, float]], most: int) -> Kinds:
    """Add up weights by kind and keep the `most` frequent, in order."""
    sums: dict[str, float] = {}
    for kind, weight in kinds:
        sums[kind] = sums.get(kind, 0.0) + weight
    return tuple(sorted(sums.items(), key=lambda item: (-item[1], item[0]))[:most])


def scaled(kinds: Kinds, factor: float) -> Kinds:
    """Return kinds in other weights."""
    return tuple((kind, weight * factor) for kind, weight in kinds)
