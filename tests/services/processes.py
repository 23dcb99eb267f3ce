"""Processes of this machine as `/proc` tells of them: those below one, their names, and when each began."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path


def begun(pid: int) -> int:
    """Return when a process began, in ticks since the machine did; 0 if it is gone, or dead and not buried."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] != "Z" else 0


def program(pid: int) -> str:
    """Return the name of the program that a process runs, of which the kernel keeps 15 letters."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def below(root: int) -> list[int]:
    """Return the children of a process, theirs, and so on."""
    processes = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    parents = {pid: int(fields[1]) for pid in processes if (fields := _stat(pid))}
    found, level = [], {root}
    while level:
        level = {pid for pid, parent in parents.items() if parent in level}
        found += sorted(level)
    return found


def stand_still(pid: int) -> None:
    """Stop a process, so that it begins no other any more; returns when it stands still or is gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    end = time.monotonic() + 60
    while begun(pid) and _stat(pid)[:1] != ["T"]:
        if time.monotonic() > end:
            raise RuntimeError(f"process {pid} does not stand still")
        time.sleep(0.01)


def reap(pid: int) -> bool:
    """Bury a process, if it is a child of this one that has died; tell whether it is not a child any more."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
