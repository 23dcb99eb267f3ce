"""Where the files of a log are, and what is said when the disk under them fails."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from nunatak.core.address import Address, parse
from nunatak.core.errors import Invalid, Unavailable
from nunatak.tasks.logs.packed import DAMAGE

COURSE = "course"
STREAMS = ("stdout", "stderr", COURSE)
SCRIPT = "script"
FILES = (*STREAMS, SCRIPT)
"""What is kept of an attempt: what it wrote, what it used over time, and what was submitted for it."""


def path_of(root: Path, address: Address, stream: str) -> Path:
    """Return where a log is, without its suffix; a directory has the logs of at most 100 jobs. Raises `Invalid`."""
    return Path(name_of(root, address, stream))


def name_of(root: Path, address: Address, stream: str) -> str:
    """Return the same as text. Raises `Invalid`."""
    if stream not in FILES:
        raise Invalid(f"{stream!r} is not a log", code="bad-stream", hint="stdout, stderr, course or script")
    return f"{_stem(root, address)}.{stream}"


@lru_cache(maxsize=8192)
def _stem(root: Path, address: Address) -> str:
    checked = parse(str(address))
    if checked.level != "attempt":
        raise Invalid(f"{address} is not an attempt", code="bad-address", hint="write 42/17/propagate#2")
    dataset = f"{root}/logs/{checked.dataset // 1000}/{checked.dataset}"
    if checked.job is None:
        return f"{dataset}/once/{checked.task}.{checked.attempt}"
    group = f"{checked.job // 10_000}/{checked.job // 100 % 100}"
    return f"{dataset}/{group}/{checked.job}.{checked.task}.{checked.attempt}"


def is_live(name: str) -> bool:
    """Tell whether a log grows, by its name."""
    return os.access(f"{name}.live", os.F_OK)


def is_packed(name: str) -> bool:
    """Tell whether there is a compressed log, by its name."""
    return os.access(f"{name}.gz", os.F_OK)


def live_of(path: Path) -> Path:
    """Return the file of a log that grows."""
    return path.with_name(path.name + ".live")


def packed_of(path: Path) -> Path:
    """Return the file of a log that is compressed."""
    return path.with_name(path.name + ".gz")


@contextmanager
def disk() -> Iterator[None]:
    """Raise what the operating system says as `Unavailable`: logs can be sent again."""
    try:
        yield
    except (OSError, *DAMAGE) as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise Unavailable(
            f"the log store failed: {getattr(error, 'strerror', None) or error}",
            code="disk-full" if full else "log-store",
            hint="free space, or lower the log limit or retention" if full else "look at the disk of the server",
        ) from error
