"""What datasets have used, forgotten by half every half-life: kept so that adding is one addition, in any order."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from nunatak.core.errors import Invalid
from nunatak.core.work import Shape

ERA = 32
"""Half-lives of an era. Amounts are scaled to the begin of their era, so they grow to 2**32 times and no further."""
HOUR = 3600.0


class Amount(NamedTuple):
    """Core-hours and GPU-hours of a machine of speed 1."""

    core: float = 0.0
    gpu: float = 0.0

    def worth(self, gpu: float) -> float:
        """Return core-hours, a GPU-hour counting as `gpu` of them."""
        return self.core + gpu * self.gpu


class Usage(NamedTuple):
    """Decayed use as it is kept: core- and GPU-hours scaled to the begin of an era. Time alone does not change it."""

    era: int = 0
    core: float = 0.0
    gpu: float = 0.0


class Used(NamedTuple):
    """Decayed core-hours now (GPU-hours included by their worth) of groups, of users within a group, and of datasets."""

    groups: Mapping[str, float]
    users: Mapping[tuple[str, str], float]
    datasets: Mapping[int, float]


NOTHING_USED = Used({}, {}, {})


class Spent(NamedTuple):
    """What one dataset of a user, working for a group, has used; several of one dataset add up."""

    dataset: int
    group: str
    user: str
    usage: Usage


def occupied(shape: Shape, seconds: float, speed: float = 1.0) -> Amount:
    """Return what a task of this shape keeps others from using in `seconds` on a node of this speed, used well or not."""
    hours = max(0.0, seconds) * speed / HOUR
    return Amount(shape.cpu * hours, shape.gpu * hours)


@dataclass(frozen=True, slots=True)
class Decay:
    """Forgetting with a half-life in seconds: an amount used at time t counts 2**-((now - t) / half_life) of itself.

    The amount of time t is kept times 2**((t - begin of the era) / half_life). So two amounts of one era add up as they
    are, whenever they were used, and the next era is reached by an exact factor 2**-32: `merge` is commutative, and
    associative to rounding.
    """

    half_life: float = field(default=7 * 86400.0)

    def __post_init__(self) -> None:
        """Raise `Invalid` for what is no length of time."""
        if not (math.isfinite(self.half_life) and self.half_life > 0):
            hint = "write it as a length of time, as 7 d"
            raise Invalid(f"a half-life of {self.half_life} s is not possible", code="bad-half-life", hint=hint)

    def entry(self, amount: Amount, at: float) -> Usage:
        """Return an amount used at time `at` as it is kept."""
        era, scale = self._place(at)
        return Usage(era, amount.core * scale, amount.gpu * scale)

    def merge(self, one: Usage, other: Usage) -> Usage:
        """Add two kept amounts."""
        old, new = (one, other) if one.era <= other.era else (other, one)
        factor = math.ldexp(1.0, -ERA * min(new.era - old.era, 32))
        return Usage(new.era, new.core + old.core * factor, new.gpu + old.gpu * factor)

    def now(self, usage: Usage, at: float) -> Amount:
        """Return what a kept amount counts at time `at`."""
        era, scale = self._place(at)
        factor = math.ldexp(1.0 / scale, -ERA * max(-16, min(era - usage.era, 32)))
        return Amount(usage.core * factor, usage.gpu * factor)

    def changed(self, usage: Usage, before: Decay, at: float) -> Usage:
        """Return what was kept with another half-life as it is kept with this one: the same amount at time `at`."""
        return self.entry(before.now(usage, at), at)

    def totals(self, spent: Iterable[Spent], at: float, gpu_worth: float) -> Used:
        """Sum what datasets used, of those that are done too, up to users and groups."""
        groups: dict[str, float] = defaultdict(float)
        users: dict[tuple[str, str], float] = defaultdict(float)
        datasets: dict[int, float] = {}
        factors: dict[int, float] = {}
        for dataset, group, user, (era, core, gpu) in spent:
            if era not in factors:
                factors[era] = self.now(Usage(era, 1.0), at).core
            worth = factors[era] * (core + gpu_worth * gpu)
            groups[group] += worth
            users[group, user] += worth
            datasets[dataset] = datasets.get(dataset, 0.0) + worth
        return Used(groups, users, datasets)

    def _place(self, at: float) -> tuple[int, float]:
        """Return the era of a time, and 2 to the number of half-lives since its begin."""
        eras = at / (ERA * self.half_life)
        era = math.floor(eras)
        return era, 2.0 ** (ERA * (eras - era))
