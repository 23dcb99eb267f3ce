"""Who is next in one kind of slot: turns by group, user and dataset, remembered from one plan to the next."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heapreplace
from typing import TypeVar

from nunatak.tasks.sharing.fits import Offer
from nunatak.tasks.sharing.model import Group, Line, Positions, User

MOST_OFFERS = 64
MOST_PASSES = 10_000
ROOT = -1
Key = str | tuple[str, str] | int
Node = TypeVar("Node", Group, User, Line)
Heap = list[tuple[float, float, int, Node]]
"""Passes, the rate with a minus (of equal passes the fastest is first), place among siblings, and who it is."""


@dataclass(slots=True)
class Passes:
    """Who had how much of its turns, in one kind of slot: the cost of what it was given, over its rate.

    `level`, by parent: the least of its children's, as of the last pick. Who comes new or comes back begins there. `rates`
    are those of the last pick: what one is ahead of the level counts less when its rate has grown since, as by waiting.
    """

    own: dict[Key, float] = field(default_factory=dict)
    rates: dict[Key, float] = field(default_factory=dict)
    level: dict[Key, float] = field(default_factory=dict)


class Memory:
    """What is kept from one plan to the next: turns by kind of slot. Losing it costs nobody more than a turn."""

    def __init__(self) -> None:
        """Begin with nobody having had a turn."""
        self._passes: dict[Offer, Passes] = {}
        self._alike: dict[Hashable, Passes] = {}

    def of(self, offer: Offer) -> Passes:
        """Return the turns in an offer's kind of slot; for one never seen, a copy of those of the last that was alike."""
        passes = self._passes.get(offer)
        if passes is None:
            alike = self._alike.get(_alike(offer), Passes())
            passes = Passes(dict(alike.own), dict(alike.rates), dict(alike.level))
        return self.put(offer, passes)

    def put(self, offer: Offer, passes: Passes) -> Passes:
        """Keep turns for an offer; those of offers not seen for long are forgotten."""
        self._passes.pop(offer, None)
        self._passes[offer] = self._alike[_alike(offer)] = passes
        if len(self._passes) > MOST_OFFERS:
            del self._passes[next(iter(self._passes))]
        if len(self._alike) > MOST_OFFERS:
            del self._alike[next(iter(self._alike))]
        if len(passes.own) > MOST_PASSES:
            passes.own.clear()
            passes.rates.clear()
        return passes


def _alike(offer: Offer) -> Hashable:
    """Return what offers have in common that differ in amounts only, as the free part of a machine does all the time."""
    return offer.shape.gpu > 0, offer.shape.platform, offer.shape.features, offer.site, offer.fails


class Queue:
    """Who can use one kind of slot: a heap by passes for each parent, made when it is first looked at."""

    def __init__(self, positions: Positions, mask: int, passes: Passes) -> None:
        """Begin with the groups that want some shape of `mask`."""
        self.mask, self.passes = mask, passes
        self.groups = self._heap(ROOT, positions.groups)
        self._users: dict[str, Heap[User]] = {}
        self._lines: dict[tuple[str, str], Heap[Line]] = {}
        self._back: dict[Key, float] = {}

    def users(self, group: Group) -> Heap[User]:
        """Return a group's users."""
        heap = self._users.get(group.key)
        if heap is None:
            heap = self._users[group.key] = self._heap(group.key, group.below)
        return heap

    def lines(self, user: User) -> Heap[Line]:
        """Return a user's datasets."""
        heap = self._lines.get(user.key)
        if heap is None:
            heap = self._lines[user.key] = self._heap(user.key, user.below)
        return heap

    def _heap(self, parent: Key, below: Sequence[Node]) -> Heap[Node]:
        mask, own, floor = self.mask, self.passes.own.get, self.passes.level.get(parent, 0.0)
        rates = self.passes.rates
        heap = []
        for number, node in enumerate(below):
            if node.mask & mask:
                passes = own(node.key, floor)
                if passes < floor:
                    passes = floor
                elif passes > floor and (before := rates.get(node.key, node.rate)) != node.rate:
                    passes = floor + (passes - floor) * before / node.rate
                heap.append((passes, -node.rate, number, node))
        heapify(heap)
        return heap

    def charge(self, parent: Key, heap: Heap[Node], cost: float) -> None:
        """Move the first of a heap back by what it was given."""
        before, minus, number, node = heap[0]
        after = before - cost / minus
        self.passes.level[parent] = before
        self.passes.own[node.key] = after - self._back.get(node.key, 0.0)
        self.passes.rates[node.key] = -minus
        heapreplace(heap, (after, minus, number, node))

    def give_back(self, key: Key, much: float) -> None:
        """Take back a part of what one was charged, from the next plan on."""
        self._back[key] = self._back.get(key, 0.0) + much
        self.passes.own[key] = self.passes.own.get(key, 0.0) - much
