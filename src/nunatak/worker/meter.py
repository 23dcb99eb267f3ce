"""Measures a payload's process tree from /proc, and the disk it fills, at little cost."""

import os
import time

from . import process
from .course import Course

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Set

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Meter:
    """Usage of everything below this process: wall and cpu in seconds, memory and disk in bytes, gpu in GPU seconds."""

    def __init__(self, directories: "List[str]", memory_limit: int) -> None:
        """Measure the disk under `directories`; above `memory_limit` memory is counted more exactly."""
        self.directories = directories
        self.memory_limit = memory_limit
        self.wall = 0.0
        self.memory = 0  # now
        self.disk = 0  # when last looked
        self.peak_memory = 0
        self.peak_disk = 0
        self.gpu: "Optional[float]" = None
        self.strangers: "Set[int]" = set()
        self.course = Course()
        self._reaped = 0.0
        self._cpu = 0.0
        self._own_peak = 0
        self._next_disk = 0.0

    def sample(self) -> None:
        """Look at the tree once: a few reads of /proc for each process."""
        resident, cpu, pids = 0, 0.0, []
        for pid in process.descendants(os.getpid(), self.strangers):
            found = _stat(pid)
            if found:
                resident, cpu = resident + found[1], cpu + found[0]
                pids.append(pid)
        self._cpu = max(self._cpu, self._reaped + cpu)
        if self.memory_limit and resident > self.memory_limit:
            resident = sum(_proportional(pid) for pid in pids)
        self.memory = resident
        self.peak_memory = max(self.peak_memory, resident)

    def mark(self) -> None:
        """Note what is used now, at `wall` seconds after the begin, in the course of it."""
        self.course.add(self.wall, self._cpu, self.memory, self.gpu)

    def sample_disk(self, always: bool = False) -> None:
        """Add up the files, if the last time is long enough ago for the cost."""
        start = time.monotonic()
        if start < self._next_disk and not always:
            return
        self.disk = sum(_size(directory) for directory in self.directories)
        self.peak_disk = max(self.peak_disk, self.disk)
        cost = time.monotonic() - start
        self._next_disk = start + max(0.5, 30 * cost)

    def starting(self) -> None:
        """Note this process's own size, which a fresh child shows as its own peak until it has become the payload."""
        import resource

        self._own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def ended(self, pid: int, usage: "Any") -> None:
        """Count a child that was reaped, with all it had waited for (`usage` as of wait4)."""
        if pid in self.strangers:
            return
        self._reaped += usage.ru_utime + usage.ru_stime
        self._cpu = max(self._cpu, self._reaped)
        peak = usage.ru_maxrss * 1024
        if peak > self._own_peak or not self.peak_memory:
            self.peak_memory = max(self.peak_memory, peak)

    def usage(self) -> "Dict[str, Any]":
        """Return what was measured up to now, as the outcome carries it."""
        return {
            "wall": round(self.wall, 3),
            "cpu": round(self._cpu, 3),
            "memory": self.peak_memory or None,
            "disk": self.peak_disk,
            "gpu": None if self.gpu is None else round(self.gpu, 3),
        }

    def told_over_time(self) -> "Dict[str, Any]":
        """Return its course up to now as `course`; nothing while that is too short to tell."""
        course = self.course.plain(self.wall)
        return {"course": course} if course else {}


def _stat(pid: int) -> "Any":
    """Return (cpu seconds with waited-for children, resident bytes) by proc(5), or None if it is gone."""
    try:
        with open("/proc/{}/stat".format(pid), "rb", 0) as stream:
            field = stream.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return sum(int(ticks) for ticks in field[11:15]) / _TICK, int(field[21]) * _PAGE


def _proportional(pid: int) -> int:
    """Return the proportional set size, in which pages shared by forked processes count once in all."""
    try:
        with open("/proc/{}/smaps_rollup".format(pid), "rb") as stream:
            for line in stream:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    found = _stat(pid)
    return found[1] if found else 0


def _size(directory: str) -> int:
    total = 0
    stack = [directory]
    while stack:
        try:
            for entry in os.scandir(stack.pop()):
                total += entry.stat(follow_symlinks=False).st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    stack.append(entry.path)
        except OSError:  # the payload makes and removes files meanwhile
            continue
    return total
