"""Runs commands one after the other: pumps their logs, measures them, holds them to their limits, ends them."""

import os
import select
import time

from . import process
from .failure import Failure, amount
from .signals import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, List, Optional, Tuple

    from .gpu import GpuMeter
    from .logs import CappedLog
    from .meter import Meter
    from .stopping import Stopping

_FIRST, _GROWTH, _LAST = 0.05, 1.3, 1.0  # seconds between samples
_SAVED, _SAVED_NEAR = 2.0, 0.5  # seconds after which they are saved, and where the memory asked for may soon run out


class Limits:
    """What the commands may use together; 0 = no limit. `grace` is the time between SIGTERM and SIGKILL."""

    def __init__(self, time: float = 0, memory: int = 0, disk: int = 0, grace: float = 10.0) -> None:
        """Time in seconds, memory and disk in bytes."""
        self.time = time
        self.memory = memory
        self.disk = disk
        self.grace = grace


class Supervisor:
    """The payload of one attempt; used from one thread."""

    def __init__(
        self,
        logs: "Tuple[CappedLog, CappedLog]",
        meter: "Meter",
        limits: Limits,
        stopping: "Stopping",
        save: "Callable[[], None]",
    ) -> None:
        """Print to `logs` (stdout, stderr); `save` is called now and then with new figures in the meter."""
        self.meter = meter
        self.limits = limits
        self.stopping = stopping
        self.save = save
        self.gpu: "Optional[GpuMeter]" = None
        self._ending: "Optional[Failure]" = None
        self._kill_at = 0.0
        self._began = time.monotonic()
        self._ended: "Dict[int, int]" = {}
        self._poll = select.poll()
        self._logs: "Dict[int, CappedLog]" = {}
        self._write: "List[int]" = []
        self._saved = 0.0
        for log in logs:
            read, write = os.pipe()
            os.set_blocking(read, False)
            self._logs[read] = log
            self._write.append(write)
            self._poll.register(read, select.POLLIN)
        self._poll.register(stopping.wakeup, select.POLLIN)

    def watch_gpu(self, gpu: "GpuMeter") -> None:
        """Take the figures of `gpu` too."""
        self.gpu = gpu
        self.meter.strangers.add(gpu.pid)
        self._poll.register(gpu.fd, select.POLLIN)

    def run(self, path: str, argv: "List[str]", env: "Dict[str, str]", cwd: str, stdin: str) -> int:
        """Run one command to its end and return its wait status.

        Raises `OSError` if it cannot be started, `Failure` if it was ended for a limit or a signal.
        """
        self.meter.starting()
        source = os.open(stdin or os.devnull, os.O_RDONLY)
        try:
            pid = process.spawn(path, argv, env, cwd, source, self._write[0], self._write[1])
        finally:
            os.close(source)
        self._wait(pid)
        self._drain()
        if self._ending is not None:
            raise self._ending
        return self._ended[pid]

    def finish(self) -> int:
        """End whatever is left, read the last of the logs; return how many processes could not be ended."""
        if process.signal_all(signal.SIGTERM):
            end = time.monotonic() + (self.limits.grace if self._ending else min(0.5, self.limits.grace))
            while time.monotonic() < end and len(self.stopping.asked) < 2 and self._reap():
                self._pump(0.02)
        left = process.kill_rest()
        self._drain()
        for fd in [*self._write, *self._logs]:
            os.close(fd)
        for log in self._logs.values():
            log.close()
        self.meter.sample_disk(always=True)
        return left

    def _wait(self, pid: int) -> None:
        """The loop: logs, signals, samples, limits, until the command has ended."""
        pause = _FIRST
        look = time.monotonic() + pause
        while self._reap() and pid not in self._ended:
            now = time.monotonic()
            if self.stopping.asked:
                self._stop(Failure("terminated", "told to stop by " + self.stopping.name()))
            if now >= look:
                self._look(now)
                pause = min(pause * _GROWTH, 0.1 if self._near or self._ending else _LAST)
                look = now + pause
            self._hold_to_time(now)
            self._pump(max(0.0, self._next(look) - time.monotonic()))
        self.meter.wall = time.monotonic() - self._began

    def _next(self, look: float) -> float:
        if self._ending is not None:
            return min(look, self._kill_at)
        return min(look, self._began + self.limits.time) if self.limits.time else look

    def _hold_to_time(self, now: float) -> None:
        if self._ending is None and self.limits.time and now - self._began >= self.limits.time:
            asked = "ran longer than the {:g} s asked for".format(self.limits.time)
            self._stop(Failure("time", asked))
        if self._ending is not None and (now >= self._kill_at or len(self.stopping.asked) > 1):
            process.signal_all(signal.SIGKILL)
            self._kill_at = now + 1.0

    def _look(self, now: float) -> None:
        """Take a sample, and hold it against the limits."""
        meter, limits = self.meter, self.limits
        meter.sample()
        meter.sample_disk()
        meter.wall = now - self._began
        meter.mark()
        if now - self._saved >= (_SAVED_NEAR if self._near else _SAVED):
            self._saved = now
            self.save()
        if limits.memory and meter.memory > limits.memory:
            self._over("memory", meter.memory, limits.memory)
        elif limits.disk and meter.disk > limits.disk:
            self._over("disk", meter.disk, limits.disk)

    @property
    def _near(self) -> bool:
        """Tell whether the memory asked for is nearly used: what kills for it gives no time to say anything."""
        return bool(self.limits.memory) and self.meter.memory > 0.6 * self.limits.memory

    def _over(self, what: str, used: int, asked: int) -> None:
        text = "used {} of {}, {} was asked for".format(amount(used), what, amount(asked))
        self._stop(Failure(what, text))
        if used > 1.5 * asked:  # it goes on growing: the node comes before politeness
            self._kill_at = 0.0

    def _stop(self, failure: Failure) -> None:
        """Ask everything to end; the first reason is the one that counts."""
        if self._ending is None:
            self._ending = failure
            self._kill_at = time.monotonic() + self.limits.grace
            process.signal_all(signal.SIGTERM)

    def _reap(self) -> bool:
        """Collect every process that has ended, adopted orphans too; tell whether any is left."""
        try:
            while True:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
                if not pid:
                    return True
                self._ended[pid] = status
                self.meter.ended(pid, usage)
        except ChildProcessError:
            return False

    def _pump(self, timeout: float) -> None:
        for fd, _ in self._poll.poll(timeout * 1000 + 1):
            self._read(fd)

    def _drain(self) -> None:
        """Read all that is in the pipes now."""
        for fd in self._logs:
            while self._read(fd):
                pass

    def _read(self, fd: int) -> int:
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return 0
        if fd in self._logs:
            self._logs[fd].write(data)
        elif self.gpu is not None and fd == self.gpu.fd:
            if not data:
                self._poll.unregister(fd)
            self.gpu.take(data)
            self.meter.gpu = self.gpu.seconds
        return len(data)
