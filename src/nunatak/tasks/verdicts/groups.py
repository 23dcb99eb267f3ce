"""Failures grouped by what they have in common, in bounded memory however many and however different they are.

The Space-Saving summary of Metwally, Agrawal and El Abbadi, "Efficient computation of frequent and top-k elements in data
streams" (ICDT 2005), merged as in Agarwal et al., "Mergeable summaries" (PODS 2012): with k counters and n failures, every
group of more than n/k failures is there, and a count is too high by at most its `error`, which is at most n/k.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

MOST_PLACES = 8
"""Sites and nodes that are counted for each group."""


class Failure(NamedTuple):
    """One attempt that failed, as the ledger has it; `at` in seconds since the epoch."""

    kind: str
    signature: str
    at: float
    address: str
    sentence: str = ""
    advice: str = ""
    site: str = ""
    node: str = ""


Key = tuple[str, str]


@dataclass(slots=True)
class Top:
    """The most frequent names; a count is too high by at most `error[name]`."""

    most: int = MOST_PLACES
    counts: dict[str, int] = field(default_factory=dict)
    error: dict[str, int] = field(default_factory=dict)
    more: bool = False  # there were others

    def add(self, name: str, count: int = 1, error: int = 0) -> None:
        """Count a name; "" is not known and not counted."""
        if not name:
            return
        if name not in self.counts and len(self.counts) >= self.most:
            least = min(self.counts, key=lambda other: (self.counts[other], other))
            floor = self.counts.pop(least)
            self.error.pop(least, None)
            self.more = True
            count, error = count + floor, error + floor
        self.counts[name] = self.counts.get(name, 0) + count
        if error:
            self.error[name] = self.error.get(name, 0) + error

    def merge(self, other: Top) -> None:
        """Take the names of another in."""
        for name in sorted(other.counts, key=lambda name: (-other.counts[name], name)):
            self.add(name, other.counts[name], other.error.get(name, 0))
        self.more = self.more or other.more

    def names(self) -> list[tuple[str, int]]:
        """Return names with counts, most first."""
        return sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))


@dataclass(slots=True)
class Group:
    """Failures of one kind and signature. `count` is at most `error` too high; times, places and example are of those seen."""

    kind: str
    signature: str
    count: int
    error: int
    first: float
    last: float
    example: str
    sentence: str
    advice: str
    sites: Top = field(default_factory=Top)
    nodes: Top = field(default_factory=Top)

    @property
    def at_least(self) -> int:
        """Return how many there were for certain."""
        return self.count - self.error

    def take(self, failure: Failure) -> None:
        """Count one more; the example is that of the latest."""
        self.count += 1
        self.first = min(self.first, failure.at)
        if failure.at >= self.last:
            self.last, self.example = failure.at, failure.address
            self.sentence, self.advice = failure.sentence or self.sentence, failure.advice or self.advice
        self.sites.add(failure.site)
        self.nodes.add(failure.node)


class Groups:
    """A stream of failures in at most `most` groups. `total` counts all that came."""

    def __init__(self, most: int = 200) -> None:
        """Begin with none."""
        self.most = max(most, 1)
        self.total = 0
        self.floor = 0  # what a group that is not there may count at most
        self._groups: dict[Key, Group] = {}
        self._heap: list[tuple[int, Key]] = []

    def __len__(self) -> int:
        """Return how many groups there are."""
        return len(self._groups)

    def add(self, failure: Failure) -> None:
        """Take one failure; where there is no room, the smallest group makes room."""
        key = (failure.kind, failure.signature)
        self.total += 1
        group = self._groups.get(key)
        if group is None:
            floor = self._make_room() if len(self._groups) >= self.most else 0
            at, address = failure.at, failure.address
            group = Group(*key, floor, floor, at, at, address, failure.sentence, failure.advice)
            self._groups[key] = group
            heapq.heappush(self._heap, (floor + 1, key))
        group.take(failure)

    def extend(self, failures: Iterable[Failure]) -> None:
        """Take many."""
        for failure in failures:
            self.add(failure)

    def _make_room(self) -> int:
        """Remove the smallest group and return its count. Entries of the heap may be behind the counts: put those back."""
        while True:
            count, key = self._heap[0]
            now = self._groups[key].count
            if count == now:
                heapq.heappop(self._heap)
                del self._groups[key]
                self.floor = max(self.floor, count)
                return count
            heapq.heapreplace(self._heap, (now, key))

    def merge(self, other: Groups) -> Groups:
        """Return both streams as one; neither is changed. What one does not have may have counted its floor there."""
        merged = Groups(max(self.most, other.most))
        merged.total = self.total + other.total
        keys = sorted(self._groups.keys() | other._groups.keys())
        both = [_sum(self._groups.get(key), self.floor, other._groups.get(key), other.floor) for key in keys]
        both.sort(key=lambda group: (-group.count, group.kind, group.signature))
        merged.floor = max(self.floor + other.floor, *(group.count for group in both[merged.most :]), 0)
        merged._groups = {(group.kind, group.signature): group for group in both[: merged.most]}
        merged._heap = [(group.count, key) for key, group in merged._groups.items()]
        heapq.heapify(merged._heap)
        return merged

    def top(self, most: int = 20) -> list[Group]:
        """Return the largest groups, by what is certain of them."""
        return sorted(self._groups.values(), key=lambda group: (-group.at_least, group.kind, group.signature))[:most]


def _sum(one: Group | None, one_floor: int, other: Group | None, other_floor: int) -> Group:
    parts = sorted(
        (group for group in (one, other) if group is not None), key=lambda group: (-group.last, group.example)
    )
    missing = (one_floor if one is None else 0) + (other_floor if other is None else 0)
    newest = parts[0]
    total = Group(
        newest.kind,
        newest.signature,
        sum(group.count for group in parts) + missing,
        sum(group.error for group in parts) + missing,
        min(group.first for group in parts),
        newest.last,
        newest.example,
        newest.sentence,
        newest.advice,
    )
    for group in parts:
        total.sites.merge(group.sites)
        total.nodes.merge(group.nodes)
    return total
