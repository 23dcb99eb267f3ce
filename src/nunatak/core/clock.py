"""Time and randomness, passed in so that tests own them. Times are seconds since the epoch, UTC."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

Clock = Callable[[], float]
"""Returns the present time, in seconds since 1970-01-01 UTC."""

Keys = Callable[[], int]
"""Returns a fresh lease key: a random integer in [1, 2**63)."""

system_clock: Clock = time.time


def system_keys() -> int:
    """Return a lease key nobody can guess."""
    return secrets.randbits(62) + 1


class ManualClock:
    """A clock that moves only when told to."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        """Start at `now`."""
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move by `seconds`, which may be negative: clocks are set back in practice."""
        self.now += seconds


@lru_cache(maxsize=20_000)  # lists have the same times again and again
def iso(seconds: float | None) -> str | None:
    """Return a time as RFC 3339 in UTC with milliseconds; None stays None."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
