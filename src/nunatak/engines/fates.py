"""What becomes of attempts where tasks have habits of their own: how long each takes, what it uses, and what a place does to it.

How long a task takes and how much memory it uses is drawn from the task's address, so that another try of it is as long;
where it runs, whether it is evicted and whether it fails is drawn from the attempt's.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol

from nunatak.core.work import Reason, TaskSpec
from nunatak.engines.behaviour import Behaviour, Fate, log_normal, uniform
from nunatak.engines.hosts import FaultsByHost
from nunatak.engines.world import Fates


class Law(Protocol):
    """A distribution of amounts."""

    def at(self, share: float) -> float:
        """Return the amount that this share of all does not exceed."""


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Most near the median, a few much larger; `spread` is the standard deviation of the logarithm (0: always the median)."""

    median: float
    spread: float = 0.0

    def at(self, share: float) -> float:
        """Return the amount that this share of all does not exceed."""
        return log_normal(self.median, self.spread, share)


@dataclass(frozen=True, slots=True)
class Pareto:
    """A heavy tail: nothing below `least`, and the larger `power`, the rarer what is far above it."""

    least: float
    power: float

    def at(self, share: float) -> float:
        """Return the amount that this share of all does not exceed."""
        return self.least * math.exp(-math.log(max(1e-12, 1.0 - share)) / self.power)


class Steps:
    """Amounts that were seen, each as often as it was; between two of them, in proportion."""

    def __init__(self, atoms: Sequence[tuple[float, float]]) -> None:
        """Take (amount, how often) in rising order; at least one."""
        self._at = [amount for amount, _ in atoms]
        whole = sum(n for _, n in atoms)
        self._upto = [n / whole for n in accumulate(n for _, n in atoms)]

    def at(self, share: float) -> float:
        """Return the amount that this share of all does not exceed."""
        index = min(bisect_left(self._upto, share), len(self._at) - 1)
        if index == 0:
            return self._at[0]
        low, high = self._upto[index - 1], self._upto[index]
        part = min(1.0, max(0.0, (share - low) / (high - low))) if high > low else 1.0
        return self._at[index - 1] + part * (self._at[index] - self._at[index - 1])


@dataclass(frozen=True, slots=True)
class Habit:
    """What a task takes: seconds and bytes. What is `over` was done before, and ends as soon as it begins."""

    duration: Law
    memory: Law
    over: bool = False


Habits = Callable[[TaskSpec], Habit]
"""Returns the habit of the task of an attempt."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a resource does to attempts: `half_life` seconds after which half of them would be evicted (0: never), the share
    that fails with exit code 1, how long at most it holds up what is submitted, how many times as fast as usual it is, its
    nodes, how many attempts each takes at a time (0: as many as come), and what is wrong with some."""

    hosts: tuple[str, ...] = ("sim-1",)
    slots_per_host: int = 0
    half_life: float = 0.0
    failure_rate: float = 0.0
    submit_delay: float = 0.0
    speed: float = 1.0
    faults: FaultsByHost = field(default_factory=dict)

    def behaviour(self) -> Behaviour:
        """Return what a simulated resource has to know of its nodes."""
        return Behaviour(hosts=self.hosts, slots_per_host=self.slots_per_host, faults=self.faults)


def fates_of(place: Place, habits: Habits, seed: int) -> Fates:
    """Return what says the fate of each attempt at a place."""

    def fate(spec: TaskSpec) -> Fate:
        habit = habits(spec)
        long, large, *_ = uniform(seed, spec.address.partition("#")[0])
        _, _, evicted, failed, luck, early, delay, where = uniform(seed, spec.address)
        if habit.over:
            return Fate(0.0, 0.0, Reason.OK, 0, 0.0, 0.0, where)
        memory = int(habit.memory.at(large))
        duration, reason = habit.duration.at(long) / place.speed, Reason.OK
        if failed < place.failure_rate:
            duration, reason = duration * early, Reason.EXIT
        elif memory > spec.shape.memory:
            duration, reason = duration * early, Reason.MEMORY
        lasts = place.half_life * math.log2(1.0 / max(evicted, 1e-300)) if place.half_life else math.inf
        if lasts < duration:
            duration, reason = lasts, Reason.TERMINATED
        if duration > spec.shape.time:
            duration, reason = float(spec.shape.time), Reason.TIME
        return Fate(delay * place.submit_delay, duration, reason, memory, 0.0, 0.0, where, luck)

    return fate
