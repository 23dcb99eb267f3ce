"""Notices that the clock of this machine was set back, and counts leases and delays from the time that is now."""

from __future__ import annotations

import structlog

from nunatak.core.clock import Clock
from nunatak.db.database import Database
from nunatak.tasks import setback

log = structlog.get_logger("nunatak.loops")


class ClockWatch:
    """Compares the clock with what it showed before; when a server starts, with what is written in the database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Begin with nothing seen."""
        self.database, self.clock = database, clock
        self._last = float("inf")

    def look(self) -> None:
        """Look at the clock, and do what has to be done; if that fails, the next look does it."""
        now = self.clock()
        if now < self._last - setback.SKEW:
            engines = self.database.run(lambda tx: setback.start_engines_anew(tx, now))
            tasks = self._delays(now)
            if engines or tasks:
                log.warning("the clock was set back", engines=engines, tasks=tasks)
        self._last = now

    def _delays(self, now: float) -> int:
        """Start delays anew, in a short transaction for each dataset, task and shape; returns of how many tasks."""
        with self.database.read() as tx:
            found = setback.backing_off(tx)
        return sum(self._delay(now, *kind) for kind in found)

    def _delay(self, now: float, dataset: int, task: int, shape: int) -> int:
        return self.database.run(lambda tx: setback.start_delays_anew(tx, dataset, task, shape, now))
