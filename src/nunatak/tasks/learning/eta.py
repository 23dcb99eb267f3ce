"""When a dataset will be done, as a range: from what is left of each task, how long tasks take, and the slots it has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

from nunatak.core.units import time_text
from nunatak.tasks.learning.durations import Durations, from_sketch, of
from nunatak.tasks.learning.ends import Part, done_by, first
from nunatak.tasks.learning.sketch import EMPTY, Sketch
from nunatak.tasks.learning.tails import Running, Tail

SHARES = (0.1, 0.5, 0.9)
"""With which probability it is done by the low, middle and high end."""
UNSTEADY = 0.05
"""Slots come and go: no pace is known better than this."""
AGE_GROUPS = 3
GUESS = ((0.1, 1.0), (0.2, 1.0), (0.3, 1.0))
"""How long a task of which none has finished takes, as shares of the time it asks for: people ask for a few times too much."""
GUESS_TAIL = Tail(1.0, 0.3)


@dataclass(frozen=True, slots=True)
class Work:
    """What is left of one task of a dataset. `ready` has those of untouched jobs and those that wait in an engine too."""

    name: str
    after: tuple[int, ...] = ()  # positions of its parents in the sequence
    once: bool = False  # done once a dataset, not once a job
    waiting: int = 0
    ready: int = 0
    running: tuple[Running, ...] = ()
    took: Sketch = EMPTY  # wall seconds of attempts that finished
    asked: float = 3600.0  # seconds: an attempt is ended then

    @property
    def left(self) -> int:
        """How many are not finished."""
        return self.waiting + self.ready + sum(item.n for item in self.running)


Bag = Sequence[tuple[Work, Durations]]


@dataclass(frozen=True, slots=True)
class Recent:
    """What was achieved lately: `work` wall seconds of attempts that finished well within the last `seconds`."""

    seconds: float
    work: float
    done: int


@dataclass(frozen=True, slots=True)
class Eta:
    """Seconds from now by which all is done with a probability of 10, 50 and 90 %."""

    low: float
    middle: float
    high: float
    guessed: tuple[str, ...] = ()  # tasks of which none has finished yet

    @property
    def text(self) -> str:
        """Return it in words."""
        low, high = time_text(self.low), time_text(self.high)
        span = f"done in {low}" if low == high else f"done in {low} to {high} (8 times out of 10)"
        if self.guessed:
            span += f"; how long {', '.join(self.guessed)} takes is a guess from the time asked for, as none has finished yet"
        return span


def eta(work: Sequence[Work], slots: float, recent: Recent | None = None) -> Eta | None:
    """Return when all of `work` is done; None if nothing is left that can go on, or there are no slots.

    `slots` is how many tasks of this dataset can run at once. Jobs are taken as started at an even pace until the last one
    starts, after which the longest of those under way decides: the probability that none is left at a time is a product over
    all that are under way, those that started long ago with their tails. Once-a-dataset tasks come before or after.
    """
    left = [item for item in work if item.left]
    if not left or slots <= 0:
        return None
    lasts = [_lasts(item) for item in work]
    bag = [(item, last) for item, last in zip(work, lasts, strict=True) if item.left and not item.once]
    serial = [_rest(item, last) for item, last in zip(work, lasts, strict=True) if item.left and item.once]
    parts = _parts(work, lasts)
    if bag and not parts:
        return None
    found = _of_jobs(bag, parts, slots * _pace(bag, slots, recent)) if bag else (0.0,) * len(SHARES)
    if serial:
        after = reduce(Durations.then, serial)
        found = tuple(t + after.quantile(share) for t, share in zip(found, SHARES, strict=True))
    low, middle, high = (max(0.0, seconds) for seconds in found)  # rounding may leave a hair less than nothing
    return Eta(low, middle, high, guessed=tuple(item.name for item in left if not item.took.count))


def _of_jobs(bag: Bag, parts: Sequence[Part], slots: float) -> tuple[float, ...]:
    """Return the times by which all jobs are done with each probability in `SHARES`."""
    ends = done_by(parts, slots, _doubt(bag), _tail_doubt(bag))
    soonest = _soonest(bag, slots)
    found = [first(ends, SHARES[0], max(1e-3, soonest / 8))]
    for share in SHARES[1:]:
        found.append(first(ends, share, found[-1]))
    return (min(found[0], soonest), *found[1:])


def _lasts(item: Work) -> Durations:
    """Return how long one takes; a guess if none has finished."""
    known = from_sketch(item.took, item.running, item.asked)
    return known or replace(of([(share * item.asked, mass) for share, mass in GUESS]), tail=GUESS_TAIL)


def _rest(item: Work, lasts: Durations) -> Durations:
    return lasts.after(item.running[0].age) if item.running else lasts


def _parts(work: Sequence[Work], lasts: Sequence[Durations]) -> list[Part]:
    """Return the jobs by the task they stand at, each with the longest way from there to the job's end."""
    children: dict[int, list[int]] = {index: [] for index in range(len(work))}
    for index, item in enumerate(work):
        for parent in item.after:
            if not item.once and not work[parent].once:
                children[parent].append(index)
    paths: dict[int, Durations] = {}
    parts = []
    for index in reversed(range(len(work))):
        item = work[index]
        if item.once:
            continue
        ways = [paths[child] for child in children[index]]
        rest = max(ways, key=lambda way: way.mean) if ways else None
        paths[index] = lasts[index].then(rest) if rest else lasts[index]
        ready = item.ready or (item.waiting if not any(not work[parent].once for parent in item.after) else 0)
        if ready or item.running:
            parts.append(Part(lasts[index], paths[index], rest, ready, _grouped(item.running)))
    return parts


