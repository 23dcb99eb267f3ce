"""What is ready, remembered for a moment: claims may go by a slightly old list, and look again if it gave them too little."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from sqlalchemy import Connection

from nunatak.tasks import claim
from nunatak.tasks.choose import Demand
from nunatak.tasks.claim import Asked, Claimed
from nunatak.tasks.context import Contexts


class DemandMemory:
    """The last list of ready work of this process; it may be `age` seconds old."""

    def __init__(self, age: float) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._age = age
        self._read = 0.0
        self._wanted: Sequence[Demand] | None = None

    def get(self, tx: Connection, now: float) -> tuple[Sequence[Demand], bool]:
        """Return what is ready, and whether that was read just now."""
        with self._lock:
            if self._wanted is not None and 0 <= now - self._read < self._age:
                return self._wanted, False
        return self.refresh(tx, now), True

    def refresh(self, tx: Connection, now: float) -> Sequence[Demand]:
        """Read anew."""
        wanted = claim.demand(tx)
        with self._lock:
            self._wanted, self._read = wanted, now
        return wanted

    def forget(self) -> None:
        """Read anew at the next claim."""
        with self._lock:
            self._wanted = None

    def claim(self, tx: Connection, contexts: Contexts, asked: Sequence[Asked], now: float) -> list[list[Claimed]]:
        """Carry out claims; if an old list of ready work gave some fewer than they asked for, look once more."""
        wanted, fresh = self.get(tx, now)
        taken = claim.claim_many(tx, contexts, asked, wanted, now)
        short = [n for n, item in enumerate(asked) if len(taken[n]) < item.limit]
        if short and not fresh:
            again = [Asked(i.engine, i.offer, i.limit - len(taken[n]), i.lease) for n in short for i in (asked[n],)]
            more = claim.claim_many(tx, contexts, again, self.refresh(tx, now), now)
            for n, items in zip(short, more, strict=True):
                taken[n] += items
        return taken
