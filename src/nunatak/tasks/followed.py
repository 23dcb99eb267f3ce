"""Which datasets are followed by others, job by job: read once for many reports."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from sqlalchemy import Connection

from nunatak.tasks import following_store as store

AGE = 3.0
"""Seconds for which it is remembered which datasets are followed; what was missed meanwhile is found by the counts."""


class Followed:
    """Which datasets are followed job by job, as of a few seconds ago: read once for many reports."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._lock = threading.Lock()
        self._read = float("-inf")
        self._known: frozenset[int] = frozenset()

    def among(self, tx: Connection, datasets: Iterable[int], now: float) -> frozenset[int]:
        """Return those of some datasets that are."""
        with self._lock:
            if 0 <= now - self._read < AGE:
                return self._known.intersection(datasets)
        known = frozenset(row.other for row in store.FOLLOWED(tx))
        with self._lock:
            self._read, self._known = now, known
        return known.intersection(datasets)
