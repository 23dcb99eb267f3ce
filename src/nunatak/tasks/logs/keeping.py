"""Keeps stdout and stderr of attempts on disk, outside the database: live while they run, compressed when they ended.

One process may append while another compresses or deletes; each log is locked by a file of its stripe.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from nunatak.core.address import Address, parse
from nunatak.core.clock import Clock, system_clock
from nunatak.core.errors import Invalid
from nunatak.tasks.logs.journal import Journal, Locks
from nunatak.tasks.logs.live import SMALLEST_LIMIT, Extent, LiveLog
from nunatak.tasks.logs.looks import Looks
from nunatak.tasks.logs.packed import DAMAGE, PackedLog, compress, pack_whole
from nunatak.tasks.logs.places import (
    COURSE,
    FILES,
    SCRIPT,
    STREAMS,
    disk,
    is_live,
    is_packed,
    live_of,
    name_of,
    packed_of,
    path_of,
)
from nunatak.tasks.logs.using import Uses
from nunatak.tasks.logs.whole import Part, Streams, create, split_wholes

LAST_OFFSET = 2**53
"""Offsets end here: beyond what any log can reach, within what JSON numbers hold exactly."""

_READ = 1 << 18


@dataclass(frozen=True, slots=True)
class LogSlice:
    """Bytes of a log from position `offset` of `total`; ask on from `next`. `complete`: nothing is expected any more.

    `offset` is beyond the one asked for where the middle of the log was dropped; a line in `data` says how much.
    """

    data: bytes
    offset: int
    total: int
    complete: bool

    @property
    def next(self) -> int:
        """Return the position after `data`."""
        return self.offset + len(self.data)


class LogStore:
    """The logs of attempts below one directory. Every method may be repeated, and killed at any line.

    Raises `Invalid` for an address that is not that of an attempt, and `Unavailable` when the disk is full or fails.
    """

    def __init__(
        self, root: Path, limit: int = 10_000_000, retention: float = 90 * 86400, clock: Clock = system_clock
    ) -> None:
        """Keep `limit` bytes of each stream, for `retention` seconds after the attempt ended. Raises `Invalid`."""
        if limit < SMALLEST_LIMIT:
            raise Invalid(
                f"a log limit of {limit} bytes is too small", code="bad-limit", hint=f"at least {SMALLEST_LIMIT}"
            )
        self.root, self.retention, self.clock = root, retention, clock
        self._empty = Extent.for_limit(limit)
        self._locks, self._journal = Locks(f"{root}/locks"), Journal(root / "ended")
        self._looks = Looks(root / "looked-at")
        self._uses = Uses(root / "uses")

    def take(self, parts: Sequence[Part], finished: Sequence[Address]) -> None:
        """Add bytes to logs and compress those that are `finished`: as `append` and `finish`, with less work for small ones."""
        whole, others = split_wholes(parts, finished, self._empty.head)
        with disk():
            self._remember(list(whole))
            for address, streams in whole.items():
                with self._locks.held(address):
                    self._keep_whole(address, streams)
        self.append(others)
        self.finish([address for address in finished if address not in whole])

    def append(self, parts: Sequence[Part]) -> None:
        """Add bytes to logs, each in the order given.

        Bytes that are there already are skipped; where bytes are missing, a line says how many. Bytes that come after
        the attempt's logs were compressed are still added.
        """
        logs: dict[Path, tuple[Address, list[tuple[int, bytes]]]] = {}
        for address, stream, offset, data in parts:
            path = path_of(self.root, address, stream)
            if not 0 <= offset <= LAST_OFFSET:
                raise Invalid(f"{address} {stream}: a log cannot begin at {offset}", code="bad-offset")
            if data:
                logs.setdefault(path, (address, []))[1].append((offset, data))
        with disk():
            for path, (address, pieces) in logs.items():
                with self._locks.held(address):
                    self._append(path, pieces)

    def finish(self, addresses: Sequence[Address]) -> None:
        """Compress the logs of attempts that ended; from now on their retention counts."""
        with disk():
            growing = [a for a in addresses if any(is_live(name_of(self.root, a, s)) for s in STREAMS)
                       or is_packed(name_of(self.root, a, SCRIPT))]  # fmt: skip
            self._remember(growing)
            for address in growing:
                with self._locks.held(address):
                    for stream in STREAMS:
                        self._pack(path_of(self.root, address, stream))

    def keep_script(self, addresses: Sequence[Address], text: bytes) -> None:
        """Keep what was submitted for attempts: one file for all of them. It is read like a log, by the name `script`."""
        source: Path | None = None
        with disk():
            for address in addresses:
                path = path_of(self.root, address, SCRIPT)
                with self._locks.held(address):
                    source = self._keep(path, text, source)

    def read(self, address: Address, stream: str, offset: int = 0, length: int = 1 << 20) -> LogSlice:
        """Return at most `length` bytes from position `offset`; a log without bytes is empty and never `complete`."""
        if offset < 0 or length < 1:
            raise Invalid(f"cannot read {length} bytes from {offset}", code="bad-range", hint="offsets count from 0")
        return self._slice(address, stream, lambda _: offset, length)

    def tail(self, address: Address, stream: str, n_bytes: int) -> LogSlice:
        """Return the last `n_bytes` of a log, or the whole of its kept end if that is shorter."""
        if n_bytes < 1:
            raise Invalid(f"cannot read the last {n_bytes} bytes", code="bad-range", hint="ask for at least 1")
        return self._slice(address, stream, lambda extent: _tail_offset(extent, n_bytes), n_bytes)

    def blocks(self, address: Address, stream: str, offset: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield what is kept from position `offset` on, as (position, bytes): all there is now, in one pass, a block at a time."""
        path = path_of(self.root, address, stream)
        with disk():
            with self._locks.held(address, fcntl.LOCK_SH):
                packed = self._packed(path)
            if packed is not None:
                yield from packed.blocks(offset)
                return
        part = self.read(address, stream, offset, _READ)
        while part.data:
            yield part.offset, part.data
            part = self.read(address, stream, part.next, _READ)

    def looked_at(self) -> list[Address]:
        """Return the attempts whose logs are read and may go on; 200 at most."""
        return self._looks.now(self.clock())

    def keep_using(self, address: Address, data: bytes) -> None:
        """Keep what a running attempt used so far, for a moment."""
        with disk():
            self._uses.keep(address, data, self.clock())

    def using(self, address: Address) -> dict[str, float | int | None] | None:
        """Return what a running attempt used so far; None where that is not known yet, and soon will be, or never."""
        now = self.clock()
        self._looks.note(address, now)
        return self._uses.of(address, now)

    def counted(self, address: Address, stream: str) -> list[tuple[int, int]]:
        """Return positions of a log that was compressed, rising from 0, with the lines before each; one that grows has none."""
        path = path_of(self.root, address, stream)
        with disk(), self._locks.held(address, fcntl.LOCK_SH):
            packed = self._packed(path)
            return packed.lines() if packed is not None else []

    def expire(self, now: float, most: int = 1000) -> int:
        """Take up at most `most` attempts whose retention is over and delete their logs; return how many were taken up.

        An attempt's logs go within an hour after their time. Ask again until the answer is 0.
        """
        with disk(), self._locks.held(None):
            return self._journal.take(now - self.retention, most, self._delete)

    def _keep_whole(self, address: Address, streams: Streams) -> None:
        """Write the whole logs of an attempt that ended; what is there already is added to, as ever."""
        for stream in STREAMS:
            name, data = name_of(self.root, address, stream), streams.get(stream, b"")
            alive = is_live(name)
            if data and (alive or not create(f"{name}.gz", pack_whole(data, self._empty, self.clock()))):
                self._append(Path(name), [(0, data)])
                alive = True
            if alive:
                self._pack(Path(name))

    def _append(self, path: Path, parts: Iterable[tuple[int, bytes]]) -> None:
        packed = self._packed(path)
        if packed is None:
            with _open_live(live_of(path), self._empty) as live:
                _add(live, parts)
            return
        parts = [(offset, data) for offset, data in parts if offset + len(data) > packed.extent.end]
        if not parts:
            return
        try:
            with _open_live(live_of(path), self._empty) as live:
                try:
                    packed.unpack(live)
                except DAMAGE:
                    live.begin(self._empty)
                _add(live, parts)
                compress(live, packed_of(path), self.clock())
        finally:
            live_of(path).unlink(missing_ok=True)

    def _keep(self, path: Path, text: bytes, source: Path | None) -> Path:
        """Make a file of `text`, or give `source` another name; return where it is."""
        target = packed_of(path)
        target.unlink(missing_ok=True)
        if source is not None:
            with suppress(OSError):  # it has too many names already, or was deleted: another file will do
                target.parent.mkdir(parents=True, exist_ok=True)
                os.link(source, target)
                return source
        with _open_live(live_of(path), self._empty) as live:
            live.begin(self._empty)
            live.append(0, text)
            compress(live, target, self.clock())
        live_of(path).unlink()
        return target

    def _pack(self, path: Path) -> None:
        if self._packed(path) is None:
            with suppress(FileNotFoundError), LiveLog(live_of(path), self._empty, create=False) as live:
                compress(live, packed_of(path), self.clock())
        live_of(path).unlink(missing_ok=True)

    def _packed(self, path: Path) -> PackedLog | None:
        """Return the compressed log. Where it exists, a live file is what a killed process left behind."""
        try:
            return PackedLog(packed_of(path))
        except (FileNotFoundError, *DAMAGE):
            return None

    def _slice(self, address: Address, stream: str, offset: Callable[[Extent], int], length: int) -> LogSlice:
        path = path_of(self.root, address, stream)
        with disk(), ExitStack() as stack:
            stack.enter_context(self._locks.held(address, fcntl.LOCK_SH))
            log: LiveLog | PackedLog | None = self._packed(path)
            complete = log is not None
            if not complete and stream not in (COURSE, SCRIPT):
                self._looks.note(address, self.clock())
            if log is None:
                with suppress(FileNotFoundError):
                    log = stack.enter_context(LiveLog(live_of(path), self._empty, create=False))
            if log is None:
                return LogSlice(b"", 0, 0, False)
            start = log.extent.seek(offset(log.extent))
            stop = log.extent.stop(start, length)
            return LogSlice(log.read(start, stop), start, log.extent.total, complete)

    def _remember(self, addresses: Sequence[Address]) -> None:
        """Note when attempts ended, before their logs are compressed: then no log is ever forgotten."""
        if not addresses:
            return
        with self._locks.held(None):
            self._journal.note(addresses, self.clock())

    def _delete(self, attempts: Iterable[str]) -> None:
        directories = {place for text in attempts for place in self._delete_one(text)}
        _prune(directories, self.root)

    def _delete_one(self, text: str) -> Iterator[Path]:
        try:
            address = parse(text)
            paths = [path_of(self.root, address, name) for name in FILES]
        except Invalid:
            return  # a line cut short by a crash: the attempt was noted again
        with self._locks.held(address):
            for path in paths:
                for file in (live_of(path), packed_of(path), path.with_name(path.name + ".gz.part")):
                    file.unlink(missing_ok=True)
        yield paths[0].parent


def _open_live(path: Path, empty: Extent) -> LiveLog:
    """Open or begin a live log; its directory may just have been deleted with the last log in it."""
    for _ in range(10):
        with suppress(FileNotFoundError):
            return LiveLog(path, empty, create=True)
        with suppress(FileNotFoundError):
            path.parent.mkdir(parents=True, exist_ok=True)
    raise FileNotFoundError(errno.ENOENT, "the directory vanished", str(path.parent))


def _add(live: LiveLog, parts: Iterable[tuple[int, bytes]]) -> None:
    for offset, data in parts:
        live.append(offset, data)


def _tail_offset(extent: Extent, n_bytes: int) -> int:
    return max(extent.tail_start if extent.capped else 0, extent.total - n_bytes)


def _prune(directories: set[Path], root: Path) -> None:
    """Remove directories that have become empty, and their parents."""
    for directory in directories:
        with suppress(OSError):
            for path in (directory, *directory.parents):
                if path == root:
                    break
                path.rmdir()
