"""Logs that come whole, with the word that no more will come: written compressed at once, without a live file in between."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from nunatak.core.address import Address
from nunatak.tasks.logs.live import write

Part = tuple[Address, str, int, bytes]
"""Bytes of one log: the attempt, `stdout` or `stderr`, the sender's offset of the first byte, the bytes."""
Streams = dict[str, bytes]
_FIRST = 16
"""Bytes that make it a compressed log of ours: they are written last."""


def split_wholes(
    parts: Sequence[Part], finished: Iterable[Address], most: int
) -> tuple[dict[Address, Streams], list[Part]]:
    """Return the streams of those attempts that come whole, none longer than `most` bytes, and all other parts."""
    over, whole = set(finished), defaultdict[Address, Streams](dict)
    broken = set[Address]()
    for address, stream, offset, data in parts:
        if address not in over:
            continue
        before = whole[address].get(stream, b"")
        if offset != len(before) or offset + len(data) > most:
            broken.add(address)
        whole[address][stream] = before + data if before else data
    found = {address: streams for address, streams in whole.items() if address not in broken}
    return found, [part for part in parts if part[0] not in found]


def create(path: str, content: bytes) -> bool:
    """Write a new file; False if there is one. Raises `OSError`; then nothing is left of it.

    Killed in between it leaves a file without its first bytes, which readers take for none, and a repetition replaces.
    """
    try:
        fd = _new(path)
    except FileNotFoundError:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return create(path, content)
    except FileExistsError:
        return False
    try:
        write(fd, content[_FIRST:], _FIRST)
        write(fd, content[:_FIRST], 0)
    except OSError:
        Path(path).unlink()
        raise
    finally:
        os.close(fd)
    return True


def _new(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
