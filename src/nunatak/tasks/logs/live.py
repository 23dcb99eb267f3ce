"""One log on disk that still grows: a file that keeps head and tail while bytes stream in. `log_packed` is what it becomes.

Positions count the bytes of the whole log, kept or dropped, so a reader's place stays right while the log grows, when
its middle is dropped and when it is compressed. Callers hold the log's lock (`tasks.logs.keeping`).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

NOTICE = 64
"""Bytes of the line that stands for the dropped middle; always the same, so that positions do not depend on it."""

SMALLEST_LIMIT = 1024
"""Bytes; below this a log would be little more than its notice."""

_SLACK = 1 << 16
BLOCK = 1 << 18
_HEADER = struct.Struct("<8sQQQQ")
_ENDS = struct.Struct("<QQ")
_ENDS_AT = 24
_MAGIC = b"nunalog1"


@dataclass(frozen=True, slots=True)
class Extent:
    """How a log lies in its file: the first `head` and last `tail` of `total` bytes are kept.

    `end` is the sender's next offset. It differs from `total` where bytes never arrived and a line says so instead.
    """

    head: int
    tail: int
    total: int = 0
    end: int = 0

    @classmethod
    def for_limit(cls, limit: int) -> Self:
        """Return the extent of an empty log of which at most `limit` bytes are kept."""
        return cls(head=limit - limit // 2, tail=limit // 2)

    @property
    def capped(self) -> bool:
        """Tell whether bytes were dropped."""
        return self.total > self.head + self.tail

    @property
    def tail_start(self) -> int:
        """Return the position at which what follows the head begins, with the notice if the log is capped."""
        return max(self.head, self.total - self.tail)

    def notice(self) -> bytes:
        """Return the line that stands for the dropped middle, padded to `NOTICE` bytes."""
        dropped = self.tail_start + NOTICE - self.head
        return f"\n[nunatak: {dropped} bytes dropped here".encode().ljust(NOTICE - 2) + b"]\n"

    def seek(self, offset: int) -> int:
        """Return `offset`, or where the kept part goes on if it lies in the dropped middle."""
        return self.tail_start if self.head <= offset < self.tail_start else min(offset, self.total)

    def stop(self, offset: int, length: int) -> int:
        """Return where at most `length` bytes that begin at `offset` end: never across the dropped middle."""
        last = self.head if self.capped and offset < self.head else self.total
        return min(offset + length, last)


class LiveLog:
    """A log that still grows: header, head, and a ring for the tail, in one file of bounded size.

    The header is written after the bytes it speaks of, and the ring has room beyond the tail, so a writer that is
    killed at any point leaves a log that is whole up to its last header.
    """

    def __init__(self, path: Path, empty: Extent, *, create: bool) -> None:
        """Open `path`; `empty` applies if it is new or was never begun. Raises `FileNotFoundError` without `create`."""
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o640)
        header = os.pread(self._fd, _HEADER.size, 0)
        if len(header) == _HEADER.size and header.startswith(_MAGIC):
            _, head, tail, total, end = _HEADER.unpack(header)
            self.extent = Extent(head, tail, total, end)
        else:
            self.begin(empty)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        os.close(self._fd)

    def begin(self, extent: Extent) -> None:
        """Write the header of a log without bytes; it may stand for a log whose bytes are filled in next."""
        self.extent = extent
        os.ftruncate(self._fd, 0)
        write(self._fd, _HEADER.pack(_MAGIC, extent.head, extent.tail, extent.total, extent.end), 0)

    def append(self, offset: int, data: bytes) -> None:
        """Add the sender's bytes from `offset`; what is there already is skipped, what is missing is noted."""
        end = self.extent.end
        if offset + len(data) <= end:
            return
        if offset > end:
            note = f"\n[nunatak: {offset - end} bytes of this log never arrived]\n".encode()
            self._add(note, offset)
        fresh = data[self.extent.end - offset :]
        for start in range(0, len(fresh), _SLACK):
            chunk = fresh[start : start + _SLACK]
            self._add(chunk, self.extent.end + len(chunk))

    def read(self, start: int, stop: int) -> bytes:
        """Return the kept bytes of positions [start, stop), which lie on one side of the dropped middle."""
        extent = self.extent
        data = b"".join(os.pread(self._fd, size, at) for at, size in self._places(start, stop))
        covered = extent.tail_start + NOTICE
        if extent.capped and extent.tail_start <= start < covered:
            data = extent.notice()[start - extent.tail_start :][: stop - start] + data[covered - start :]
        return data

    def fill(self, start: int, data: bytes) -> None:
        """Put kept bytes back at position `start`; the extent already counts them."""
        self._put(data, start)

    def kept(self) -> Iterator[bytes]:
        """Yield all that is kept, the notice in between."""
        yield from self._blocks(0, min(self.extent.head, self.extent.total))
        yield from self._blocks(self.extent.tail_start, self.extent.total)

    def _blocks(self, start: int, stop: int) -> Iterator[bytes]:
        for at in range(start, stop, BLOCK):
            yield self.read(at, min(at + BLOCK, stop))

    def _add(self, data: bytes, end: int) -> None:
        """Add at most `_SLACK` bytes, then count them."""
        self._put(data, self.extent.total)
        self.extent = replace(self.extent, total=self.extent.total + len(data), end=end)
        write(self._fd, _ENDS.pack(self.extent.total, self.extent.end), _ENDS_AT)

    def _put(self, data: bytes, start: int) -> None:
        done = 0
        for at, size in self._places(start, start + len(data)):
            write(self._fd, data[done : done + size], at)
            done += size

    def _places(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield (place in the file, bytes) for the positions [start, stop)."""
        head, ring = self.extent.head, self.extent.tail + _SLACK
        if start < head:
            yield _HEADER.size + start, min(stop, head) - start
            start = head
        while start < stop:
            turn = (start - head) % ring
            size = min(stop - start, ring - turn)
            yield _HEADER.size + head + turn, size
            start += size


def write(fd: int, data: bytes, at: int) -> None:
    """Write all of `data`, however many calls it takes."""
    while data:
        done = os.pwrite(fd, data, at)
        data, at = data[done:], at + done
