"""Of which running attempts somebody reads the logs now: engines that have to fetch them fetch those first.

A file for each, so that all processes of a server know what is read from any of them; it is gone soon after the last look.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote

from nunatak.core.address import Address, parse
from nunatak.core.errors import Invalid

LASTS = 30.0
"""Seconds after a look for which it is taken to go on."""
AGAIN = 5.0
"""Seconds after which a look that goes on is noted again."""
MOST = 200
_REMEMBERED = 10_000


class Looks:
    """The looks of one installation, in one directory. Threads may share it."""

    def __init__(self, root: Path, age: float = 0.5) -> None:
        """Keep them in `root`, which is made when it is needed; what was read of it holds for `age` seconds."""
        self._root, self._age = root, age
        self._lock = threading.Lock()
        self._noted: dict[Address, float] = {}
        self._read, self._found = float("-inf"), list[Address]()

    def note(self, address: Address, now: float) -> None:
        """Note that somebody reads the log of an attempt that runs. What cannot be written is not noted."""
        with self._lock:
            if 0 <= now - self._noted.get(address, float("-inf")) < AGAIN:
                return
            if len(self._noted) >= _REMEMBERED:
                self._noted.clear()
            self._noted[address] = now
        with suppress(OSError):
            self._touch(self._root / quote(str(address), safe=""), now)

    def _touch(self, path: Path, now: float) -> None:
        try:
            path.touch()
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        os.utime(path, (now, now))

    def now(self, now: float) -> list[Address]:
        """Return the attempts whose logs are read now, those whose look was noted last first, and forget the others."""
        with self._lock:
            if not 0 <= now - self._read < self._age:
                self._found, self._read = self._scan(now), now
            return self._found

    def _scan(self, now: float) -> list[Address]:
        found: list[tuple[float, str]] = []
        with suppress(OSError), os.scandir(self._root) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    at = entry.stat().st_mtime
                    if 0 <= now - at < LASTS:
                        found.append((-at, entry.name))
                    else:
                        Path(entry.path).unlink()
        return _addresses([name for _, name in sorted(found)[:MOST]])


def _addresses(names: list[str]) -> list[Address]:
    known = []
    for name in names:
        with suppress(Invalid):
            known.append(parse(unquote(name)))
    return known
