"""What was read and may be shown for a moment. Large things are read anew aside, so that nobody waits for them but the first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection

from nunatak.db.aside import Aside

T = TypeVar("T")
Read = Callable[[Connection], tuple[T, float]]
"""Reads something; returns it and for how many seconds it holds, 0.0 if it is not to be kept."""

LATE = 3.0
"""So many times as old as it holds nobody is shown anything any more."""
MOST = 10_000
"""Things kept; beyond it all are forgotten."""


class _Entry(NamedTuple):
    at: float
    holds: float
    version: Hashable
    value: Any


class Kept:
    """What this process read last, by what it is; safe to use from several threads."""

    def __init__(self, aside: Aside | None = None) -> None:
        """Begin with nothing; `aside` reads what no longer holds while the old is shown, None: whoever asks waits for it."""
        self._aside, self._lock = aside, threading.Lock()
        self._known: dict[Hashable, _Entry] = {}

    def of(
        self, what: Hashable, read: Read[T], tx: Connection, now: float, version: Hashable = None, *, late: bool = True
    ) -> T:
        """Return something that was read of the same version, a moment ago at most; else read it now.

        Not `late`, it is never shown once it does not hold any more: what is decided by it is not for people to look at.
        """
        with self._lock:
            kept = self._known.get(what)
        if kept is None or kept.version != version or not 0 <= now - kept.at < LATE * kept.holds:
            return self.anew(what, read, tx, now, version)
        if now - kept.at >= kept.holds:
            if self._aside is None or not late:
                return self.anew(what, read, tx, now, version)
            self._aside.soon((self, what), lambda own: self._look(what, read, own, now, version))
        value: T = kept.value
        return value

    def anew(self, what: Hashable, read: Read[T], tx: Connection, now: float, version: Hashable = None) -> T:
        """Read something now."""
        value, holds = read(tx)
        with self._lock:
            if not holds:
                self._known.pop(what, None)
                return value
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[what] = _Entry(now, holds, version, value)
        return value

    def forget(self, what: Hashable) -> None:
        """Read something anew when it is next asked for."""
        with self._lock:
            self._known.pop(what, None)

    def close(self) -> None:
        """Read nothing aside any more; before the database is closed."""
        if self._aside:
            self._aside.close()

    def _look(self, what: Hashable, read: Read[Any], tx: Connection, now: float, version: Hashable) -> None:
        self.anew(what, read, tx, now, version)
