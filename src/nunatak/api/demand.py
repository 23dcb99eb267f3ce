"""Whose turn it is, remembered for a moment: claims may go by a slightly old look, and look again if it gave too little."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from nunatak.datasets.progress import Moves
from nunatak.tasks import claim
from nunatak.tasks.choosing import Chooser, Places
from nunatak.tasks.claim import Asked
from nunatak.tasks.context import Contexts
from nunatak.tasks.rows import Claimed, Durations

LONG = 0.05
"""Seconds from which on a look is dear: then at most every fifth part of the time is spent on looking."""
REST = 5.0
"""Seconds that a dear look holds at most: one that something else held up must not keep claims from work for long."""


class DemandMemory:
    """The last look of this process at who wants what; it may be `age` seconds old (0: each claim looks anew)."""

    def __init__(self, chooser: Chooser, age: float, timer: Callable[[], float] = time.perf_counter) -> None:
        """Begin with none."""
        self._chooser, self._age, self._timer = chooser, age, timer
        self._lock = threading.Lock()
        self._read, self._ended, self._took = 0.0, 0.0, 0.0
        self._places: Places | None = None
        self._durations = Durations()

    def get(self, tx: Connection, contexts: Contexts, now: float) -> tuple[Places, bool]:
        """Return places, and whether they were looked for just now."""
        with self._lock:
            if self._places is not None and (0 <= now - self._read < self._age or self._dear()):
                return self._places, False
        return self.refresh(tx, contexts, now), True

    def refresh(self, tx: Connection, contexts: Contexts, now: float, moves: Moves | None = None) -> Places:
        """Look anew; `moves` are changes of counts that this transaction has yet to write."""
        begin = self._timer()
        places = self._chooser.look(tx, contexts, now, moves)
        with self._lock:
            self._places, self._read, self._ended = places, now, self._timer()
            self._took = self._ended - begin
        return places

    def _dear(self) -> bool:
        """Tell whether looking again so soon would take too much of the time."""
        dear = self._age > 0 and self._took > LONG
        return dear and self._timer() - self._ended < min(4 * self._took, REST)

    def forget(self) -> None:
        """Look anew at the next claim."""
        with self._lock:
            self._places = None

    def claim(self, tx: Connection, contexts: Contexts, asked: Sequence[Asked], now: float) -> list[list[Claimed]]:
        """Carry out claims; if an old look gave some fewer than they asked for, look once more."""
        places, fresh = self.get(tx, contexts, now)

        def again(moves: Moves) -> Places | None:
            return None if self._dear() else self.refresh(tx, contexts, now, moves)

        return claim.claim_many(tx, contexts, asked, places, now, self._durations, None if fresh else again)
