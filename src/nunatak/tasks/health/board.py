"""The scores of all nodes (or of pairs of feature and site) and, kept beside them, what all of them did in each work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from nunatak.tasks.health.events import AGAINST_NODE, Cause, Event, Node, Work
from nunatak.tasks.health.score import NONE, Score, Tally
from nunatak.tasks.health.standout import NODES, NOTHING, Finding, Limits, find
from nunatak.tasks.health.window import EMPTY, MEMORY, Memory

K = TypeVar("K", bound=tuple[Any, ...])
NEW = Score()
WHOLE: Work = (-1, -1)
"""Stands for all work together."""
RECENT = 3600.0
"""Seconds for which a node that was heard of counts as one that is there."""
REBASE = 300
"""Half-lives after which weights are made small again, long before they are too large for a float."""


class Board(Generic[K]):
    """Scores by key. What a key is compared with are the other members of its groups; the first group is its pool.

    An event changes one score and the tallies of its groups, whatever the number of nodes. Time never runs back here:
    where clocks do, nothing is forgotten until they have caught up.
    """

    def __init__(
        self,
        groups: Callable[[K], tuple[str, ...]],
        now: float,
        against: frozenset[Cause] = AGAINST_NODE,
        memory: Memory = MEMORY,
    ) -> None:
        """Begin with nothing at a time; `against` are the causes that count as faults."""
        self.against, self.memory = against, memory
        self.scores: dict[K, Score] = {}
        self.seen: dict[K, float] = {}
        self._groups_of, self._groups = groups, dict[K, tuple[str, ...]]()
        self._tallies: dict[tuple[str, Work], list[float]] = {}
        self._origin = self._latest = now
        self._weight = 1.0

    def take(self, key: K, event: Event) -> bool:
        """Take one event. Returns whether it is a fault, after which the key should be looked at."""
        weight = self.weight(event.at)
        if event.at > self.seen.get(key, float("-inf")):
            self.seen[key] = event.at
        ok = event.cause is Cause.OK
        if not ok and event.cause not in self.against:
            return False
        old = self.scores.get(key, NEW)
        new = old.after(event, ok, weight, self.memory)
        self.scores[key] = new
        self._shift(key, WHOLE, old.whole, new.whole)
        self._shift(key, event.work, _of(old, event.work), new.works[0][1])
        if len(old.works) == self.memory.works and all(work != old.works[-1][0] for work, _ in new.works):
            self._shift(key, *old.works[-1], NONE)
        return not ok

    def weight(self, now: float) -> float:
        """Return what an attempt weighs now, making all weights small again where they became too large."""
        if now > self._latest:
            self._latest = now
            if now - self._origin > REBASE * self.memory.half_life:
                self._rebase(now)
            self._weight = self.memory.weight(now - self._origin)
        return self._weight

    def finding(self, key: K, now: float, limits: Limits = NODES) -> Finding:
        """Compare one key with the others as of now."""
        window, weight = self.scores.get(key, NEW).window, self.weight(now)
        if window.bad() < (limits.least - 0.5) * weight:
            return NOTHING
        others = [self.elsewhere(key, work, now) for work, _, _ in window.works]
        return find(window.times(1 / weight), others, self.elsewhere(key, WHOLE, now), limits)

    def elsewhere(self, key: K, work: Work, now: float) -> Tally:
        """Return what the others did in a work (or in all of it): those of the group in which most of it failed."""
        own = _of(self.scores.get(key, NEW), work)
        best, worst, unit = NONE, -1.0, 1 / self.weight(now)
        for group in self.groups(key):
            ok, bad, fair_ok, fair_bad = self._tallies.get((group, work), NONE)
            fair_ok, fair_bad = fair_ok - own.fair_ok, fair_bad - own.fair_bad
            share = fair_bad / (fair_bad + fair_ok) if fair_bad + fair_ok > 1e-9 / unit else 0.0
            if share > worst + 1e-9:
                best, worst = Tally(ok - own.ok, bad - own.bad, fair_ok, fair_bad), share
        return Tally(*[value * unit if value > 0 else 0.0 for value in best])

    def groups(self, key: K) -> tuple[str, ...]:
        """Return the groups of a key."""
        found = self._groups.get(key)
        if found is None:
            found = self._groups[key] = self._groups_of(key)
        return found

    def known(self, since: float, also: Iterable[K] = ()) -> Counter[str]:
        """Return how many there are in each pool: those heard of since some time, and some others."""
        there = {key for key, at in self.seen.items() if at >= since}
        return Counter([self.groups(key)[0] for key in there.union(also)])

    def forgive(self, key: K) -> None:
        """Close the window of a key: what was held against it is over."""
        if key in self.scores:
            self.scores[key] = self.scores[key]._replace(window=EMPTY)

    def hush(self, key: K) -> None:
        """Let a key that is drained speak quietly in the comparison of others."""
        self._put(key, self.scores.get(key, NEW).quieter())

    def forget(self, before: float) -> list[K]:
        """Drop keys not heard of since `before`, and work that nobody remembers; returns the keys."""
        gone = sorted(key for key, at in self.seen.items() if at < before)
        for key in gone:
            self._put(key, NEW)
            del self.scores[key], self.seen[key], self._groups[key]
        least = 1e-3 * self._weight
        for faded in [key for key, tally in self._tallies.items() if tally[0] + tally[1] < least]:
            del self._tallies[faded]
        return gone

    def saved(self, keys: Iterable[K]) -> Iterator[tuple[K, float, float, list[Any]]]:
        """Return for each of some keys what has to be kept: key, when it was heard of, the time of its weights, the score."""
        for key in keys:
            yield key, self.seen[key], self._latest, self.scores.get(key, NEW).times(1 / self._weight).to_plain()

    def load(self, rows: Iterable[tuple[K, float, float, list[Any]]]) -> None:
        """Take in what `saved` returned, also by another board and at another time."""
        for key, seen, at, plain in rows:
            self.seen[key] = max(seen, self.seen.get(key, seen))
            self.weight(at)
            self._put(key, Score.from_plain(plain).times(self.memory.weight(at - self._origin)))

    def _put(self, key: K, score: Score) -> None:
        """Replace a score and bring the tallies in line."""
        before = self.scores.get(key, NEW)
        old, new = {WHOLE: before.whole, **dict(before.works)}, {WHOLE: score.whole, **dict(score.works)}
        for work in sorted({*old, *new}):
            self._shift(key, work, old.get(work, NONE), new.get(work, NONE))
        self.scores[key] = score

    def _shift(self, key: K, work: Work, old: Tally, new: Tally) -> None:
        """Take the old tally of a key out of those of its groups and put the new one in."""
        ok, bad, fair_ok, fair_bad = new[0] - old[0], new[1] - old[1], new[2] - old[2], new[3] - old[3]
        for group in self.groups(key):
            total = self._tallies.get((group, work))
            if total is None:
                self._tallies[group, work] = [ok, bad, fair_ok, fair_bad]
            else:
                total[0] += ok
                total[1] += bad
                total[2] += fair_ok
                total[3] += fair_bad

    def _rebase(self, now: float) -> None:
        factor = self.memory.weight(self._origin - now)
        self._origin = now
        self.scores = {key: score.times(factor) for key, score in self.scores.items()}
        self._tallies = {key: [factor * value for value in tally] for key, tally in self._tallies.items()}


def nodes_board(now: float, memory: Memory = MEMORY) -> Board[Node]:
    """Return a board of nodes, each compared with all others and with those of its own site."""
    return Board(lambda node: ("", f"@{node[0]}"), now, AGAINST_NODE, memory)


def _of(score: Score, work: Work) -> Tally:
    if work == WHOLE:
        return score.whole
    for known, tally in score.works:
        if known == work:
            return tally
    return NONE
