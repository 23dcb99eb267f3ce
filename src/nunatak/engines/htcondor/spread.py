"""One engine over several schedds: each has an engine of its own with a directory of its own; this one shares out.

It knows nothing that the others do not: which of them has an attempt is asked of them when it starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from nunatak.core.errors import Unavailable
from nunatak.core.work import Grouping, Series, TaskSpec
from nunatak.engines.keys import Key, key_of, specs_of
from nunatak.engines.protocol import ALL_FINE, Capacity, Changes, Engine, Handle, LogPart, Nodes, What

SOME = 1000
"""Ends after which it is asked again what is where, at the least."""
BETWEEN = "|"
"""Between the cursors of the engines in one of ours."""


class Member(Engine, Protocol):
    """The engine of one schedd."""

    grouping: Grouping

    def look(self, keys: Sequence[Key]) -> None:
        """Heed what somebody reads, of what it has."""

    def using(self, keys: Sequence[Key]) -> dict[Key, bytes]:
        """Return what attempts used so far, of what it has."""

    def close(self) -> None:
        """Let go of its directory."""


class Spread:
    """The engines of several schedds as one. Attempts go to those that want more, in proportion to how many more."""

    def __init__(self, engines: Sequence[Member]) -> None:
        """Begin with what each has; all of them are of one pool."""
        self._engines = tuple(engines)
        self.grouping: Grouping = engines[0].grouping
        self._at, self._ended = self._where(), 0

    def _where(self) -> dict[Key, int]:
        return {key_of(item): number for number, engine in enumerate(self._engines) for item in engine.adopt()}

    def submit(self, batch: Sequence[TaskSpec | Series], nodes: Nodes = ALL_FINE) -> list[Handle]:
        """Submit what is new where there is room, and what is known where it is. Raises `Unavailable`.

        Where one schedd fails after another has taken its part, that part is cancelled.
        """
        rooms = [engine.capacity().queue for engine in self._engines]
        parts = shares(batch, self._at, rooms)
        if parts is None:
            raise Unavailable(f"this engine takes {sum(rooms)} more attempts now", code="engine-full", room=sum(rooms))
        found, known = dict[Key, Handle](), set(self._at)
        for number, (engine, part) in enumerate(zip(self._engines, parts, strict=True)):
            try:
                handles = engine.submit(part, nodes)
            except Unavailable:
                self.cancel([item for key, item in found.items() if key not in known])
                raise
            found.update({key_of(item): item for item in handles})
            self._at.update({key_of(item): number for item in handles})
        return [found[key_of(spec)] for item in batch for spec in specs_of(item)]

    def poll(self, cursor: str) -> Changes:
        """Return what changed in any of them."""
        given = cursor.split(BETWEEN)
        given = given if len(given) == len(self._engines) else [""] * len(self._engines)
        told = [engine.poll(part) for engine, part in zip(self._engines, given, strict=True)]
        changes = tuple(change for news in told for change in news.changes)
        self._ended += sum(change.what is What.ENDED for change in changes)
        if self._ended > max(SOME, len(self._at) // 2):
            self._at, self._ended = self._where(), 0
        return Changes(BETWEEN.join(news.cursor for news in told), changes)

    def cancel(self, handles: Sequence[Handle]) -> None:
        """Cancel attempts where they are."""
        for number, engine in enumerate(self._engines):
            part = [item for item in handles if self._at.get(key_of(item)) == number]
            if part:
                engine.cancel(part)

    def adopt(self) -> list[Handle]:
        """Return what any of them has."""
        return [item for engine in self._engines for item in engine.adopt()]

    def capacity(self) -> Capacity:
        """Return the pool as the first sees it, and how many more attempts all of them want."""
        found = [engine.capacity() for engine in self._engines]
        trouble = next((item.trouble for item in found if item.trouble), "")
        return replace(found[0], queue=sum(item.queue for item in found), trouble=trouble)

    def logs(self, offsets: dict[tuple[str, str, str], int]) -> list[LogPart]:
        """Return logs of where attempts are."""
        parts: list[LogPart] = []
        for number, engine in enumerate(self._engines):
            own = {key: at for key, at in offsets.items() if self._at.get(key[:2]) == number}
            parts += engine.logs(own) if own else []
        return parts

    def look(self, keys: Sequence[Key]) -> None:
        """Have each heed what somebody reads of what it has."""
        for engine in self._engines:
            engine.look(keys)

    def using(self, keys: Sequence[Key]) -> dict[Key, bytes]:
        """Return what attempts used so far, each as who has it tells it."""
        return {key: data for engine in self._engines for key, data in engine.using(keys).items()}

    def close(self) -> None:
        """Let go of all directories."""
        for engine in self._engines:
            engine.close()


def shares(
    batch: Sequence[TaskSpec | Series], known: Mapping[Key, int], rooms: Sequence[int]
) -> list[list[TaskSpec | Series]] | None:
    """Return what of a batch goes to which of several; None if there is no room for all of it.

    What is known goes where it is, a series to where any of its members is. What is new goes each to where most room is
    left, so that all come to the same depth.
    """
    left, parts = list(rooms), [list[TaskSpec | Series]() for _ in rooms]
    for item in batch:
        there = [known[key_of(spec)] for spec in specs_of(item) if key_of(spec) in known]
        if there:
            parts[there[0]].append(item)
            continue
        best = max(range(len(left)), key=left.__getitem__)
        if left[best] <= 0:
            return None
        left[best] -= 1
        parts[best].append(item)
    return parts
