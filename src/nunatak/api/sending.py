"""What watchers are sent: events as they are, or as pieces of gzip streams that are compressed once for all who watch the same.

A piece is compressed with what the watcher was sent just before as its dictionary, and ends at a whole byte: so an event
that differs by little from the last one is some hundred bytes, and whoever was sent the same before is sent the same piece.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from fastapi import Request

HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""How a gzip stream begins (RFC 1952): deflate, no name, no time. Ours end with their connection, so nothing ends them."""
WINDOW = 32_768
"""Bytes back to which deflate (RFC 1951) may refer."""
LEVEL = 6
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept-Encoding"}


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """Some bytes of a stream. Each is itself only: pieces are kept by what went before."""

    data: bytes


KEEP_ALIVE = Event(b": still here\n\n")


class Pieces:
    """Compressed pieces that were made already, by the event before and the event."""

    def __init__(self) -> None:
        """Begin with none."""
        self._made: dict[tuple[Event | None, Event], bytes] = {}

    def of(self, before: Event | None, event: Event) -> bytes:
        """Return an event for those who were sent `before` last, None if nothing."""
        key = before, event
        if key not in self._made:
            self._made[key] = packed(event.data, before.data) if before else HEAD + packed(event.data)
        return self._made[key]

    def forget(self) -> None:
        """Let go of all, when there is another event to come."""
        self._made.clear()


class Sending:
    """One watcher: whether it is sent gzip, and what it was sent last."""

    def __init__(self, request: Request) -> None:
        """Begin with nothing sent."""
        self._packs = "gzip" in request.headers.get("accept-encoding", "")
        self._last: Event | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers of the stream."""
        return {**HEADERS, "Content-Encoding": "gzip"} if self._packs else HEADERS

    def next(self, event: Event, pieces: Pieces) -> bytes:
        """Return what to send now; it has to be sent."""
        before, self._last = self._last, event
        return pieces.of(before, event) if self._packs else event.data


def packed(data: bytes, before: bytes = b"") -> bytes:
    """Return deflated bytes that end at a whole byte and go on with a stream whose last bytes were `before`."""
    window = before[-WINDOW:]
    maker = (
        zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zlib.Z_DEFAULT_STRATEGY, window)
        if window
        else zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, 9)
    )
    return maker.compress(data) + maker.flush(zlib.Z_SYNC_FLUSH)
