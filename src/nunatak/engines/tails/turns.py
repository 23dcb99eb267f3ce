"""When who tells next: so many of them in a second at most, however many attempts run, and those first that are looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

RATE = 50.0
"""Tellings in a second that are asked for at most, beside those of what is looked at and of what has just begun."""
WATCHED = 2.0
"""Seconds between two tellings of what somebody looks at."""
SOON = 1.0
"""Seconds until the next, if more is there than fitted, as long as there are few."""
LONGEST = 3600.0
MOST_KNOWN = 200_000
"""Attempts whose turns are remembered."""


@dataclass(slots=True)
class _Turn:
    """From when on an attempt may tell, and whether it was just asked for what is missing."""

    due: float
    asked: bool = False


class Turns:
    """Gives each that tells the next free moment. One who tells earlier is not heard."""

    def __init__(self, every: float, clock: Callable[[], float], rate: float = RATE) -> None:
        """Ask of each attempt every `every` seconds, or less often where that would be more than `rate` in a second."""
        self._every, self._clock, self._gap = every, clock, 1.0 / rate
        self._free = float("-inf")  # the next moment that nobody has
        self._turns: dict[str, _Turn] = {}
        self.watched: frozenset[str] = frozenset()

    def known(self, place: str) -> bool:
        """Tell whether an attempt told something before."""
        return place in self._turns

    def early(self, place: str) -> bool:
        """Tell whether an attempt tells before its turn."""
        turn = self._turns.get(place)
        return turn is not None and self._clock() < turn.due

    def next(self, place: str, *, told: bool, more: bool) -> float:
        """Return in how many seconds an attempt is to tell again: at once if it only said that there is more.

        `told`: it sent something of its logs; `more`: there is more of them.
        """
        now, before = self._clock(), self._turns.pop(place, None)
        if more and not told and not (before and before.asked):
            self._remember(place, _Turn(now, asked=True))
            return 0.0
        if place in self.watched:
            again = min(WATCHED, self._every)
        else:
            self._free = max(self._free, now) + self._gap
            again = min(max(SOON if more else self._every, self._free - now), LONGEST)
        self._remember(place, _Turn(now + 0.8 * again - self._gap))
        return again

    def _remember(self, place: str, turn: _Turn) -> None:
        """Note a turn as the newest; the oldest of too many go, which at worst may tell too early once."""
        self._turns[place] = turn
        while len(self._turns) > MOST_KNOWN:
            del self._turns[next(iter(self._turns))]
