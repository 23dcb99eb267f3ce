"""Lines of logs for people who read them: numbered, by pages of bounded size, searched where they are kept.

A page is found by position, and costs its size. Line numbers come from newlines counted once for each block of `BLOCK`
bytes, and remembered for `MOST_LOGS` logs; those of a log that ended are kept with it. Where the middle of a log was
dropped, numbers count the lines that are kept: as long as such a log grows, those after the gap move. Memory is bounded
by a block and a page, whatever the size of the log.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nunatak.core.address import Address
from nunatak.tasks.logs.keeping import LogSlice, LogStore
from nunatak.tasks.verdicts.lines import MOST_TAIL, matter, said

BLOCK = 1 << 18
PAGE_BYTES = 1 << 16
PAGE_LINES = 400
BEFORE = 12
"""Lines that are shown before the one that was asked for."""
MOST_LOGS = 64
MOST_HITS = 200
SEARCHED = 64_000_000
"""Bytes looked through by one request; the answer says where to go on."""
EVIDENCE = 1 << 17
"""Bytes of the end of a log in which the lines of a verdict are looked for."""
_COLOURS = re.compile(rb"\x1b\[[0-9;:?]*[A-Za-z]")

Log = tuple[Address, str]
"""An attempt and the name of its stream."""


class Line(NamedTuple):
    """One line, without its end: its number from 1, its position, and whether it is the rest of a line too long for a page."""

    number: int
    offset: int
    data: bytes
    rest: bool = False


@dataclass(frozen=True, slots=True)
class LinePage:
    """Lines in a row; `start` and `next` are positions, `total` is that of the end of the log."""

    lines: list[Line]
    start: int
    next: int
    total: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Hits:
    """Lines that have what was looked for; `next` is where to look on, None if all was looked through, `seen` bytes were."""

    lines: list[Line]
    next: int | None
    seen: int


@dataclass(frozen=True, slots=True)
class _Index:
    """Newlines before each block that was counted."""

    complete: bool = False
    gap: int = -1  # where the part after a dropped middle begins
    at: list[int] = field(default_factory=lambda: [0])
    before: list[int] = field(default_factory=lambda: [0])


class LogLines:
    """Numbers lines of logs. One for each server process; threads may share it."""

    def __init__(self, logs: LogStore) -> None:
        """Begin with nothing counted."""
        self._logs = logs
        self._known: OrderedDict[Log, _Index] = OrderedDict()
        self._told: OrderedDict[tuple[Log, int, tuple[str, ...]], list[int]] = OrderedDict()
        self._lock = threading.Lock()

    def page(self, log: Log, offset: int, most: int = PAGE_BYTES) -> LinePage:
        """Return the lines from a position on; one in the middle of a line begins at the rest of it."""
        total, complete = self.extent(log)
        number, rest, start, data = self._read(log, offset, most)
        shown = _cut(data, last=start + len(data) >= total) if most == PAGE_BYTES else data
        lines = list(_lines(shown, start, number))
        if lines and rest:
            lines[0] = lines[0]._replace(rest=True)
        return LinePage(lines, start, start + len(shown), total, complete)

    def page_before(self, log: Log, offset: int) -> LinePage:
        """Return the lines that end at a position."""
        start = self._start_before(log, offset, PAGE_LINES)
        return self.page(log, start, max(1, offset - start))

    def extent(self, log: Log) -> tuple[int, bool]:
        """Return the position of the end of a log, and whether nothing is expected any more."""
        part = self._logs.read(*log, 0, 1)
        return part.total, part.complete

    def page_of(self, log: Log, number: int) -> LinePage:
        """Return the page that shows a line, with a few before it; of one beyond the end, the last page."""
        offset = self.offset_of(log, number)
        return self.page(log, self._start_before(log, offset, BEFORE))

    def last(self, log: Log) -> LinePage:
        """Return the last lines."""
        total, _ = self.extent(log)
        return self.page_before(log, total) if total else self.page(log, 0)

    def number_at(self, log: Log, offset: int) -> int:
        """Return the number of the line that has a position, counted from 1."""
        return self._read(log, offset, 0)[0]

    def _read(self, log: Log, offset: int, most: int) -> tuple[int, bool, int, bytes]:
        """Return number, whether it is the rest of a line, position and bytes of what is kept from `offset` on, in one pass."""
        index = self._counted(log, offset)
        at = max(0, bisect_right(index.at, max(0, offset - 1)) - 1)  # a block with the byte before, if there is one
        number, start, data, before = index.before[at] + 1, offset, b"", b"\n"
        for position, block in self._logs.blocks(*log, index.at[at]):
            end = position + len(block)
            if end <= offset:
                number, before, start = number + block.count(b"\n"), block[-1:], end
                continue
            if data and position != start + len(data):
                break  # the middle was dropped: a page ends there
            if not data:
                start, skip = max(offset, position), max(0, offset - position)
                number, before = number + block.count(b"\n", 0, skip), block[skip - 1 : skip] if skip else before
            data += block[max(0, offset - position) if not data else 0 :][: most - len(data)]
            if len(data) >= most:
                break
        return number, before != b"\n", start, data

    def offset_of(self, log: Log, number: int) -> int:
        """Return the position at which a line begins; the end of the log for one that is not there."""
        index = self._counted(log, 2**53)
        at = max(0, bisect_right(index.before, max(0, number - 2)) - 1)
        left = number - 1 - index.before[at]
        end = index.at[at]
        if left <= 0:
            return end
        for position, data in self._logs.blocks(*log, index.at[at]):
            found = data.count(b"\n")
            if found >= left:
                return position + _nth(data, left)
            left, end = left - found, position + len(data)
        return end

    def search(self, log: Log, wanted: str, offset: int = 0, most: int = MOST_HITS) -> Hits:
        """Return lines that have a text (small and capital letters of ASCII alike, colours aside), from a position on."""
        sought = wanted.encode("utf-8", "replace").lower()
        found: list[Line] = []
        seen, number = 0, self.number_at(log, offset)
        for position, data in _whole_lines(self._logs.blocks(*log, offset)):
            low = _COLOURS.sub(b"", data).lower() if b"\x1b" in data else data.lower()
            if sought in low:
                for line in _lines(data, position, number):
                    if sought in _COLOURS.sub(b"", line.data).lower():
                        found.append(line)
                        if len(found) >= most:
                            return Hits(found, line.offset + len(line.data) + 1, seen + line.offset - position)
            number, seen = number + data.count(b"\n"), seen + len(data)
            if seen >= SEARCHED:
                return Hits(found, position + len(data), seen)
        return Hits(found, None, seen)

    def evidence(self, log: Log, lines: Sequence[str]) -> list[int]:
        """Return the numbers of those lines of the log's end that a verdict went by, the first first.

        Without any (the worker could not send them) they are those that a verdict would go by.
        """
        part = self._logs.tail(*log, EVIDENCE)
        if not part.data:
            return []
        key = (log, part.total, tuple(lines))
        with self._lock:
            known = self._told.get(key)
        if known is None:
            known = self._evidence(log, part, lines)
            with self._lock:
                self._told[key] = known
                while len(self._told) > MOST_LOGS:
                    self._told.popitem(last=False)
        return known

    def _evidence(self, log: Log, part: LogSlice, lines: Sequence[str]) -> list[int]:
        if not lines:
            found_here = matter(part.data[-MOST_TAIL:].decode("utf-8", "replace"))
            lines = found_here.lines if found_here.told else ()
        wanted = set(lines)
        number = self.number_at(log, part.offset)
        found = {
            said(line.data.decode("utf-8", "replace")): line.number for line in _lines(part.data, part.offset, number)
        }
        return sorted(at for text, at in found.items() if text in wanted)

    def _start_before(self, log: Log, offset: int, most: int) -> int:
        """Return where at most `most` lines before a position begin; a page before it at most."""
        kept = self._before(log, offset)
        data = kept.data[: max(0, offset - kept.offset)]
        end = len(data) - 1 if data.endswith(b"\n") else len(data)
        for _ in range(most):
            end = data.rfind(b"\n", 0, end)
            if end < 0:
                break
        if end >= 0:
            return kept.offset + end + 1
        first = data.find(b"\n")  # the page begins with a whole line if there is one
        return kept.offset if kept.offset == 0 or first < 0 or first == len(data) - 1 else kept.offset + first + 1

    def _before(self, log: Log, offset: int) -> LogSlice:
        """Return what is kept before a position, a page at most: beyond a dropped middle, what is before that."""
        kept = self._logs.read(*log, max(0, offset - PAGE_BYTES), PAGE_BYTES)
        if kept.offset < offset or not offset:
            return kept
        index = self._counted(log, offset)
        last = index.at[max(0, bisect_right(index.at, offset - 1) - 1)]
        end = self._logs.read(*log, last, BLOCK).next  # reading ends where the middle was dropped
        return self._logs.read(*log, max(0, end - PAGE_BYTES), min(end, PAGE_BYTES) or 1)

    def _counted(self, log: Log, offset: int) -> _Index:
        """Return the index of a log, counted up to a position at least."""
        with self._lock:
            index = self._known.get(log) or _Index()
        total, complete = self.extent(log)
        moved = index.gap >= 0 and not complete
        if complete != index.complete or total < index.at[-1] or moved or self._is_gone(log, index):
            index = _kept(self._logs.counted(*log)) if complete else _Index()
        if index.at[-1] + BLOCK <= min(offset, total):
            index = self._count(log, index, offset)
        with self._lock:
            self._known[log] = index
            self._known.move_to_end(log)
            while len(self._known) > MOST_LOGS:
                self._known.popitem(last=False)
        return index

    def _is_gone(self, log: Log, index: _Index) -> bool:
        """Tell whether the middle that was dropped of a log that grows has come to what was counted."""
        return not index.complete and index.at[-1] > 0 and self._logs.read(*log, index.at[-1], 1).offset != index.at[-1]

    def _count(self, log: Log, index: _Index, offset: int) -> _Index:
        gap, at, before = index.gap, list(index.at), list(index.before)
        lines, expected = before[-1], at[-1]
        for position, data in self._logs.blocks(*log, at[-1]):
            if position != expected:
                gap = position
            if position > at[-1]:
                at.append(position)
                before.append(lines)
            if position > offset:
                break
            lines, expected = lines + data.count(b"\n"), position + len(data)
        return _Index(index.complete, gap, at, before)


def _kept(points: Sequence[tuple[int, int]]) -> _Index:
    """Return the index that came with a compressed log; those that are short, or of earlier versions, have one point."""
    return _Index(True, -1, [at for at, _ in points], [lines for _, lines in points]) if points else _Index(True)


def plain(line: Line) -> dict[str, Any]:
    """Return a line as JSON has it."""
    return {"line": line.number, "offset": line.offset, "text": line.data.decode("utf-8", "replace"), "rest": line.rest}


def _cut(data: bytes, *, last: bool) -> bytes:
    """Return as much as a page shows: whole lines, unless one is longer than a page, or has no end yet."""
    end = -1
    for _ in range(PAGE_LINES):
        following = data.find(b"\n", end + 1)
        if following < 0:
            return data if last or end < 0 else data[: end + 1]
        end = following
    return data[: end + 1]


def _lines(data: bytes, offset: int, number: int) -> Iterator[Line]:
    for text in data.split(b"\n")[: None if not data.endswith(b"\n") else -1] if data else ():
        yield Line(number, offset, text)
        number, offset = number + 1, offset + len(text) + 1


def _nth(data: bytes, n: int) -> int:
    """Return the position after the n-th newline."""
    at = 0
    for _ in range(n):
        at = data.index(b"\n", at) + 1
    return at


def _whole_lines(blocks: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Yield blocks that end with a line, unless that is longer than a block."""
    kept, at = b"", 0
    for position, data in blocks:
        if kept and position != at + len(kept):
            yield at, kept
            kept = b""
        at = at if kept else position
        kept += data
        end = kept.rfind(b"\n") + 1
        if not end and len(kept) >= BLOCK:
            end = len(kept)
        if end:
            yield at, kept[:end]
            at, kept = at + end, kept[end:]
    if kept:
        yield at, kept
