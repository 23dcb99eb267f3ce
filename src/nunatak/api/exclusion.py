"""Who gets no new work, remembered for a moment: every claim and heartbeat asks."""

from __future__ import annotations

import threading
from typing import Any

from sqlalchemy import Connection

from nunatak.tasks.standings import NOBODY, Excluded, excluded

AGE = 0.5
"""Seconds for which what was read holds."""


class Exclusion:
    """What this process read last."""

    def __init__(self, age: float = AGE) -> None:
        """Begin with nothing read."""
        self._lock = threading.Lock()
        self._age, self._read, self._found = age, float("-inf"), NOBODY

    def get(self, tx: Connection, now: float) -> Excluded:
        """Return who gets no new work, as of a moment ago."""
        with self._lock:
            if 0 <= now - self._read < self._age:
                return self._found
        found = excluded(tx, now)
        with self._lock:
            self._found, self._read = found, now
        return found

    def forget(self) -> None:
        """Read anew the next time."""
        with self._lock:
            self._read = float("-inf")


def nodes_plain(found: Excluded, site: str, node: str) -> dict[str, Any]:
    """Return what an engine with several nodes is told of them; nothing if all are fine."""
    drained, probed = found.drained.get(site, ()), found.probed.get(site, ())
    return {"nodes": {"drained": drained, "probed": probed}} if not node and (drained or probed) else {}
