"""A log that ended: a gzip file (RFC 1952) with its extent in the header, in which any part is found without what is before it.

Every `BLOCK` bytes the compressor begins anew. Where that is, and how many lines are before it, stands in a second, empty
member at the end of the file, whose position is in the header of the first; to other programs it is a gzip file like any.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from nunatak.tasks.logs.live import BLOCK, Extent, LiveLog

DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile)
"""What reading a compressed log raises if the machine crashed before it was on disk."""

_READ = 1 << 16
_SMALL = 4096
_EXTRA = struct.Struct("<2sHQQQQ")
_PLACE = struct.Struct("<2sHQ")
_GZIP = struct.Struct("<4sIBBH")
_POINT = struct.Struct("<III")
_MOST_POINTS = 5000
"""As many as a header has room for; they reach beyond the largest log that is kept."""


class Point(NamedTuple):
    """Where unpacking may begin: the place in the file, the kept bytes before it, and the lines in these."""

    place: int
    kept: int
    lines: int


def compress(live: LiveLog, target: Path, now: float) -> None:
    """Write all that `live` keeps as a compressed file; `target` appears whole."""
    temporary = target.with_name(target.name + ".part")
    try:
        with temporary.open("wb") as writer:
            place = writer.write(_head(live.extent, now, 0))
            points: list[Point] = []
            for part in _packed(live.kept(), place, points, _packer()):
                place += writer.write(part)
            if len(points) > 1:
                writer.write(_index(points))
                writer.seek(0)
                writer.write(_head(live.extent, now, place))
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def pack_whole(data: bytes, empty: Extent, now: float) -> bytes:
    """Return the file of a whole log of which nothing has to be dropped, as `compress` would write it."""
    extent = replace(empty, total=len(data), end=len(data))
    small = len(data) < _SMALL  # the tables of a large window take longer to make than such a log to compress
    blocks = (data[at : at + BLOCK] for at in range(0, len(data), BLOCK))
    points: list[Point] = []
    body = b"".join(_packed(blocks, len(_head(extent, now, 0)), points, _packer(small=small)))
    if len(points) <= 1:
        return _head(extent, now, 0) + body
    return _head(extent, now, len(_head(extent, now, 0)) + len(body)) + body + _index(points)


def _packer(*, small: bool = False) -> zlib._Compress:
    return zlib.compressobj(6, zlib.DEFLATED, -9 if small else -zlib.MAX_WBITS, 1 if small else zlib.DEF_MEM_LEVEL)


def _packed(blocks: Iterable[bytes], place: int, points: list[Point], packer: zlib._Compress) -> Iterator[bytes]:
    """Yield the compressed blocks and what ends the member; `points` gets where each of them begins."""
    checksum, size, lines = 0, 0, 0
    for block in blocks:
        if size:
            part = packer.flush(zlib.Z_FULL_FLUSH)
            place += len(part)
            yield part
        points.append(Point(place, size, lines))
        checksum, size, lines = zlib.crc32(block, checksum), size + len(block), lines + block.count(b"\n")
        part = packer.compress(block)
        place += len(part)
        yield part
    yield packer.flush() + struct.pack("<II", checksum, size & 0xFFFFFFFF)


def _head(extent: Extent, now: float, index: int) -> bytes:
    extra = _EXTRA.pack(b"Nu", _EXTRA.size - 4, extent.head, extent.tail, extent.total, extent.end)
    extra += _PLACE.pack(b"Ni", _PLACE.size - 4, index)
    return _GZIP.pack(b"\x1f\x8b\x08\x04", int(now) & 0xFFFFFFFF, 0, 255, len(extra)) + extra


def _index(points: list[Point]) -> bytes:
    """Return a member without bytes that has the points in its header."""
    kept = [point for point in points[:_MOST_POINTS] if max(point) < 1 << 32]
    packed = b"".join(_POINT.pack(*point) for point in kept)
    extra = struct.pack("<2sH", b"Np", len(packed)) + packed
    return _GZIP.pack(b"\x1f\x8b\x08\x04", 0, 0, 255, len(extra)) + extra + b"\x03\x00" + bytes(8)


class PackedLog:
    """A log that was compressed."""

    def __init__(self, path: Path) -> None:
        """Open `path` and read its extent. Raises `FileNotFoundError`, or one of `DAMAGE`."""
        self._path = path
        with path.open("rb") as reader:
            start = reader.read(_GZIP.size + _EXTRA.size + _PLACE.size)
        if len(start) < _GZIP.size + _EXTRA.size or start[_GZIP.size :][:2] != b"Nu":
            raise gzip.BadGzipFile(f"{path.name} is damaged")
        self._begin = _GZIP.size + _GZIP.unpack_from(start)[-1]
        _, _, head, tail, total, end = _EXTRA.unpack_from(start, _GZIP.size)
        self.extent = Extent(head, tail, total, end)
        more = start[_GZIP.size + _EXTRA.size :]
        has_index = self._begin == len(start) and more[:2] == b"Ni"  # those of earlier versions have none
        self._index = _PLACE.unpack(more)[2] if has_index else 0

    def points(self) -> list[Point]:
        """Return where unpacking may begin, the beginning first."""
        return [Point(*item) for item in _POINT.iter_unpack(self._table())] or [Point(self._begin, 0, 0)]

    def _point_before(self, kept: int) -> Point:
        """Return the last point with no more kept bytes before it than that; few of a long table are read."""
        table = self._table() if kept >= BLOCK else b""
        places = range(0, len(table), _POINT.size)
        at = bisect_right(places, kept, key=lambda place: _POINT.unpack_from(table, place)[1]) - 1
        return Point(*_POINT.unpack_from(table, places[at])) if at >= 0 else Point(self._begin, 0, 0)

    def _table(self) -> bytes:
        """Return the points as they are written, the beginning first; nothing if there are none."""
        if not self._index:
            return b""
        with self._path.open("rb") as reader:
            reader.seek(self._index)
            start = reader.read(_GZIP.size + 4)
            if len(start) < _GZIP.size + 4 or start[_GZIP.size :][:2] != b"Np":
                return b""  # the machine crashed: without it all is found as well, only later
            packed = reader.read(_GZIP.unpack_from(start)[-1] - 4)
        return packed[: len(packed) // _POINT.size * _POINT.size]

    def lines(self) -> list[tuple[int, int]]:
        """Return positions, rising from 0, with the lines before each."""
        return [(self._position(point.kept), point.lines) for point in self.points()]

    def _position(self, kept: int) -> int:
        """Return the position of a kept byte, given how many are kept before it."""
        return kept if kept < self.extent.head else kept - self.extent.head + self.extent.tail_start

    def read(self, start: int, stop: int) -> bytes:
        """Return the kept bytes of positions [start, stop), which lie on one side of the dropped middle."""
        skipped = self.extent.tail_start - self.extent.head if start >= self.extent.head else 0
        return b"".join(self._unpacked(start - skipped, stop - skipped))

    def blocks(self, start: int) -> Iterator[tuple[int, bytes]]:
        """Yield what is kept from position `start` on as (position, bytes), unpacked once; nothing is dropped in between."""
        extent = self.extent
        head = min(extent.head, extent.total)
        for low, high, before in ((0, head, 0), (extent.tail_start, extent.total, head)):
            at = max(low, start)
            for data in self._unpacked(at - low + before, high - low + before) if at < high else ():
                yield at, data
                at += len(data)

    def _unpacked(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the kept bytes [start, stop), at most `BLOCK` at once. Raises one of `DAMAGE` where there are less."""
        point = self._point_before(start)
        kept, unpacker = point.kept, zlib.decompressobj(-zlib.MAX_WBITS)
        with self._path.open("rb") as reader:
            reader.seek(point.place)
            while kept < stop:
                packed = unpacker.unconsumed_tail or reader.read(_READ)
                data = unpacker.decompress(packed, min(BLOCK, stop - kept))
                if (not data and not packed) or (unpacker.eof and kept + len(data) < stop):
                    raise EOFError("the log is shorter than it says")
                if wanted := data[max(0, start - kept) : stop - kept]:
                    yield wanted
                kept += len(data)

    def unpack(self, live: LiveLog) -> None:
        """Make `live` the log that was compressed."""
        live.begin(self.extent)
        for position, data in self.blocks(0):
            live.fill(position, data)
