"""Starts processes, finds all that came of them, and ends them; Linux."""

import errno
import os
import time

from .signals import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Set

_PDEATHSIG, _CHILD_SUBREAPER = 1, 36  # prctl(2)
_libc: "List[Any]" = []


def _prctl(option: int, value: int) -> bool:
    if not _libc:
        try:
            import ctypes

            _libc.append(ctypes.CDLL(None))
        except (ImportError, OSError):
            _libc.append(None)
    if _libc[0] is None:
        return False
    try:
        return bool(_libc[0].prctl(option, value, 0, 0, 0) == 0)
    except AttributeError:
        return False


def become_reaper() -> bool:
    """Become the parent of every orphan below, so that none is lost; False where the system cannot."""
    return _prctl(_CHILD_SUBREAPER, 1)


def die_with_parent(signum: int) -> None:
    """Have `signum` sent to this process when its parent ends."""
    _prctl(_PDEATHSIG, signum)


def children(pid: int) -> "List[int]":
    """Return the living and dead children of a process; none if it is gone."""
    found: "List[int]" = []
    task = "/proc/{}/task".format(pid)
    try:
        for thread in os.listdir(task):
            with open("{}/{}/children".format(task, thread), "rb", 0) as stream:
                found.extend(int(word) for word in stream.read().split())
    except OSError as error:
        if error.errno == errno.ENOENT and os.path.isdir(task):
            return _children_by_scan(pid)
    return found


def _children_by_scan(parent: int) -> "List[int]":
    """Find children on a kernel that keeps no list of them."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/{}/stat".format(name), "rb", 0) as stream:
                    if int(stream.read().rpartition(b")")[2].split()[1]) == parent:
                        found.append(int(name))
            except OSError:
                continue
    return found


def descendants(root: int, without: "Optional[Set[int]]" = None) -> "List[int]":
    """Return all processes below `root`, parents before children; those of `without` are left out."""
    found: "List[int]" = []
    seen = {root} | (without or set())
    level = [root]
    while level:
        level = [child for pid in level for child in children(pid) if child not in seen]
        seen.update(level)
        found.extend(level)
    return found


def signal_all(signum: int) -> int:
    """Send a signal to everything below this process; return to how many."""
    found = descendants(os.getpid())
    for pid in found:
        try:
            os.kill(pid, signum)
            if signum == signal.SIGTERM:
                os.kill(pid, signal.SIGCONT)  # a stopped process would not hear it
        except OSError:
            continue
    return len(found)


def kill_rest(patience: float = 30.0) -> int:
    """Kill and reap everything below this process; return how many still live after `patience` seconds."""
    end = time.monotonic() + patience
    pause = 0.0005
    while True:
        signal_all(signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return 0
        if time.monotonic() > end:
            return len(descendants(os.getpid()))
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def spawn(path: str, argv: "List[str]", env: "Dict[str, str]", cwd: str, stdin: int, stdout: int, stderr: int) -> int:
    """Start a program in a session of its own, to die with this process; return its pid. Raises `OSError`."""
    told, tell = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(path, argv, env, cwd, (stdin, stdout, stderr), tell, parent)
    os.close(tell)
    try:
        word = os.read(told, 16)
    finally:
        os.close(told)
    if word:
        os.waitpid(pid, 0)
        raise OSError(int(word), os.strerror(int(word)), path)
    return pid


def _become(
    path: str, argv: "List[str]", env: "Dict[str, str]", cwd: str, files: "Any", tell: int, parent: int
) -> None:
    try:
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGUSR2):
            signal.signal(signum, signal.SIG_DFL)
        os.setsid()
        die_with_parent(signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(127)
        for target, source in enumerate(files):
            os.dup2(source, target)
        os.chdir(cwd)
        os.execve(path, argv, env)  # noqa: S606
    except OSError as error:
        os.write(tell, str(error.errno).encode())
    finally:
        os._exit(127)
