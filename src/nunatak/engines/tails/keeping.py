"""The files in a box in which is kept what a running attempt told of its logs and its use, until the whole comes back.

Logs only grow, by who has the attempt's key, up to a bound; those that came back have other names and come first.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from nunatak.engines.tails.told import STREAMS, Piece, Told

PREFIX = "live."
USING = PREFIX + "usage"
"""What an attempt told last of what it used."""
OVER = "outcome.json"
"""What is in a box whose attempt has ended and left word."""
MOST_KEPT = 5_000_000
"""Bytes of one stream: as many as a worker writes at once of a log of the usual limit; later ones come at its end."""
LEAST_FREE = 2**30
"""Bytes that are left free on the disk: what comes back at the end needs room, too."""
_BOX = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOG = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


def take(box: Path, told: Told) -> dict[str, int] | None:
    """Add what was told where it goes on from what is there; return how much there is of each stream then.

    None where no attempt runs that could tell. While the disk is nearly full all is as if there was enough of it. Raises
    `OSError`.
    """
    try:
        place = os.open(box, _BOX)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        if _size(place, OVER) is not None:
            return None
        if _free(place) < LEAST_FREE:
            return dict.fromkeys(STREAMS, MOST_KEPT)
        for piece in told.pieces:
            if piece.data:
                _add(place, piece)
        if told.using:
            _replace(place, told.using)
        return {stream: _size(place, PREFIX + stream) or 0 for stream in STREAMS}
    finally:
        os.close(place)


def _free(place: int) -> int:
    disk = os.fstatvfs(place)
    return disk.f_bavail * disk.f_frsize


def _size(place: int, name: str) -> int | None:
    try:
        return os.stat(name, dir_fd=place, follow_symlinks=False).st_size
    except FileNotFoundError:
        return None


def _add(place: int, piece: Piece) -> None:
    file = os.open(PREFIX + piece.stream, _LOG, 0o600, dir_fd=place)
    try:
        there = os.fstat(file).st_size
        left = memoryview(piece.data)[: max(0, MOST_KEPT - there)] if piece.offset == there else memoryview(b"")
        while left:
            left = left[os.write(file, left) :]
    finally:
        os.close(file)


def _replace(place: int, using: bytes) -> None:
    """Write what was used in the place of what was told before: whole or not at all, and never through a link."""
    draft = USING + ".new"
    with suppress(FileNotFoundError):
        os.unlink(draft, dir_fd=place)
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=place)
    try:
        os.write(file, using)
    finally:
        os.close(file)
    os.rename(draft, USING, src_dir_fd=place, dst_dir_fd=place)


def wanted(kept: dict[str, int]) -> dict[str, int]:
    """Return from which byte on which streams are wanted."""
    return {stream: there for stream, there in kept.items() if there < MOST_KEPT}


def more(told: Told, kept: dict[str, int]) -> bool:
    """Tell whether there is more of what is wanted than has come."""
    return any(told.sizes.get(stream, 0) > there for stream, there in wanted(kept).items())
