"""What was heard of jobs that have not ended, in this life of the engine only: the logs and the queue tell it again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nunatak.engines.htcondor.bindings import Job
from nunatak.engines.htcondor.events import Seen, Word

ONE_START = 2.0
"""Seconds between what the log and the queue say of one beginning: they have clocks of their own."""


@dataclass(frozen=True, slots=True)
class Left:
    """A job that left its node without coming to an end, and what was said of it."""

    home: str
    seen: Seen


class Lives:
    """Where jobs began, which were found again, which left their nodes, and which are to be removed."""

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self.unwanted: set[Job] = set()
        self.leftover: set[Job] = set()  # removed, and still there for their files
        self._began: dict[str, str] = {}  # where jobs began, by home, of whose beginning a log spoke
        self._rejoined: set[str] = set()  # the homes of jobs whose node was found again
        self._leaving: dict[Job, tuple[Left, float]] = {}  # off their nodes, not ended yet, and until when

    def begin(self, job: Job) -> None:
        """Forget what was heard of an earlier job of this number: a queue that was wiped counts from 1 again."""
        self.unwanted.discard(job)
        self.leftover.discard(job)
        self._leaving.pop(job, None)

    def end(self, job: Job) -> None:
        """Wait for nothing more to be said of a job that left its node."""
        self._leaving.pop(job, None)

    def forget(self, home: str) -> None:
        """Forget a job whose attempts are forgotten."""
        self._began.pop(home, None)
        self._rejoined.discard(home)

    def part(self, home: str) -> None:
        """Note that the node of a job was lost."""
        self._rejoined.discard(home)

    def rejoin(self, home: str) -> None:
        """Note that it was found again."""
        self._rejoined.add(home)

    def told(self, home: str, place: str, *, read: bool) -> float:
        """Take in that a job began; return for how many seconds after its beginning that is the same beginning.

        A log (`read`) speaks once of each beginning, so that of two any time between them tells that the job was begun
        again. But a schedd that was killed before it had noted the beginning has it told again when it has found the
        node again.
        """
        same = ONE_START if home not in self._began else 0.0
        if home in self._rejoined and self._began.get(home, place) == place:
            same = float("inf")
        if read:
            self._began[home] = place
            self._rejoined.discard(home)
        return same

    def leave(self, item: Left, until: float) -> None:
        """Note that a job left its node: until then more may be said. An eviction may turn out to be a hold or a removal."""
        job, word = item.seen.job, item.seen.word
        known = self._leaving.get(job)
        if known and (word is Word.EVICTED or known[0].seen.word is not Word.EVICTED):
            return
        cpu = known[0].seen.cpu if known else item.seen.cpu
        self._leaving[job] = replace(item, seen=replace(item.seen, cpu=cpu)), until

    def left(self, now: float) -> list[Left]:
        """Return jobs that left their nodes and of which no more is to be heard."""
        return [item for item, until in self._leaving.values() if now >= until]
