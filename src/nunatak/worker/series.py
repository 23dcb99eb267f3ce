"""A series: attempts that one worker runs one after the other, each in a sandbox and an inner process of its own.

Who begins an attempt makes the file `begun` in its sandbox first, and only one can: so nothing runs twice, and whoever
looks knows what was begun. An attempt is over before the next one's `begun` is there.
"""

import errno
import os
import sys

from . import document, outer, record
from .signals import name_of, signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List

FORMAT = 1
_GONE = (errno.EEXIST, errno.ENOENT, errno.ENOTDIR)


def read(path: str) -> "List[str]":
    """Return the sandboxes of the order of a series, absolute. Raises `ValueError` with a sentence."""
    try:
        with open(path, "rb") as stream:
            plain = document.load(stream.read())
    except (OSError, ValueError) as error:
        raise ValueError("{} cannot be used: {}".format(path, error)) from error
    members = plain.get("members") if isinstance(plain, dict) and plain.get("format") == FORMAT else None
    if not isinstance(members, list) or not all(
        isinstance(name, str) and name and "\0" not in name for name in members
    ):
        raise ValueError("{} cannot be used: expected format {} and a list of members".format(path, FORMAT))
    here = os.path.dirname(path)
    return [os.path.normpath(os.path.join(here, name)) for name in members]


def run(members: "List[str]", cache: str, keep: bool, grace: float, relay: "outer.Relay", live: bool = False) -> int:
    """Run all that nobody else has begun, in order; return the worst exit code of any.

    Told to stop, it ends the one that runs and says of the rest that they were not begun.
    """
    from . import attempt  # noqa: F401 - once, here, and not in each of the inner processes

    worst = 0
    for number, sandbox in enumerate(members):
        if relay.asked:
            _leave(members[number:], "its series was told to stop by {} before it began".format(name_of(relay.asked)))
            break
        stop = os.path.join(sandbox, "stop.json")
        relay.skipped = 0
        signal.signal(outer.SKIP, _skipper(stop, relay))
        if not _begin(sandbox):
            continue
        if os.path.exists(stop):
            record.epitaph(sandbox, "terminated", "told to stop before it began")
            continue
        worst = max(worst, outer.run(sandbox, cache, keep, grace, relay, live))
    return worst


def _skipper(stop: str, relay: "outer.Relay") -> "Any":
    """Return what to do when told to look for a stop: one that came too late must not end the next attempt."""

    def look(_signum: int, _frame: "Any") -> None:
        if os.path.exists(stop):
            relay.skip()

    return look


def _begin(sandbox: str) -> bool:
    """Make the file `begun`; False if it is there, or the sandbox is not. Raises `OSError` where no file can be made."""
    try:
        os.close(os.open(os.path.join(sandbox, "begun"), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    except OSError as error:
        if error.errno in _GONE:
            return False
        raise
    return True


def _leave(sandboxes: "List[str]", message: str) -> None:
    """Write for attempts that were not begun that they were not."""
    for sandbox in sandboxes:
        try:
            if not os.path.exists(os.path.join(sandbox, "begun")):
                record.epitaph(sandbox, "unbegun", message)
        except OSError as error:
            sys.stderr.write("nunatak-worker: no outcome could be written: {}\n".format(error))
