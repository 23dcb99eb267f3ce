"""What happens on a signal: noted always, raised where the worker waits for files, and a wake-up for the event loop."""

import os

from .signals import SIGNALS, name_of, signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List


class Stopped(Exception):  # noqa: N818
    """The worker was told to stop while it waited for something."""


class Stopping:
    """The signals of this process; one for each."""

    def __init__(self) -> None:
        """Start with nothing asked."""
        self.asked: "List[int]" = []
        self.wakeup = -1
        self._raising = False

    def install(self) -> None:
        """Take over the signals, which are blocked up to here; `wakeup` becomes readable on each."""
        self.wakeup, write = os.pipe()
        os.set_blocking(self.wakeup, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for signum in SIGNALS:
            if signal.getsignal(signum) is not signal.SIG_IGN:
                signal.signal(signum, self._note)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _note(self, signum: int, _frame: "Any") -> None:
        self.asked.append(signum)
        if self._raising:
            self._raising = False
            raise Stopped

    def __enter__(self) -> None:
        """Within, a signal raises `Stopped`."""
        self._raising = True
        if self.asked:
            self._raising = False
            raise Stopped

    def __exit__(self, *_: object) -> None:
        """Note signals only, from here."""
        self._raising = False

    def name(self) -> str:
        """Return the name of the first signal."""
        return name_of(self.asked[0]) if self.asked else ""
