"""Directories of servers. Each belongs to the process that made it: what one that was killed has left, the next one ends.

Nothing but the death of a process lets go of the lock that says whose a directory is, however that came about.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_OWNER = ".owner"
_held: list[int] = []
"""The locks of this process, as file descriptors that no other program inherits."""


def directory(prefix: str, parent: Path | None = None, *, end: Callable[[Path], None] | None = None) -> Path:
    """Make a directory of this process, in that for temporary files or another.

    First `end` (kill all that name it) is called with each directory of the same prefix that nobody owns any more, and it
    is deleted.
    """
    parent = parent or Path(tempfile.gettempdir())
    for mark in parent.glob(f"{prefix}*/{_OWNER}"):
        with _orphan(mark) as left:
            if left:
                (end or kill_all)(left)
                delete(left)
    made = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    lock = os.open(made / f"{_OWNER}.new", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_EX)
    (made / f"{_OWNER}.new").rename(made / _OWNER)
    _held.append(lock)
    return made


@contextmanager
def _orphan(mark: Path) -> Iterator[Path | None]:
    """Give the directory of a mark if its owner is gone, and keep others from it meanwhile."""
    try:
        lock = os.open(mark, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield mark.parent
    finally:
        os.close(lock)


def kill_all(place: Path) -> None:
    """Kill -9 every process that names a directory in its words or variables, until there is none."""
    end = time.monotonic() + 60
    while found := [pid for pid in _pids() if _names(pid, os.fsencode(place))]:
        if time.monotonic() > end:
            raise RuntimeError(f"processes of {place} do not end: {found}")
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def delete(place: Path) -> None:
    """Delete a directory, and do not wait for it: that of a database server may have a hundred thousand files."""
    devnull = subprocess.DEVNULL
    gone = subprocess.Popen(
        ("nice", "rm", "-rf", place), stdin=devnull, stdout=devnull, stderr=devnull, start_new_session=True
    )
    gone.returncode = 0  # it may outlive this process


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and int(path.name) != os.getpid()]


def _names(pid: int, place: bytes) -> bool:
    try:
        known = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        return place in known and Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False
