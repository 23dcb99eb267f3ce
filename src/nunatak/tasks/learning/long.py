"""Tasks that are too long for a place: what evictions cost them, and into how many jobs they might be divided."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nunatak.core.units import count_text, time_text
from nunatak.tasks.learning.sketch import Sketch

AGAIN = 120.0
"""Seconds until an evicted attempt works again: it is queued, placed and its inputs fetched."""
WASTE = 0.2
"""Pieces may lose this share of their time to evictions."""
SHORTEST = 1800.0
"""Seconds: shorter pieces are not proposed."""
NEVER = 50 * 365 * 86400.0
"""Seconds after which nobody waits."""
_LN2 = math.log(2)


@dataclass(frozen=True, slots=True)
class Place:
    """An engine: after `half_life` seconds half of its attempts have been evicted (inf: none are)."""

    name: str
    half_life: float
    longest: float = math.inf  # seconds it lets an attempt run


@dataclass(frozen=True, slots=True)
class Split:
    """A proposal: `jobs` jobs instead of one, the parameter `low` in some and `high` in the rest."""

    parameter: str
    whole: int
    jobs: int
    low: int
    high: int

    @property
    def text(self) -> str:
        """Return it in words."""
        each = f"{self.low}" if self.low == self.high else f"{self.low} or {self.high}"
        return f"{count_text(self.jobs, 'job')} with {self.parameter} {each} instead of one with {self.whole}"


@dataclass(frozen=True, slots=True)
class TooLong:
    """A task takes longer than half of the attempts last at a place; times in seconds."""

    task: str
    place: Place
    takes: float  # p90 of the attempts that finished, or what is asked for
    seen: int  # attempts that finished
    restarting: float  # expected until it is done, beginning anew after each eviction
    resuming: float  # expected with a checkpoint kept at each eviction
    checkpoint: bool
    split: Split | None
    command: str = ""  # what to type to have it divided

    @property
    def text(self) -> str:
        """Return it in words, with what to do."""
        takes = f"takes {time_text(self.takes)} (p90 of {count_text(self.seen, 'attempt')})" if self.seen else ""
        said = f"{self.task} {takes or f'asks for {time_text(self.takes)}'}, but {self._limit()}"
        if self.takes > self.place.longest:
            return f"{said}; {self._advice()}"
        resuming = f"about {time_text(self.resuming)}"
        if self.checkpoint:
            return f"{said}; resuming from its checkpoint it needs {resuming}"
        if self.restarting > NEVER:
            return f"{said}; begun anew each time it will not finish, with a checkpoint it needs {resuming}; {self._advice()}"
        anew = f"about {time_text(self.restarting)}"
        return f"{said}; begun anew each time it needs {anew}, with a checkpoint {resuming}; {self._advice()}"

    def _limit(self) -> str:
        place = self.place
        if self.takes > place.longest:
            return f"{place.name} lets nothing run longer than {time_text(place.longest)}"
        return f"half of the attempts on {place.name} are evicted within {time_text(place.half_life)}"

    def _advice(self) -> str:
        if self.split:
            how = f": {self.command}" if self.command else ""
            return f"yours: divide it into {self.split.text}{how}"
        return "yours: declare a checkpoint file, or a splittable parameter"


def too_long(
    task: str,
    took: Sketch,
    asked: float,
    place: Place,
    *,
    splittable: tuple[str, int] | None = None,
    checkpoint: bool = False,
    command: str = "",
) -> TooLong | None:
    """Return what is to be said of a task whose p90 (before any finished: the time asked for) is beyond a place's half-life.

    `splittable` is a parameter and its value that may be divided over more jobs, `command` what to type for that.
    """
    takes = took.quantile(0.9) if took.count else asked
    if takes <= min(place.half_life, place.longest):
        return None
    restarting, resuming = expected(takes, place.half_life), expected(takes, place.half_life, interval=0.0)
    split = divide(*splittable, takes, place) if splittable else None
    return TooLong(task, place, takes, took.count, restarting, resuming, checkpoint, split, command)


def expected(
    work: float, half_life: float, *, again: float = AGAIN, interval: float | None = None, cost: float = 0.0
) -> float:
    """Return the expected seconds until `work` seconds are done under evictions at a constant rate.

    Without an `interval` all work is lost at each; with one, a checkpoint is written after so many seconds of work, taking
    `cost`; an interval of 0 is a checkpoint at the eviction itself. `again` passes until an evicted attempt works again.
    J. T. Daly, A higher order estimate of the optimum checkpoint interval for restart dumps, Future Generation Computer
    Systems 22 (2006) 303, its complete cost function: M e^(R/M) (e^((t+d)/M) - 1) T/t with the mean time M between evictions.
    """
    if math.isinf(half_life):
        return work
    mean = half_life / _LN2
    if interval == 0:
        return work * math.exp(again / mean)  # the limit of ever shorter intervals that cost nothing
    length = work if interval is None else min(interval, work)
    exponent = (length + (0.0 if interval is None else cost)) / mean
    if exponent > 500:
        return math.inf
    return mean * math.exp(again / mean) * math.expm1(exponent) * work / length


def divide(parameter: str, whole: int, takes: float, place: Place) -> Split | None:
    """Return into how many jobs to divide a task so that each piece loses at most `WASTE` of its time to evictions.

    As few as that takes; a few more if the parameter is then divided evenly. None if it cannot be divided or need not be.
    """
    fits = min(_LONGEST_SHARE * place.half_life / _LN2, 0.8 * place.longest)
    jobs = min(whole, math.ceil(takes / max(fits, min(SHORTEST, 0.8 * place.longest))))
    if jobs < 2:
        return None
    even = next((n for n in range(jobs, min(whole, jobs + jobs // 2) + 1) if whole % n == 0), jobs)
    return Split(parameter, whole, even, whole // even, -(-whole // even))


def pieces(split: Split) -> Sequence[int]:
    """Return the parameter of each job; they sum to the whole."""
    larger = split.whole - split.low * split.jobs
    return (split.high,) * larger + (split.low,) * (split.jobs - larger)


def _share_for(waste: float) -> float:
    """Return the x at which (e^x - 1)/x, the expected time of a piece over its length, is 1 + waste."""
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if math.expm1(middle) / middle < 1 + waste else (low, middle)
    return low


_LONGEST_SHARE = _share_for(WASTE)
