"""A storage in memory that fails on purpose, for tests and demonstrations; faults follow from (seed, url, try)."""

from __future__ import annotations

import hashlib
import io
import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from nunatak.core import checksums
from nunatak.core.clock import Clock, system_clock
from nunatak.core.errors import Invalid, NotFound, Unavailable
from nunatak.storage.protocol import Page, Put, Stat, Stored
from nunatak.storage.urls import canonical, encode, segments

SCHEME = "sim"


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong. Rates are in [0, 1] per file and try; `slow` is in seconds per file.

    `outages` are (begin, end) in seconds since the epoch, during which every call is answered `Unavailable`.
    """

    fail: float = 0.0  # answered `Unavailable`, nothing done
    lost_answer: float = 0.0  # put or deleted, but answered `Unavailable`
    truncate: float = 0.0  # a read ends early, without an error
    corrupt: float = 0.0  # a read has one wrong byte
    rot: float = 0.0  # the stored bytes of a put go bad afterwards
    slow: float = 0.0
    outages: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class _Kept:
    data: bytes
    modified: float


class SimulatedStorage:
    """Keeps `sim:///...` URLs in memory. Two with the same seed and the same calls behave the same."""

    def __init__(
        self,
        seed: int = 0,
        faults: Faults | None = None,
        clock: Clock = system_clock,
        wait: Callable[[float], object] = lambda _seconds: None,
    ) -> None:
        """Start empty; `wait` is called with the seconds that a slow call takes."""
        self.seed, self.faults, self.clock, self.wait = seed, faults or Faults(), clock, wait
        self._files: dict[str, _Kept] = {}
        self._tries: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def stat(self, urls: Sequence[str]) -> list[Stat | None]:
        """Return size and time of each file."""
        return [self._stat(url) for url in urls]

    def put(self, items: Sequence[Put]) -> list[Stored]:
        """Keep files; they may rot."""
        return [self._put(item) for item in items]

    def open(self, url: str, offset: int = 0, length: int | None = None) -> BinaryIO:
        """Open a file; what is read may be short or wrong."""
        if offset < 0 or (length is not None and length < 0):
            raise Invalid(f"cannot read {length} bytes from {offset}", code="bad-range", hint="both count from 0")
        key, turn = self._begin("open", url)
        kept = self._files.get(key)
        if kept is None:
            raise NotFound(f"there is no {url}", code="no-file", url=url)
        data = kept.data[offset:] if length is None else kept.data[offset : offset + length]
        if data and self._happens(self.faults.truncate, "truncate", key, turn):
            data = data[: int(len(data) * self._roll("length", key, turn))]
        if self._happens(self.faults.corrupt, "corrupt", key, turn):
            data = self._spoilt(data, key, turn)
        return io.BytesIO(data)

    def delete(self, urls: Sequence[str]) -> None:
        """Forget files."""
        for url in urls:
            key, turn = self._begin("delete", url)
            with self._lock:
                self._files.pop(key, None)
            self._end("delete", key, turn)

    def entries(self, prefix: str, after: str = "", limit: int = 1000) -> Page:
        """List files by their URLs."""
        if limit < 1:
            raise Invalid(f"a page of {limit} files cannot be", code="bad-limit", hint="ask for at least 1")
        start = f"{SCHEME}:///" + "/".join(encode(part) for part in segments(prefix, SCHEME, prefix=True))
        self._meet("entries", start)
        with self._lock:
            urls = sorted(url for url in self._files if url.startswith(start))
            first = bisect_right(urls, after)
            files = tuple(self._seen(url) for url in urls[first : first + limit])
        return Page(files, files[-1].url if len(urls) > first + limit else "")

    def checksums(self, urls: Sequence[str]) -> list[str | None]:
        """Return the checksum of what is kept, rot included."""
        keys = [self._begin("checksum", url)[0] for url in urls]
        return [checksums.of_bytes(self._files[key].data) if key in self._files else None for key in keys]

    def _stat(self, url: str) -> Stat | None:
        key, _ = self._begin("stat", url)
        kept = self._files.get(key)
        return Stat(url, len(kept.data), kept.modified) if kept else None

    def _put(self, item: Put) -> Stored:
        key, turn = self._begin("put", item.url)
        try:
            data = item.source if isinstance(item.source, bytes) else item.source.read_bytes()
        except FileNotFoundError as error:
            raise NotFound(f"the source {item.source!s} is missing", code="no-source") from error
        sha256 = checksums.of_bytes(data)
        if item.sha256 and sha256 != item.sha256:
            raise Invalid(f"the bytes for {item.url} are not those declared", code="bad-checksum", url=item.url)
        kept = self._spoilt(data, key, turn) if self._happens(self.faults.rot, "rot", key, turn) else data
        with self._lock:
            self._files[key] = _Kept(kept, self.clock())
        self._end("put", key, turn)
        return Stored(item.url, len(data), sha256)

    def _begin(self, verb: str, url: str) -> tuple[str, int]:
        """Return the URL's one spelling and the number of this try, after meeting what faults there are."""
        key = canonical(url, SCHEME)
        return key, self._meet(verb, key)

    def _meet(self, verb: str, key: str) -> int:
        with self._lock:
            self._tries[verb, key] += 1
            turn = self._tries[verb, key]
        if self.faults.slow:
            self.wait(self.faults.slow)
        now = self.clock()
        if any(begin <= now < end for begin, end in self.faults.outages):
            raise Unavailable("the storage is down", code="storage-down", url=key)
        if self._happens(self.faults.fail, f"fail {verb}", key, turn):
            raise Unavailable(f"the storage did not answer for {key}", code="storage-error", url=key)
        return turn

    def _end(self, verb: str, key: str, turn: int) -> None:
        if self._happens(self.faults.lost_answer, f"lost {verb}", key, turn):
            raise Unavailable(f"the answer for {key} was lost", code="storage-error", url=key)

    def _seen(self, url: str) -> Stat:
        kept = self._files[url]
        return Stat(url, len(kept.data), kept.modified)

    def _spoilt(self, data: bytes, key: str, turn: int) -> bytes:
        if not data:
            return data
        at = int(len(data) * self._roll("place", key, turn))
        return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]

    def _happens(self, rate: float, what: str, key: str, turn: int) -> bool:
        return rate > 0 and self._roll(what, key, turn) < rate

    def _roll(self, what: str, key: str, turn: int) -> float:
        """Return a number in [0, 1) that depends on nothing but its arguments and the seed."""
        digest = hashlib.sha256(f"{self.seed}\n{what}\n{turn}\n{key}".encode()).digest()
        return int.from_bytes(digest[:7], "big") / 2**56
