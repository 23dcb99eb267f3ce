"""Which attempts ended when, in files beside their logs: a log is found by its age without looking at all of them."""

from __future__ import annotations

import fcntl
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from nunatak.core.address import Address

_STRIPES = 256
_SEGMENT = 3600
_LINES = 1 << 16


class Locks:
    """Files of which one process at a time holds one. They are never deleted."""

    def __init__(self, root: str) -> None:
        """Keep them in the directory `root`, which is made when it is needed."""
        self._root = root

    @contextmanager
    def held(self, address: Address | None, how: int = fcntl.LOCK_EX) -> Iterator[None]:
        """Hold the lock of an attempt's stripe, or of the journal (None)."""
        name = "ended" if address is None else f"{zlib.crc32(str(address).encode()) % _STRIPES:02x}"
        path = f"{self._root}/{name}"
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except FileNotFoundError:
            Path(self._root).mkdir(parents=True, exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(fd, how)
            yield
        finally:
            os.close(fd)


class Journal:
    """The attempts that ended, a file for each hour. Who calls holds its lock."""

    def __init__(self, root: Path) -> None:
        """Keep it in the directory `root`, which is made when it is needed."""
        self._root = root

    def note(self, addresses: Sequence[Address], now: float) -> None:
        """Add attempts that end now."""
        lines = "".join(f"{address}\n" for address in addresses).encode()
        self._root.mkdir(parents=True, exist_ok=True)
        with (self._root / str(int(now // _SEGMENT))).open("a+b") as segment:
            segment.write(b"\n" + lines if _torn(segment) else lines)

    def take(self, until: float, most: int, forget: Callable[[Iterable[str]], object]) -> int:
        """Let `forget` at most `most` of the attempts that ended before `until`, then take them out; return how many.

        The answer is 0 when none are left. What a crash left of a line is given to `forget`, too.
        """
        for segment in sorted(self._root.glob("[0-9]*"), key=lambda path: int(path.name)):
            if (int(segment.name) + 1) * _SEGMENT > until:
                break
            if taken := _shorten(segment, most, forget):
                return taken
        return 0


def _shorten(segment: Path, most: int, forget: Callable[[Iterable[str]], object]) -> int:
    """Let the last attempts noted in a segment be forgotten, then take them out; it goes when it is empty."""
    with segment.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - _LINES)
        file.seek(start)
        lines = file.read().splitlines(keepends=True)
        chosen = (lines[1:] if start else lines)[-most:]
        forget([line.decode("utf-8", "replace").strip() for line in chosen])
        left = size - sum(len(line) for line in chosen)
        file.truncate(left)
    if left == 0:
        segment.unlink()
    return len(chosen)


def _torn(segment: BinaryIO) -> bool:
    """Tell whether a crash cut the last line short; it then stays alone."""
    if segment.seek(0, os.SEEK_END) == 0:
        return False
    segment.seek(-1, os.SEEK_END)
    return segment.read(1) != b"\n"
