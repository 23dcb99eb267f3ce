"""Says once that the database does not go along, and once that it does again, however many requests find out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from nunatak.core.errors import Unavailable

log = structlog.get_logger("nunatak.db")

REPEAT = 60.0
"""Seconds after which it is said again that the same is wrong."""
QUIET = 3.0
"""Seconds without an error after which all is well again."""
WRITING = frozenset({"database-read-only", "database-full"})
"""What only a change finds out."""


class Outage:
    """The errors of one process with its database since all was well."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, *, aloud: bool = True) -> None:
        """Begin with all well; what is not `aloud` is said by whoever asked."""
        self._aloud = aloud
        self._monotonic, self._lock = monotonic, threading.Lock()
        self._said: dict[str, float] = {}
        self._errors, self._since, self._last = 0, 0.0, 0.0
        self.on = False  # read without the lock: all that a transaction costs while all is well

    def failed(self, error: Unavailable) -> None:
        """Count an error, and say it if that was not said lately."""
        with self._lock:
            now = self._monotonic()
            if not self.on:
                self.on, self._since, self._errors = True, now, 0
            self._errors += 1
            self._last = now
            say = self._aloud and now - self._said.get(error.code, float("-inf")) >= REPEAT
            if say:
                self._said[error.code] = now
            errors = self._errors
        if say:
            log.error("database", error=error.message, code=error.code, hint=error.hint, errors=errors)

    def went_well(self, *, wrote: bool) -> None:
        """Say that all is well again, if a transaction went well and none failed for a moment."""
        with self._lock:
            now = self._monotonic()
            if not self.on or now - self._last < QUIET or not (wrote or self._said.keys().isdisjoint(WRITING)):
                return
            self.on = False
            self._said.clear()
            errors, seconds = self._errors, round(now - self._since, 1)
        log.warning("the database goes along again", errors=errors, seconds=seconds)