def _grouped(running: Sequence[Running]) -> tuple[Running, ...]:
    """Put attempts of about the same age together, the oldest apart."""
    if len(running) <= AGE_GROUPS:
        return tuple(running)
    rising = sorted(running)
    size = -(-len(rising) // AGE_GROUPS)
    groups = [rising[start : start + size] for start in range(0, len(rising), size)]
    return tuple(
        Running(sum(a * n for a, n in group) / sum(n for _, n in group), sum(n for _, n in group)) for group in groups
    )


def _pace(bag: Bag, slots: float, recent: Recent | None) -> float:
    """Return which part of the slots' time becomes finished work: lost attempts and waiting slow it.

    What was done lately tells, the better the longer it was looked at against how long tasks take.
    """
    known = [last.mean for item, last in bag if item.took.count]
    if not recent or recent.done < 2 or not known:
        return 1.0
    seen = recent.work / (slots * recent.seconds)
    trust = max(0.0, 1.0 - 3 * max(known) / recent.seconds) * recent.done / (recent.done + 10)
    return min(1.2, max(0.1, trust * seen + (1 - trust)))


def _doubt(bag: Bag) -> float:
    """Return the relative standard error of the remaining work: the mean is known from few, and what is left varies."""
    whole = sum(item.left * last.mean for item, last in bag)
    variance = sum(last.variance * (item.left + item.left**2 / (item.took.count or 0.5)) for item, last in bag)
    return min(1.0, math.hypot(math.sqrt(variance) / whole, UNSTEADY))


def _tail_doubt(bag: Bag) -> float:
    """Return the standard error of the logarithm of the longest of all that is left, which the last job waits for."""
    return min(1.2, max((last.quantile(1 - 1 / (item.left + 1)), last.tail.doubt(item.left)) for item, last in bag)[1])


def _soonest(bag: Bag, slots: float) -> float:
    """Return the remaining work over the slots, and a deviation of the durations more: jobs of one length end so together."""
    whole = sum(item.left * last.mean for item, last in bag)
    begun = sum(n * min(age, last.mean) for item, last in bag for age, n in item.running)
    deviation = math.sqrt(sum(item.left * last.variance for item, last in bag) * sum(item.left for item, _ in bag))
    return (whole - begun) / slots * (1 + deviation / whole) * math.exp(-1.28 * _doubt(bag))
