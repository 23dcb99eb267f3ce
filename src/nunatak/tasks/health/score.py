"""What is remembered of a node: how its attempts ended, by kind of fault and by work. Bounded, fading, mergeable.

An attempt counts against a node only by its cause; how long it took is kept for the words and never decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Self

from nunatak.tasks.health.events import Event, Work
from nunatak.tasks.health.window import EMPTY, MEMORY, Kinds, Memory, Window, beside, count, scaled


class Tally(NamedTuple):
    """Weights of attempts; in the `fair` ones every node speaks at most `Memory.voice` times."""

    ok: float = 0.0
    bad: float = 0.0
    fair_ok: float = 0.0
    fair_bad: float = 0.0

    def and_more(self, ok: bool, weight: float, memory: Memory, count: int = 1) -> Tally:
        """Return this with `count` more attempts of the node; beyond its voice, the latest attempts speak."""
        if count > 1:
            return self._and_many(ok, weight, memory, count)
        good, bad = (weight, 0.0) if ok else (0.0, weight)
        fair_ok, fair_bad = self.fair_ok + good, self.fair_bad + bad
        most = memory.voice * weight
        scale = most / (fair_ok + fair_bad) if fair_ok + fair_bad > most else 1.0
        return Tally(self.ok + good, self.bad + bad, fair_ok * scale, fair_bad * scale)

    def _and_many(self, ok: bool, weight: float, memory: Memory, count: int) -> Tally:
        """Return what one after the other would come to: the first fill the voice, each further one takes its share of it."""
        voice, amount = memory.voice * weight, weight * count
        others, own = (self.fair_bad, self.fair_ok) if ok else (self.fair_ok, self.fair_bad)
        fill = min(count, max(0, int((voice - others - own) / weight)))
        own += fill * weight
        if beyond := count - fill:
            others *= voice / (others + own + weight) * (memory.voice / (memory.voice + 1.0)) ** (beyond - 1)
            own = voice - others
        fair_ok, fair_bad = (own, others) if ok else (others, own)
        return Tally(self.ok + amount * ok, self.bad + amount * (not ok), fair_ok, fair_bad)

    def times(self, factor: float, fair: float = 1.0) -> Tally:
        """Return it in other weights, and the fair ones scaled besides."""
        both = factor * fair
        return Tally(self.ok * factor, self.bad * factor, self.fair_ok * both, self.fair_bad * both)

    def plus(self, other: Tally) -> Tally:
        """Return the sum."""
        return Tally(*(a + b for a, b in zip(self, other, strict=True)))


NONE = Tally()


class Score(NamedTuple):
    """All that is remembered of one node: all attempts, faults by kind, work (latest first), and the window."""

    whole: Tally = NONE
    kinds: Kinds = ()
    works: tuple[tuple[Work, Tally], ...] = ()
    window: Window = EMPTY

    def after(self, event: Event, ok: bool, weight: float, memory: Memory = MEMORY) -> Score:
        """Return the score after attempts that went well or count against the node."""
        tally, rest = NONE, self.works
        for item in rest:
            if item[0] == event.work:
                tally = item[1]
                rest = tuple(other for other in rest if other[0] != event.work)
                break
        many = event.n
        works = ((event.work, tally.and_more(ok, weight, memory, many)), *rest[: memory.works - 1])
        whole, window = self.whole.and_more(ok, weight, memory, many), self.window
        if ok:
            after = window.with_ok(event.work, weight * many, memory) if window.height else window
            return Score(whole, self.kinds, works, after)
        kinds = count((*self.kinds, (event.kind, weight * many)), memory.kinds)
        return Score(whole, kinds, works, window.with_bad(event, weight, memory))

    def times(self, factor: float) -> Score:
        """Return it in other weights."""
        works = tuple((work, tally.times(factor)) for work, tally in self.works)
        return Score(self.whole.times(factor), scaled(self.kinds, factor), works, self.window.times(factor))

    def quieter(self) -> Score:
        """Return it speaking in the comparison of others by a tenth of a node's voice at most, as one attempt."""
        works = tuple((work, tally.times(1.0, 0.1)) for work, tally in self.works)
        return self._replace(whole=self.whole.times(1.0, 0.1), works=works)

    def to_plain(self) -> list[Any]:
        """Return JSON-able lists; keep the time at which an attempt weighs one beside them."""
        return list(self)

    @classmethod
    def from_plain(cls, plain: Sequence[Any]) -> Self:
        """Read what `to_plain` wrote, also after it went through JSON."""
        whole, kinds, works, window = plain
        height, window_works, window_kinds, wall, sources = window
        seen = tuple((_work(work), well, faults) for work, well, faults in window_works)
        return cls(
            Tally(*whole),
            _pairs(kinds),
            tuple((_work(work), Tally(*tally)) for work, tally in works),
            Window(height, seen, _pairs(window_kinds), wall, tuple(sources)),
        )


def merge(one: Score, other: Score, memory: Memory = MEMORY) -> Score:
    """Put together what two saw of one node, in the same weights and in either order.

    Counts add up exactly. The order of attempts between the two is lost: the windows are laid side by side.
    """
    works = dict(one.works)
    for work, tally in other.works:
        works[work] = works[work].plus(tally) if work in works else tally
    most = sorted(works.items(), key=lambda item: (-item[1].ok - item[1].bad, item[0]))[: memory.works]
    kinds = count((*one.kinds, *other.kinds), memory.kinds)
    return Score(one.whole.plus(other.whole), kinds, tuple(most), beside(one.window, other.window, memory))


def _work(plain: Sequence[int]) -> Work:
    return (plain[0], plain[1])


def _pairs(plain: Iterable[Sequence[Any]]) -> Kinds:
    return tuple((kind, weight) for kind, weight in plain)
