"""The command `nunatak-worker SANDBOX`: two processes, of which the outer one outlives whatever happens to the inner.

The inner process does the work. The outer one passes signals on, and, if the inner one is killed, ends what is left of
the payload and still writes an outcome. If the outer one is killed, the inner one ends the payload at once.
"""

import os
import sys

from . import process
from .signals import SIGNALS, name_of, signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional

USAGE = "usage: nunatak-worker SANDBOX [--cache DIR] [--keep] [--grace SECONDS]"
_ORPHANED = signal.SIGUSR2


class Options:
    """What the command line asks for."""

    def __init__(self, words: "List[str]") -> None:
        """Read it. Raises `ValueError` with a sentence."""
        places = []
        self.keep, self.cache, self.grace = False, "", 10.0
        words = list(words)
        while words:
            word = words.pop(0)
            name, equals, value = word.partition("=")
            if word == "--keep":
                self.keep = True
            elif name in ("--cache", "--grace"):
                if not equals and not words:
                    raise ValueError(name + " needs a value")
                self._set(name, value if equals else words.pop(0))
            elif word.startswith("-"):
                raise ValueError("no option " + word)
            else:
                places.append(word)
        if len(places) != 1:
            raise ValueError("expected one SANDBOX")
        self.sandbox = os.path.abspath(places[0])
        self.cache = os.path.abspath(self.cache or os.path.join(self.sandbox, "cache"))

    def _set(self, name: str, value: str) -> None:
        if name == "--cache":
            self.cache = value
        else:
            self.grace = float(value)


def main(words: "Optional[List[str]]" = None) -> "None":
    """Run one attempt; ends the process with 0 when an outcome was written."""
    words = sys.argv[1:] if words is None else words
    if words in (["-h"], ["--help"]):
        sys.stdout.write(USAGE + "\n")
        return
    try:
        options = Options(words)
        if not os.path.isdir(options.sandbox):
            raise ValueError("there is no directory " + options.sandbox)
    except ValueError as error:
        sys.stderr.write("nunatak-worker: {}\n{}\n".format(error, USAGE))
        sys.exit(2)
    code = _outer(options)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # there is nothing to tidy, and the interpreter takes milliseconds to


class Relay:
    """Passes signals to the inner process, and notes the first."""

    def __init__(self) -> None:
        """Start without one."""
        self.inner = 0
        self.asked = 0

    def __call__(self, signum: int, _frame: "Any") -> None:
        """Pass one on."""
        self.asked = self.asked or signum
        if self.inner:
            try:
                os.kill(self.inner, signum)
            except OSError:
                pass


def _outer(options: Options) -> int:
    while os.open(os.devnull, os.O_RDWR) < 3:  # so that no pipe becomes a standard stream
        pass
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # whoever started us may have it ignored, or signals blocked
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    process.become_reaper()
    relay = Relay()
    for signum in SIGNALS:
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, relay)
    outer = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until each of the two knows what to do with them
    pid = os.fork()
    if pid == 0:
        _inner(options, outer)
    relay.inner = pid
    if relay.asked:
        os.kill(pid, relay.asked)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    found, status = 0, 0
    while found != pid:
        found, status = os.waitpid(-1, 0)
    process.kill_rest()
    if os.WIFEXITED(status):
        return os.WEXITSTATUS(status)
    return _survive(options, os.WTERMSIG(status), relay.asked)


def _survive(options: Options, signum: int, asked: int) -> int:
    """Say in the place of the inner process what became of it."""
    from . import record
    from .clear import clear

    reason = "terminated" if asked else "lost"
    message = "told to stop by " + name_of(asked) if asked else "the worker was killed by " + name_of(signum)
    if signum == signal.SIGKILL and not asked:
        message += "; the node's memory may have run out"
    try:
        record.epitaph(options.sandbox, reason, message)
    except OSError as error:
        sys.stderr.write("nunatak-worker: no outcome could be written: {}\n".format(error))
        return 1
    if not options.keep:
        for name in ("work", "tmp", "bin"):
            clear(os.path.join(options.sandbox, name))
    return 0


def _inner(options: Options, outer: int) -> None:
    """Do the work, in a process group of its own so that signals come by the outer process only. Never returns."""
    code = 1
    try:
        os.setpgid(0, 0)
        signal.signal(_ORPHANED, lambda *_: _give_up(outer))
        process.become_reaper()
        process.die_with_parent(_ORPHANED)
        _give_up(outer)
        from . import attempt

        code = attempt.perform(options.sandbox, options.cache, options.keep, options.grace)
    except OSError as error:
        sys.stderr.write("nunatak-worker: no outcome could be written: {}\n".format(error))
    except BaseException:  # noqa: BLE001 - nothing may come up into the outer process's code
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _give_up(outer: int) -> None:
    """End at once with the whole payload, if the outer process is gone: nobody is left to report to."""
    if os.getppid() != outer:
        process.kill_rest(5.0)
        os._exit(1)
