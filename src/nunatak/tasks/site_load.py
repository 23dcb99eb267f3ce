"""How much is under way at each site, as claims go by it where sites have caps: counting goes over all that is."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from nunatak.tasks import choosing_store, store
from nunatak.tasks.sharing.model import Busy

FEW = 2000
"""Tasks under way that are counted at each look."""
PAUSE, MOST = 20.0, 5.0
"""So many times as long as counting more took their count is kept, but no longer than so many seconds."""


def busy_sites(tx: Connection) -> dict[str, Busy]:
    """Count what is under way at each site. It goes over all tasks that are: read only where sites have caps."""
    sites = {row.engine: row.site for row in store.ENGINES(tx)}
    found: dict[str, Busy] = defaultdict(Busy)
    for row in choosing_store.ENGINE_LOAD(tx):
        busy = Busy(row.n, 0) if row.state == "queued" else Busy(0, row.n)
        site = sites.get(row.engine, "")
        found[site] = found[site].plus(busy)
    return found


class SiteLoad:
    """A count, and what this process gave since: what ended meanwhile is still in it, so that no cap is exceeded by it.

    Counting takes a twentieth of the time at most. What other processes gave since is seen with the next count.
    """

    def __init__(self, timer: Callable[[], float] = time.perf_counter) -> None:
        """Begin with nothing counted."""
        self._timer, self._lock = timer, threading.Lock()
        self._at, self._holds = float("-inf"), 0.0
        self._counted: Mapping[str, Busy] = {}
        self._given: dict[str, int] = defaultdict(int)

    def of(self, tx: Connection, now: float) -> Mapping[str, Busy]:
        """Return what is under way at each site; few tasks are counted anew."""
        with self._lock:
            if not 0 <= now - self._at < self._holds:
                self._count(tx, now)
            names = self._counted.keys() | self._given.keys()
            return {name: self._counted.get(name, Busy()).plus(Busy(self._given.get(name, 0), 0)) for name in names}

    def give(self, site: str, n: int) -> None:
        """Take note that a site was given tasks, or with fewer than none that it could not have them."""
        with self._lock:
            self._given[site] += n

    def _count(self, tx: Connection, now: float) -> None:
        begin = self._timer()
        self._counted, self._at = busy_sites(tx), now
        self._given.clear()
        many = sum(busy.queued + busy.running for busy in self._counted.values()) > FEW
        self._holds = min(MOST, PAUSE * (self._timer() - begin)) if many else 0.0
