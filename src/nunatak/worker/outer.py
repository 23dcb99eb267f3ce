"""The outer process of a worker: passes signals on, ends what an inner process leaves, speaks for one that was killed."""

import os
import sys

from . import process
from .signals import SIGNALS, name_of, signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SKIP = signal.SIGUSR1
"""Sent to the worker of a series: the member that runs has a `stop.json` now, and is to end alone."""
_ORPHANED = signal.SIGUSR2


class Relay:
    """Passes signals to the inner process, and notes the first."""

    def __init__(self) -> None:
        """Start without one."""
        self.inner = 0
        self.asked = 0  # the signal by which all was told to stop
        self.skipped = 0  # SIGTERM, if only the present attempt was

    def install(self) -> None:
        """Take over the signals, save those that whoever started us has ignored."""
        for signum in SIGNALS:
            if signal.getsignal(signum) is not signal.SIG_IGN:
                signal.signal(signum, self)

    def __call__(self, signum: int, _frame: "Any") -> None:
        """Pass one on."""
        self.asked = self.asked or signum
        self.pass_on(signum)

    def skip(self) -> None:
        """Tell only the present attempt to stop."""
        self.skipped = signal.SIGTERM
        self.pass_on(signal.SIGTERM)

    def pass_on(self, signum: int) -> None:
        """Send a signal to the inner process, if there is one."""
        if self.inner:
            try:
                os.kill(self.inner, signum)
            except OSError:
                pass


def prepare() -> Relay:
    """Make this process fit to be the outer one."""
    while os.open(os.devnull, os.O_RDWR) < 3:  # so that no pipe becomes a standard stream
        pass
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # whoever started us may have it ignored, or signals blocked
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    process.become_reaper()
    relay = Relay()
    relay.install()
    return relay


def run(sandbox: str, cache: str, keep: bool, grace: float, relay: Relay, live: bool = False) -> int:
    """Run one attempt in an inner process to its end, and end all that is left of it; return 0 if there is an outcome.

    With `live` another process tells of its logs meanwhile.
    """
    outer = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until each of the two knows what to do with them
    pid = os.fork()
    if pid == 0:
        _inner(sandbox, cache, keep, grace, outer)
    relay.inner = pid
    if live:
        from . import telling

        telling.start(sandbox)
    if relay.asked or relay.skipped:
        os.kill(pid, relay.asked or relay.skipped)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    found, status = 0, 0
    while found != pid:
        found, status = os.waitpid(-1, 0)
    relay.inner = 0
    process.kill_rest()
    if os.WIFEXITED(status):
        return os.WEXITSTATUS(status)
    return _survive(sandbox, keep, os.WTERMSIG(status), relay.asked or relay.skipped)


def _survive(sandbox: str, keep: bool, signum: int, asked: int) -> int:
    """Say in the place of the inner process what became of it."""
    from . import record
    from .clear import clear

    reason = "terminated" if asked else "lost"
    message = "told to stop by " + name_of(asked) if asked else "the worker was killed by " + name_of(signum)
    if signum == signal.SIGKILL and not asked:
        message += "; the node's memory may have run out"
    try:
        record.epitaph(sandbox, reason, message)
    except OSError as error:
        sys.stderr.write("nunatak-worker: no outcome could be written: {}\n".format(error))
        return 1
    if not keep:
        for name in ("work", "tmp", "bin"):
            clear(os.path.join(sandbox, name))
    return 0


def _inner(sandbox: str, cache: str, keep: bool, grace: float, outer: int) -> None:
    """Do the work, in a process group of its own so that signals come by the outer process only. Never returns."""
    code = 1
    try:
        os.setpgid(0, 0)
        signal.signal(_ORPHANED, lambda *_: _give_up(outer))
        process.become_reaper()
        process.die_with_parent(_ORPHANED)
        _give_up(outer)
        from . import attempt

        code = attempt.perform(sandbox, cache, keep, grace)
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
