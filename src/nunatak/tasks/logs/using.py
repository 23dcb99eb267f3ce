"""What running attempts used so far, of those that somebody looks at: a file for each, the last one counts.

It is kept for moments only, beside the logs: all processes of a server can read it, and what was used in the end is in the
database.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from nunatak.core.address import Address
from nunatak.core.using import read_using

LASTS = 60.0
"""Seconds after which it is too old to be told: its attempt has ended, or nobody measures it any more."""
MOST = 1024
"""Bytes of one."""


class Kept(Protocol):
    """What keeps it, and is told that somebody looks."""

    def using(self, address: Address) -> dict[str, float | int | None] | None:
        """Return what an attempt used so far; None where it is not known."""


class Uses:
    """What is known, in one directory. Threads and processes may share it."""

    def __init__(self, root: Path) -> None:
        """Keep it in `root`, which is made when it is needed."""
        self._root, self._lock, self._swept = root, threading.Lock(), float("-inf")

    def keep(self, address: Address, data: bytes, now: float) -> None:
        """Keep what an attempt used so far, in the place of what was known. Raises `OSError`."""
        if len(data) > MOST or read_using(data) is None:
            return
        self._root.mkdir(parents=True, exist_ok=True)
        self._sweep(now)
        path = self._root / quote(str(address), safe="")
        draft = self._root / f".{os.getpid()}.{threading.get_ident()}"
        draft.write_bytes(data)
        os.utime(draft, (now, now))
        draft.replace(path)

    def of(self, address: Address, now: float) -> dict[str, float | int | None] | None:
        """Return what an attempt used so far; None where that is not known, or was long ago."""
        path = self._root / quote(str(address), safe="")
        with suppress(OSError):
            if abs(now - path.stat().st_mtime) < LASTS:
                return read_using(path.read_bytes())
        return None

    def _sweep(self, now: float) -> None:
        """Delete what is old, once in a while."""
        with self._lock:
            if 0 <= now - self._swept < LASTS:
                return
            self._swept = now
        with os.scandir(self._root) as entries:
            for entry in entries:
                with suppress(OSError):
                    if abs(now - entry.stat().st_mtime) >= LASTS:
                        Path(entry.path).unlink()


def fill(kept: Kept, attempts: Iterable[dict[str, Any]], address: Address) -> None:
    """Put into attempts of a task that run what they used so far, where an ended one has what it used in all."""
    for attempt in attempts:
        if attempt["ended"] is None and attempt["started"] is not None:
            attempt.update(kept.using(address.of(attempt["number"])) or {})
