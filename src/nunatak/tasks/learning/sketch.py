"""Quantiles of many values in constant space: kept for each task of a dataset, fed by every report.

A DDSketch (Masson, Rim, Lee: DDSketch, a fast and fully-mergeable quantile sketch with relative-error guarantees, PVLDB 12
(2019) 2195, algorithms 1 to 4): counts of values in buckets that grow by a constant factor. It is all integers, so merging
is exactly associative and commutative, whatever the order of reports.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Self

import orjson

from nunatak.core.errors import Invalid

FORMAT = 1
"""Says how `to_text` writes, and with it `ACCURACY`."""
ACCURACY = 0.02
"""Quantiles are right to this share of their value."""
BUCKETS_MOST = 256
"""Beyond it the lowest buckets are put together: 256 hold a range of 1 to 28,000, from the largest value down."""
SMALLEST = 1e-9
"""Values below count as zero."""

_GROWTH = (1 + ACCURACY) / (1 - ACCURACY)
_PER_LOG = 1 / math.log(_GROWTH)
_MIDDLE = 2 * _GROWTH / (1 + _GROWTH)  # of a bucket, as a multiple of its lower end


@dataclass(frozen=True, slots=True)
class Sketch:
    """How values are distributed; `least` and `most` are exact. A value: adding gives a new one."""

    buckets: Mapping[int, int] = field(default_factory=dict)  # bucket i counts values from growth^i to growth^(i+1)
    zeros: int = 0
    least: float = 0.0
    most: float = 0.0

    @property
    def count(self) -> int:
        """How many values there were."""
        return self.zeros + sum(self.buckets.values())

    def add(self, values: Sequence[float]) -> Sketch:
        """Return the sketch of the values so far and these. Raises `Invalid` for one below zero or not finite."""
        if not values:
            return self
        if not (min(values) >= 0 and math.isfinite(sum(values))):
            raise Invalid("only finite amounts from zero on can be counted", code="bad-amount")
        log, per_log = math.log, _PER_LOG
        found = Counter([log(value) * per_log // 1 for value in values if value > SMALLEST])
        buckets = {int(index): n for index, n in found.items()}
        return self.merge(Sketch(buckets, len(values) - found.total(), float(min(values)), float(max(values))))

    def merge(self, other: Sketch) -> Sketch:
        """Return the sketch of the values of both."""
        if not other.buckets and not other.zeros:
            return self
        if not self.buckets and not self.zeros:
            return Sketch(_collapse(other.buckets), other.zeros, other.least, other.most)
        buckets = dict(self.buckets)
        for index, n in other.buckets.items():
            buckets[index] = buckets.get(index, 0) + n
        zeros, least, most = self.zeros + other.zeros, min(self.least, other.least), max(self.most, other.most)
        return Sketch(_collapse(buckets), zeros, least, most)

    def quantile(self, share: float) -> float:
        """Return the smallest value that at least this share of the values do not exceed; 0 without any.

        It is within `ACCURACY` of the exact one (exact for the smallest and the largest), unless it fell into buckets that
        were put together: then it is too large.
        """
        count = self.count
        wanted = max(1, math.ceil(share * count - 1e-9))
        if wanted >= count:
            return self.most
        if wanted <= self.zeros:
            return 0.0
        if wanted == 1:
            return self.least
        upto = self.zeros
        for index in sorted(self.buckets):
            upto += self.buckets[index]
            if upto >= wanted:
                return self._value(index)
        return self.most

    def mean(self) -> float:
        """Return the mean, within `ACCURACY`; 0 without values."""
        return sum(value * n for value, n in self.atoms()) / max(1, self.count)

    def deviation(self) -> float:
        """Return the standard deviation of the values that the buckets stand for."""
        mean, count = self.mean(), max(1, self.count)
        return math.sqrt(sum((value - mean) ** 2 * n for value, n in self.atoms()) / count)

    def atoms(self) -> list[tuple[float, int]]:
        """Return (value, count) in rising order: each bucket's middle, which is within `ACCURACY` of all it counts."""
        indices = sorted(self.buckets)
        atoms = [(_GROWTH**index * _MIDDLE, self.buckets[index]) for index in indices]
        for end in (0, -1) if indices else ():
            atoms[end] = (self._value(indices[end]), atoms[end][1])
        return [(0.0, self.zeros), *atoms] if self.zeros else atoms

    def _value(self, index: int) -> float:
        return min(max(_GROWTH**index * _MIDDLE, self.least), self.most)

    def to_text(self) -> str:
        """Return a compact text: JSON of the format, zeros, least, most, and for each bucket its step up and its count."""
        pairs: list[int] = []
        before = 0
        for index in sorted(self.buckets):
            pairs += (index - before, self.buckets[index])
            before = index
        return orjson.dumps([FORMAT, self.zeros, self.least, self.most, pairs]).decode()

    @classmethod
    def from_text(cls, text: str | None) -> Self:
        """Read what `to_text` wrote; nothing is an empty sketch. Raises `Invalid` for another format."""
        if not text:
            return cls()
        form, zeros, least, most, pairs = orjson.loads(text)
        if form != FORMAT:
            raise Invalid(f"a sketch has format {form}, not {FORMAT}", code="bad-sketch")
        return cls(dict(zip(accumulate(pairs[::2]), pairs[1::2], strict=True)), zeros, least, most)


EMPTY = Sketch()


def _collapse(buckets: Mapping[int, int]) -> Mapping[int, int]:
    """Put the lowest buckets together until there are no more than allowed (algorithm 3 of the paper).

    What is left depends on the highest `BUCKETS_MOST` indices that ever occurred alone: the order of merges does not matter.
    """
    if len(buckets) <= BUCKETS_MOST:
        return buckets
    low = sorted(buckets)[: -BUCKETS_MOST + 1]
    kept = {index: n for index, n in buckets.items() if index >= low[-1]}
    kept[low[-1]] += sum(buckets[index] for index in low[:-1])
    return kept
