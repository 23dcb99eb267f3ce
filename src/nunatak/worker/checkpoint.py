"""Checkpoints: what an earlier attempt kept is laid into the sandbox, and what this one wrote is kept if it cannot go on."""

import os
import time

from . import stage, transfer
from .failure import Failure
from .signals import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional, Tuple

    from .record import Talk
    from .spec import Checkpoint

CUT_SHORT = ("terminated", "time", "memory", "disk", "signal", "stage-out")
"""Reasons after which the program was stopped rather than wrong."""
URGENT = ("terminated", "time")
"""Reasons after which whoever stops the worker does not wait for long."""


class Late(Exception):  # noqa: N818
    """There was no more time to store it."""


class Keeper:
    """The checkpoint of one attempt."""

    def __init__(self, order: "Checkpoint", work: str, base: str, log: "Talk") -> None:
        """Begin with nothing brought; relative URLs are below `base`."""
        self.order, self.work, self.base, self.log = order, work, base, log
        self.began = time.time()
        self._first: "Optional[Tuple[int, int, int]]" = None

    def bring(self) -> "Optional[Dict[str, Any]]":
        """Lay what an earlier attempt kept into the sandbox; return its record.

        None if there is none or it is not what it was: then the task begins anew, which is no failure.
        """
        if self.order.before is None:
            return None
        try:
            found = stage.bring_back(self.order.before, self.work, self.base)
        except Failure as failure:
            self.log.say("the checkpoint cannot be used, beginning anew: {}".format(failure.message))
            return None
        self._first = self._mark()
        return found

    def start(self) -> None:
        """Note when the program begins: what it writes later is worth the time since then."""
        self.began = time.time()

    def keep(self, seconds: float, wall: "Optional[float]") -> "Optional[Dict[str, Any]]":
        """Store the file if the program wrote it in this attempt, within `seconds` (0: as long as it takes).

        Returns its record with `saved`, the seconds from the start of the program to the last write, at most `wall`. None if
        there is nothing to keep or it could not be kept.
        """
        mark = self._mark()
        if mark is None or mark == self._first:
            return None
        try:
            with _Alarm(seconds):
                record = stage.keep(self.order.name, self.order.url, self.work, self.base)
        except (Late, Failure, transfer.Gone, transfer.Wrong, OSError) as error:
            self.log.say("the checkpoint could not be kept: {}".format(str(error) or "there was no time"))
            return None
        saved = max(0.0, mark[2] / 1e9 - self.began)
        return dict(record, saved=round(saved if wall is None else min(saved, wall), 3))

    def _mark(self) -> "Optional[Tuple[int, int, int]]":
        """Return what changes when the file is written: inode, size, time (ns)."""
        try:
            found = os.stat(os.path.join(self.work, self.order.name))
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns


class _Alarm:
    """Raises `Late` within it when the seconds are over."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __enter__(self) -> None:
        if self.seconds:
            signal.signal(signal.SIGALRM, _late)
            signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def __exit__(self, *_: object) -> None:
        if self.seconds:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _late(_signum: int, _frame: "Any") -> None:
    raise Late
