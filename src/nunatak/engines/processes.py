"""Start workers detached, know them again after a restart, and find and end everything they started. Linux only.

A worker leads a session of its own, so it outlives the engine. It is known by process id, start time and boot, so that
a reused process id is not mistaken for it, and watched through a pidfd, which works for children and adopted alike.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

MARK = "NUNATAK_SANDBOX"
"""The environment variable by which the processes of an attempt are found after their worker died."""
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_DEFAULTS = [signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD]


def since_boot() -> float:
    """Return seconds since boot, the scale of process start times; nobody can set this clock back."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Return what identifies this run of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True, slots=True)
class Process:
    """One process, never to be mistaken for another: `ticks` is its start in clock ticks since boot."""

    pid: int
    ticks: int

    @property
    def started(self) -> float:
        """Return its start in seconds since boot."""
        return self.ticks / _TICK


@dataclass(frozen=True, slots=True)
class Seen:
    """A line of the process table; `memory` is the resident set in bytes; `over` means dead but not yet waited for."""

    process: Process
    parent: int
    session: int
    memory: int
    over: bool = False


def look(pid: int | str) -> Seen | None:
    """Return what /proc/PID/stat says (proc_pid_stat(5)); None if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The name, in brackets, may itself hold spaces and brackets: count from the last one.
    fields = text[text.rindex(b")") + 2 :].split()
    return Seen(
        process=Process(int(pid), ticks=int(fields[19])),
        parent=int(fields[1]),
        session=int(fields[3]),
        memory=int(fields[21]) * _PAGE,
        over=fields[0] in (b"Z", b"X"),
    )


class Table:
    """The processes of this machine at one moment."""

    def __init__(self, lines: Iterable[Seen]) -> None:
        """Order the lines by process and by parent; leave out those that are over."""
        self.processes = {seen.process.pid: seen for seen in lines if not seen.over}
        self._children: dict[int, list[int]] = {}
        for pid, seen in self.processes.items():
            self._children.setdefault(seen.parent, []).append(pid)

    @classmethod
    def now(cls) -> Table:
        """Read the process table; costs some 20 microseconds a process."""
        found = (look(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
        return cls(seen for seen in found if seen)

    def family(self, worker: Process, also: Iterable[Process] = ()) -> set[Process]:
        """Return the worker, its session, their descendants, and those of `also` that are still there with theirs.

        `also` are members seen before, who stay members when their parent dies and init takes them over.
        """
        taken_over = worker.pid in self.processes and not self._has(worker)
        todo = [process.pid for process in also if self._has(process)]
        if not taken_over:
            todo += [pid for pid, seen in self.processes.items() if worker.pid in (pid, seen.session)]
        members = set[int]()
        while todo:
            pid = todo.pop()
            if pid not in members:
                members.add(pid)
                todo += self._children.get(pid, ())
        return {self.processes[pid].process for pid in members}

    def memory(self, members: Iterable[Process]) -> int:
        """Return the sum of the resident sets of `members`, in bytes."""
        return sum(self.processes[process.pid].memory for process in members if self._has(process))

    def marked(self, sandbox: Path) -> set[Process]:
        """Return the processes with a variable that leads to `sandbox`: the mark, or a TMPDIR or HOME below it.

        PWD and OLDPWD do not count: a person may look around there. The processes of other users are unreadable.
        """
        place = os.fsencode(sandbox)
        return {
            seen.process
            for pid, seen in self.processes.items()
            if any(
                (value == place or value.startswith(place + b"/")) and name not in (b"PWD", b"OLDPWD")
                for name, _, value in (word.partition(b"=") for word in _words(pid, "environ"))
            )
        }

    def worker_of(self, order: str) -> Process | None:
        """Return the worker that was started for a sandbox or a series, found by its arguments."""
        word = os.fsencode(order)
        leaders = (seen for pid, seen in self.processes.items() if seen.session == pid)
        return next((seen.process for seen in leaders if word in _words(seen.process.pid, "cmdline")), None)

    def _has(self, process: Process) -> bool:
        return process.pid in self.processes and self.processes[process.pid].process == process


def _words(pid: int, name: str) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().split(b"\0")
    except OSError:
        return []


def spawn(argv: tuple[str, ...], environ: Mapping[str, str], log: Path) -> Process:
    """Start a process in a session of its own, with nothing of ours open; its own talk goes to `log`. Raises `OSError`.

    posix_spawn does not copy this process, so a start costs the same in a small engine and in a large server.
    """
    pid = os.posix_spawnp(
        argv[0],
        argv,
        environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=_DEFAULTS,
    )
    seen = look(pid)  # a child is there until it is waited for
    return seen.process if seen else Process(pid, 0)


def watch(process: Process) -> int | None:
    """Return a pidfd, readable when `process` ends; None if it is gone already. The caller closes it."""
    try:
        watched = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    seen = look(process.pid)
    if seen is None or seen.process != process:
        os.close(watched)
        return None
    return watched


def last_words(watched: int) -> str:
    """Take leave of an ended process by its pidfd and say how it ended, as far as one can know."""
    try:
        result = os.waitid(os.P_PIDFD, watched, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return "how it ended is not known, since the engine was restarted meanwhile"
    if result is None:
        return "how it ended is not known"
    if result.si_code == os.CLD_EXITED:
        return f"it exited with code {result.si_status}"
    return f"it was killed by signal {result.si_status} ({signal.strsignal(result.si_status) or 'unnamed'})"


def end(processes: Iterable[Process]) -> None:
    """Kill processes at once; a pidfd makes sure that none is hit that took over a process id."""
    for process in processes:
        watched = watch(process)
        if watched is not None:
            try:
                signal.pidfd_send_signal(watched, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
            finally:
                os.close(watched)


def ask_to_end(leader: Process) -> None:
    """Send SIGTERM to the process group of a worker, and wake it if it was stopped."""
    seen = look(leader.pid)
    if seen is None or seen.process != leader:
        return
    for number in (signal.SIGTERM, signal.SIGCONT):
        try:
            os.killpg(leader.pid, number)
        except (ProcessLookupError, PermissionError):
            return


def ask_to_skip(leader: Process) -> None:
    """Tell the worker of a series that the attempt it runs is to stop; the worker has taken over the signal by then."""
    watched = watch(leader)
    if watched is None:
        return
    try:
        for number in (signal.SIGUSR1, signal.SIGCONT):
            signal.pidfd_send_signal(watched, number)
    except (ProcessLookupError, PermissionError):
        return
    finally:
        os.close(watched)
