"""What a worker tells of its logs, read without trust: a task sees the key of its attempt and may send anything. Pure."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from typing import Any

import orjson

from nunatak.core.using import text_of, using_of

STREAMS = ("stdout", "stderr")
MOST = 49_152
"""Bytes of all streams that are told at a time."""
MOST_BODY = 80_000
"""Bytes of a request: those in base64, and whose they are."""
LARGEST = 2**53
_PLACE = re.compile(r"(?:[A-Za-z0-9_@-][A-Za-z0-9._@-]*/)*[A-Za-z0-9_@-][A-Za-z0-9._@-]*\Z")
_MOST_WORD = 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a stream from `offset` on."""

    stream: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """Whose logs, how large each is, what comes of them, and what was used. `place` is a box below the root of all."""

    address: str
    lease: str
    place: str
    key: str
    sizes: dict[str, int]
    pieces: tuple[Piece, ...]
    using: bytes = b""  # what it used so far, as JSON


def read(body: bytes) -> Told:
    """Read a request. Raises `ValueError` for anything that is not one."""
    plain = orjson.loads(body)
    if not isinstance(plain, dict):
        raise ValueError("expected an object")
    address, lease, place, key = (_word(plain.get(name)) for name in ("address", "lease", "place", "key"))
    if not _PLACE.match(place):
        raise ValueError("no place")
    sizes = plain.get("sizes")
    if not isinstance(sizes, dict):
        raise ValueError("no sizes")
    known = {stream: _number(sizes[stream]) for stream in STREAMS if stream in sizes}
    parts = plain.get("parts")
    if not isinstance(parts, list) or len(parts) > len(STREAMS):
        raise ValueError("no parts")
    pieces = tuple(_piece(part) for part in parts)
    if sum(len(piece.data) for piece in pieces) > MOST:
        raise ValueError("too much at a time")
    using = using_of(plain.get("usage"))
    return Told(address, lease, place, key, known, pieces, text_of(using) if using else b"")


def _piece(plain: Any) -> Piece:
    if not isinstance(plain, list) or len(plain) != 3 or plain[0] not in STREAMS or not isinstance(plain[2], str):
        raise ValueError("not a part")
    return Piece(plain[0], _number(plain[1]), binascii.a2b_base64(plain[2].encode("ascii")))


def _word(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _MOST_WORD:
        raise ValueError("a word is missing")
    return value


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < LARGEST:
        raise ValueError("not a number of bytes")
    return value
