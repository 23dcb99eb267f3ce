"""How long a task may still take: from the attempts that finished, those still running, and a tail beyond what was seen."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from nunatak.tasks.learning.sketch import Sketch
from nunatak.tasks.learning.tails import NO_TAIL, Running, Tail, survivors, with_tail

CELLS = 20
"""Into how many steps a sum of two durations is put."""
STEPS_MOST = 64
"""How many steps are taken from a sketch: finer ones cost time and tell no more."""


@dataclass(frozen=True, slots=True)
class Durations:
    """A distribution of times in steps, with sums kept so that its integrals are found by one search."""

    at: tuple[float, ...]  # seconds, rising
    mass: tuple[float, ...]  # probability up to and with each
    first: tuple[float, ...]  # sum of probability x seconds, likewise
    second: tuple[float, ...]  # sum of probability x seconds squared, likewise
    tail: Tail = NO_TAIL

    def beyond(self, t: float) -> float:
        """Return the probability of taking longer than `t`."""
        index = bisect_right(self.at, t)
        return max(0.0, 1.0 - self.mass[index - 1]) if index else 1.0

    def within(self, t: float) -> float:
        """Return the mean of the time cut off at `t`, which is the integral of `beyond` up to `t`."""
        if t <= 0:
            return 0.0
        index = bisect_right(self.at, t)
        return self.first[index - 1] + t * max(0.0, 1.0 - self.mass[index - 1]) if index else t

    def within_twice(self, t: float) -> float:
        """Return the integral of `within` up to `t`."""
        index = bisect_right(self.at, t)
        if t <= 0 or not index:
            return max(0.0, t) ** 2 / 2
        rest = max(0.0, 1.0 - self.mass[index - 1])
        return t * self.first[index - 1] - self.second[index - 1] / 2 + rest * t * t / 2

    def quantile(self, share: float) -> float:
        """Return the first step by which at least this share is done."""
        return self.at[min(len(self.at) - 1, bisect_left(self.mass, share - 1e-9))]

    @property
    def mean(self) -> float:
        """Return the mean."""
        return self.first[-1]

    @property
    def variance(self) -> float:
        """Return the variance."""
        return max(0.0, self.second[-1] - self.first[-1] ** 2)

    def atoms(self) -> list[tuple[float, float]]:
        """Return the steps: (seconds, probability)."""
        masses = (upto - before for upto, before in zip(self.mass, (0.0, *self.mass), strict=False))
        return list(zip(self.at, masses, strict=True))

    def after(self, age: float) -> Durations:
        """Return the rest of what has already taken `age`; if nothing is known to take so long, as long again."""
        rest = [(at - age, mass) for at, mass in self.atoms() if at > age and mass > 0]
        return of(rest or [(max(age, 1e-3), 1.0)])

    def then(self, other: Durations) -> Durations:
        """Return the distribution of the sum, in `CELLS` steps; the mean is kept."""
        mine, others = self.coarse(), other.coarse()
        low, high = mine[0][0] + others[0][0], mine[-1][0] + others[-1][0]
        if high <= low * 1.0001:
            return of([(self.mean + other.mean, 1.0)])
        floor = max(low, high * 1e-6)
        scale = (CELLS - 1e-6) / math.log(high / floor)
        mass, first = [0.0] * CELLS, [0.0] * CELLS
        log = math.log
        for x, p in mine:
            for y, q in others:
                both, t = p * q, x + y
                cell = int(log(t / floor) * scale) if t > floor else 0
                mass[cell] += both
                first[cell] += both * t
        return of([(t / p, p) for t, p in zip(first, mass, strict=True) if p > 0])

    def coarse(self) -> list[tuple[float, float]]:
        """Return at most `CELLS` steps with the same mean, evenly spaced in the logarithm."""
        if len(self.at) <= CELLS:
            return self.atoms()
        floor = max(self.at[0], self.at[-1] * 1e-6)
        scale = (CELLS - 1e-6) / math.log(self.at[-1] / floor)
        mass, first = [0.0] * CELLS, [0.0] * CELLS
        for t, p in self.atoms():
            cell = int(math.log(t / floor) * scale) if t > floor else 0
            mass[cell] += p
            first[cell] += p * t
        return [(t / p, p) for t, p in zip(first, mass, strict=True) if p > 0]


def of(atoms: Iterable[tuple[float, float]]) -> Durations:
    """Return the distribution with these steps in rising order; the probabilities are made to sum to 1."""
    rising = list(atoms)
    whole = sum(mass for _, mass in rising)
    at = tuple(t for t, _ in rising)
    mass = [p / whole for _, p in rising]
    upto = tuple(accumulate(mass))
    first = tuple(accumulate(p * t for p, t in zip(mass, at, strict=True)))
    second = tuple(accumulate(p * t * t for p, t in zip(mass, at, strict=True)))
    return Durations(at, upto, first, second)


def mixed(parts: Sequence[tuple[Durations, float]]) -> Durations:
    """Return the distribution of one taken from several, each as often as its weight says."""
    if len(parts) == 1:
        return parts[0][0]
    return of(sorted((t, p * weight) for part, weight in parts for t, p in part.coarse()))


def from_sketch(took: Sketch, running: Sequence[Running] = (), longest: float = math.inf) -> Durations | None:
    """Return how long a task takes; None if no attempt has finished.

    Attempts that still run are known to take longer than they have so far (Kaplan and Meier 1958: without them the first
    to finish, which are the short ones, would speak for all). The tail is fitted to the longest (see `tails`); `longest`
    seconds is where the limit ends an attempt.
    """
    if not took.count:
        return None
    ended = _fewer([(max(t, 1e-3), n) for t, n in took.atoms()])
    atoms, tail = with_tail(survivors(ended, running), ended, running)
    return replace(of([(min(t, longest), p) for t, p in atoms if p > 0]), tail=tail)


def _fewer(ended: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """Return at most `STEPS_MOST` steps, neighbours put together at their mean."""
    size = -(-len(ended) // STEPS_MOST)
    if size == 1:
        return ended
    made = []
    for start in range(0, len(ended), size):
        part = ended[start : start + size]
        count = sum(n for _, n in part)
        made.append((sum(t * n for t, n in part) / count, count))
    return made
