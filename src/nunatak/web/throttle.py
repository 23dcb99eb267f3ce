"""Bounds how often somebody may try to sign in: from one address, and from all together. Kept by each server process."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from nunatak.core.clock import Clock
from nunatak.core.errors import Unavailable

EACH, ALL = 10, 200
"""Tries in a row from one address, and from all, before there is a wait."""
REFILL = 60.0
"""Seconds after which as many are allowed again."""
MOST_ADDRESSES = 10_000


@dataclass(slots=True)
class _Bucket:
    size: float
    left: float
    at: float

    def fill(self, now: float) -> None:
        self.left = min(self.size, self.left + max(0.0, now - self.at) * self.size / REFILL)
        self.at = now


class Throttle:
    """Counts tries; a token bucket each."""

    def __init__(self, clock: Clock, each: int = EACH, all_: int = ALL) -> None:
        """Begin with nothing counted."""
        self._clock, self._each = clock, each
        self._all = _Bucket(all_, all_, clock())
        self._of: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def count(self, address: str) -> None:
        """Count a try. Raises `Unavailable` if there were too many."""
        with self._lock:
            now = self._clock()
            if len(self._of) >= MOST_ADDRESSES:
                self._of = {key: bucket for key, bucket in self._of.items() if now - bucket.at < REFILL}
            if len(self._of) >= MOST_ADDRESSES:
                self._of.clear()
            own = self._of.setdefault(address, _Bucket(self._each, self._each, now))
            for bucket in (own, self._all):
                bucket.fill(now)
            if own.left < 1 or self._all.left < 1:
                raise Unavailable("too many tries to sign in", code="too-many-tries", hint="wait a minute")
            own.left, self._all.left = own.left - 1, self._all.left - 1

    def give_back(self, address: str) -> None:
        """Let a try that succeeded not count: many people may sign in from one address."""
        with self._lock:
            for bucket in (self._of.get(address), self._all):
                if bucket is not None:
                    bucket.left = min(bucket.size, bucket.left + 1)
