"""When a bag of jobs is done on some slots: the probability by a time, without simulating."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from nunatak.tasks.learning.durations import Durations, mixed
from nunatak.tasks.learning.tails import Running

NORMAL = (-1.4635, -0.5989, 0.0, 0.5989, 1.4635)
"""Five points, equally likely, that stand for a standard normal variable: medians of its fifths, with its variance."""
CELL = 0.05
"""What was begun is looked at in steps of this in the logarithm of the time."""
CERTAIN = 28.0
"""Minus the logarithm of a probability that counts as none."""


@dataclass(frozen=True, slots=True)
class Part:
    """The jobs that stand before or at one task."""

    task: Durations
    path: Durations  # from this task to the end of the job
    rest: Durations | None  # after this task
    ready: int
    running: tuple[Running, ...]


class _Begun(NamedTuple):
    """`n` tasks that have been running for `age`, which a share `survived` does, and what comes after each in its job."""

    task: Durations
    rest: Durations | None
    age: float
    survived: float
    residual: float  # seconds, the mean
    n: int


def done_by(parts: Sequence[Part], slots: float, doubt: float, tail_doubt: float) -> Callable[[float], float]:
    """Return the probability that all jobs are done by a time (seconds from now).

    Jobs start at an even pace until the last one has started; then the longest of all under way decides. That none is left is
    a product over all of them, of which those that start evenly give the exponential of an integral. `doubt` is the relative
    standard error of the time at which the last starts, `tail_doubt` that of how long the longest takes.
    """
    ready = sum(part.ready for part in parts)
    running = sum(item.n for part in parts for item in part.running)
    now = min(ready, max(0.0, slots - running))  # start at once
    later = ready - now
    path = mixed([(part.path, part.ready) for part in parts if part.ready]) if ready else None
    begun = [_begun(part, age, n) for part in parts for age, n in part.running]
    last = _last_start(path, begun, now, later, slots) if path and later > 0 else 0.0
    cases = [(last * math.exp(doubt * z - doubt**2 / 2), math.exp(tail_doubt * z)) for z in NORMAL]

    def done(t: float) -> float:
        return sum(math.exp(-_open(t, start, stretch)) for start, stretch in cases if t > start) / len(cases)

    def _open(t: float, start: float, stretch: float) -> float:
        whole, since = t / stretch, (t - start) / stretch
        found = 0.0
        if path:
            found += now * _hazard(path.beyond(whole))
            if later > 0:
                found += _hazard(path.beyond(since))
            if later > 1:
                found += (later - 1) * stretch / start * (path.within(whole) - path.within(since))
        return found if found > CERTAIN else found + old(whole)

    @cache
    def cell(number: int) -> float:
        t = math.exp((number + 0.5) * CELL)
        return sum(_not_done(item, t) for item in begun)

    def old(t: float) -> float:
        return cell(math.floor(math.log(t) / CELL)) if begun else 0.0

    return done


def _begun(part: Part, age: float, n: int) -> _Begun:
    survived = max(part.task.beyond(age), 1e-12)
    return _Begun(part.task, part.rest, age, survived, (part.task.mean - part.task.within(age)) / survived, n)


def _hazard(beyond: float) -> float:
    return -math.log(max(1e-12, 1.0 - beyond))


def _not_done(item: _Begun, t: float) -> float:
    """Return minus the logarithm of the probability that what was begun is done by `t`: its task, and what follows it."""
    task, rest, age, survived, residual, n = item
    if rest is None:
        return n * _hazard(task.beyond(age + t) / survived)
    if t <= max(rest.mean, residual):
        return CERTAIN * n
    return n * (_hazard(task.beyond(age + t - rest.mean) / survived) + _hazard(rest.beyond(t - residual)))


def _last_start(path: Durations, begun: Sequence[_Begun], now: float, later: float, slots: float) -> float:
    """Return when the last job starts: until then all slots work, on what was begun and on what starts at an even pace."""

    def worked(t: float) -> float:
        total = now * path.within(t) + later * path.within_twice(t) / t
        for task, rest, age, survived, residual, n in begun:
            total += n * (task.within(age + t) - task.within(age)) / survived
            if rest is not None and t > residual:
                total += n * rest.within(t - residual)
        return total

    high = worked(1e12) / slots
    low = high / 1024
    for _ in range(14):
        middle = math.sqrt(low * high)
        if worked(middle) > slots * middle:
            low = middle
        else:
            high = middle
    return high


def first(ends: Callable[[float], float], share: float, low: float) -> float:
    """Return the first time from `low` on at which the rising function `ends` reaches `share`, within 3 %."""
    high = low
    while ends(high) < share and high < 1e11:
        low, high = high, high * 2
    while high / low > 1.03:
        middle = math.sqrt(low * high)
        if ends(middle) < share:
            low = middle
        else:
            high = middle
    return high
