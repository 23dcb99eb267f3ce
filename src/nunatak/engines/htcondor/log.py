"""Reads an event log that HTCondor writes, from where it was left, whatever happens to the file.

HTCondor's own reader neither notices that a file became shorter nor gets past what it cannot read; both are seen to
here. Half an event at the end waits until it is whole.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nunatak.engines.htcondor.bindings import Condor
from nunatak.engines.htcondor.events import Seen, moment, read, speaks

MARK = 64
"""Bytes of the beginning by which a file is known again."""
TERMINATOR = b"...\n"
_LOOKED_AT = 1 << 20


@dataclass(frozen=True, slots=True)
class News:
    """What was read; `damaged` if something may have been missed, so that the queue has to be asked."""

    seen: tuple[Seen, ...] = ()
    damaged: bool = False


class EventLog:
    """One file and how far it was read; `position` and `mark` are to be kept with what was learnt."""

    def __init__(self, condor: Condor, path: Path, position: int = 0, mark: bytes = b"") -> None:
        """Begin at `position` of the file that began with `mark`."""
        self.path, self.position, self.mark = path, position, mark
        self.spoilt = False  # its beginning cannot be read, and so HTCondor's reader takes nothing of it
        self._condor = condor
        self._log: Any = None

    def size(self) -> int:
        """Return how long the file is; 0 if there is none."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def read(self, most: int) -> News:
        """Return at most `most` new events. Raises nothing: what cannot be read now is read another time."""
        damaged = self._begin_again_if_changed()
        size = self.size()
        if size <= self.position:
            return News((), damaged)
        before = self.position
        seen, failed = self._events(most)
        if not seen and self.position == before and self._skip_if_unreadable(size):
            return News((), True)
        return News(tuple(item for item in seen if item), damaged or failed)

    def close(self) -> None:
        """Let go of the file."""
        if self._log is not None:
            self._log.close()
            self._log = None

    def _begin_again_if_changed(self) -> bool:
        """Go back to the beginning of another file, or to the end of one that became shorter.

        What is left of that was read before. It is not read again: a queue that was wiped gives numbers of jobs anew.
        """
        try:
            with self.path.open("rb") as stream:
                head = stream.read(MARK)
                size = os.fstat(stream.fileno()).st_size
        except OSError:
            head, size = b"", 0
        if size >= self.position and head.startswith(self.mark):
            self.mark = head
            return False
        self.close()
        known = self.mark and head.startswith(self.mark)
        self.position, self.mark = size if known else 0, head
        return True

    def _events(self, most: int) -> tuple[list[Seen | None], bool]:
        """Return what each event says, and whether there was something that is none."""
        found: list[Seen | None] = []
        failed = False
        try:
            if self._log is None:
                self._log = self._condor.log(str(self.path), self.position)
            for event in self._log.events(0):
                found.append(read_event(event))
                if len(found) >= most:
                    break
        except Exception:  # noqa: BLE001 - the bindings raise several kinds
            failed = True
        if self._log is None:
            return found, True
        at = int(self._log.__getstate__()[1])
        failed = failed or (not found and at > self.position)  # it stepped over something by itself
        self.position = max(at, self.position)
        if failed:
            self.close()
        return found, failed

    def _skip_if_unreadable(self, size: int) -> bool:
        """Step over an event that is whole but cannot be read; tell whether there was one."""
        try:
            with self.path.open("rb") as stream:
                stream.seek(self.position)
                data = stream.read(min(_LOOKED_AT, size - self.position))  # no more than the reader has seen
        except OSError:
            return False
        self.close()
        end = 0 if data.startswith(TERMINATOR) else data.find(b"\n" + TERMINATOR) + 1
        if not data.startswith(TERMINATOR) and end == 0 and len(data) < _LOOKED_AT:
            return False
        self.spoilt = self.spoilt or self.position == 0
        self.position += end + len(TERMINATOR) if end or data.startswith(TERMINATOR) else len(data)
        return True


def read_event(event: Any) -> Seen | None:
    """Return what an event of the bindings says; None if it says nothing that matters here."""
    number = event["EventTypeNumber"]
    if not speaks(number):
        return None
    return read(number, (event.cluster, event.proc), moment(event["EventTime"]), event)
