"""A directory the engine keeps its records in, which the tasks can write to as well: nothing in it is trusted."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nunatak.engines.outcomes import MOST_OUTCOME


@dataclass(frozen=True, slots=True)
class Folder:
    """The directory of one attempt, or of one series."""

    path: Path

    def read(self, name: str, offset: int = 0, most: int = MOST_OUTCOME + 1) -> bytes:
        """Return at most `most` bytes of a file from `offset`; empty if there is none.

        The task can write here too: a link, a pipe or a device in place of a file is never followed.
        """
        try:
            file = os.open(self.path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            return os.pread(file, most, offset) if stat.S_ISREG(os.fstat(file).st_mode) else b""
        except OSError:
            return b""
        finally:
            os.close(file)

    def read_plain(self, name: str) -> dict[str, Any]:
        """Return a JSON object the engine wrote; empty if there is none or it is damaged."""
        try:
            plain = json.loads(self.read(name))
        except (ValueError, RecursionError):
            return {}
        return plain if isinstance(plain, dict) else {}

    def has(self, name: str) -> bool:
        """Tell whether there is a file of this name."""
        return os.path.lexists(self.path / name)

    def made(self, name: str) -> float | None:
        """Return when a file was made that nobody writes to (seconds since the epoch); None if there is none."""
        try:
            return os.lstat(self.path / name).st_mtime
        except OSError:
            return None

    def write(self, name: str, plain: dict[str, Any]) -> None:
        """Write a JSON object atomically. Raises `OSError`."""
        draft = self.path / f".{name}"
        draft.write_text(json.dumps(plain))
        draft.rename(self.path / name)

    def intend(self) -> None:
        """Record that the worker is about to be started. Raises `OSError`, also if it was recorded before."""
        self.claim("launch")

    def take_back(self) -> None:
        """Undo `intend`: the worker was not started and may be started later."""
        (self.path / "launch").unlink(missing_ok=True)

    def claim(self, name: str) -> None:
        """Make an empty file that only one can make. Raises `FileExistsError` for all others, `OSError` if nobody can."""
        os.close(os.open(self.path / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644))
