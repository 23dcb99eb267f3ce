"""Number what changed in an engine, hand it out by cursor, forget what was acknowledged. In memory only."""

from __future__ import annotations

from collections import deque

from nunatak.engines.keys import Key, key_of
from nunatak.engines.protocol import Change, Changes, What


class News:
    """Changes in the order they were noticed; a cursor is `TOKEN.NUMBER` of the last one the caller has seen.

    The token is fresh with every start of an engine: a cursor of an earlier life acknowledges nothing
    and gives everything.
    """

    def __init__(self, token: str) -> None:
        """Begin with nothing; `token` has no dot."""
        self._token = token
        self._last = 0
        self._changes: dict[int, Change] = {}
        self._begun: dict[Key, int] = {}
        self._ends: deque[int] = deque()

    def add(self, change: Change) -> None:
        """Append a change."""
        self._last += 1
        self._changes[self._last] = change
        if change.what is What.ENDED:
            self._ends.append(self._last)
        else:
            self._begun[key_of(change.handle)] = self._last

    def acknowledge(self, cursor: str) -> list[Key]:
        """Forget the ends up to `cursor`, with their beginnings; return whose they were."""
        seen, keys = self._number(cursor), []
        while self._ends and self._ends[0] <= seen:
            key = key_of(self._changes.pop(self._ends.popleft()).handle)
            begun = self._begun.pop(key, None)
            if begun is not None:
                del self._changes[begun]
            keys.append(key)
        return keys

    def since(self, cursor: str) -> Changes:
        """Return the changes after `cursor` in order; the cost is proportional to their number."""
        seen, found = self._number(cursor), []
        for number in reversed(self._changes):
            if number <= seen:
                break
            found.append(self._changes[number])
        return Changes(f"{self._token}.{self._last}", tuple(reversed(found)))

    def _number(self, cursor: str) -> int:
        token, _, number = cursor.partition(".")
        known = token == self._token and number.isascii() and number.isdigit() and len(number) < 19
        return int(number) if known and int(number) <= self._last else 0
