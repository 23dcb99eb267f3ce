"""How much of each site was in use over the last day: written down by a loop now and then, and the read model of its curve."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from nunatak.core.clock import Clock, iso
from nunatak.db.database import Database
from nunatak.tasks import site_use_store as store
from nunatak.tasks import sites

EVERY = 600.0
"""Seconds between two points."""
KEPT = 86_400.0
"""Seconds for which a point is kept: at most 144 of a site."""
AMOUNTS = ("cores", "busy", "gpus", "gpus_busy")


def due(tx: Connection, now: float) -> bool:
    """Tell whether the last point is long enough ago, or lies in the future, as after a clock that was wrong."""
    last = store.LAST(tx)[0].at
    return last is None or not 0 <= now - last < EVERY


def keep(tx: Connection, now: float) -> int:
    """Write down what engines last said of each site, and forget what is a day old; returns how many sites."""
    rows = [_row(site, engines) for site, engines in sorted(sites.engines_by_site(tx, now).items())]
    if rows:
        store.ADD(tx, v=rows, now=now)
    store.FORGET(tx, before=now - KEPT)
    return len(rows)


def _row(site: str, engines: Sequence[dict[str, Any]]) -> tuple[str, float, float, float, float]:
    alive = [engine for engine in engines if engine["alive"]]

    def whole(amounts: str, what: str) -> float:
        return float(sum(engine[amounts][what] for engine in alive))

    return site, whole("total", "cpu"), whole("used", "cpu"), whole("total", "gpu"), whole("used", "gpu")


def over_time(tx: Connection, now: float) -> Mapping[str, Sequence[dict[str, Any]]]:
    """Return the points of each site in the last day, oldest first: cores and GPUs there were, and how many were busy."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in store.POINTS(tx, since=now - KEPT):
        found[row.site].append({"at": iso(row.at), **{name: getattr(row, name) for name in AMOUNTS}})
    return found


class SiteUse:
    """Writes it down as often as it is due."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Begin."""
        self.database, self.clock = database, clock

    def tick(self) -> bool:
        """Write down a point; nothing is written while none is due."""
        now = self.clock()
        with self.database.read() as tx:
            if not due(tx, now):
                return False
        self.database.run(lambda tx: keep(tx, now))
        return False
