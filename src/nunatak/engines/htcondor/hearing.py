"""What is heard of jobs becomes beginnings and ends of attempts: from the event logs, the queue, nodes and what came back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nunatak.core.clock import Clock
from nunatak.core.work import Outcome, Reason
from nunatak.engines.htcondor import ends
from nunatak.engines.htcondor.boxes import Boxes
from nunatak.engines.htcondor.events import ENDS, Seen, Word
from nunatak.engines.htcondor.ledger import Ledger
from nunatak.engines.htcondor.lives import Left
from nunatak.engines.htcondor.records import Attempt
from nunatak.engines.keys import Key

_TAKEN = frozenset({Word.EVICTED, Word.HELD, Word.REMOVED})
"""Ends after which files of a job that had begun may be in the schedd's spool."""
_ALSO_THERE = frozenset({Word.EVICTED, Word.REPEATED, Word.HELD, Word.CUT_OFF, Word.BROKEN})
"""Ends after which the job may still be in the queue."""
EXPLAINED = 3.0
"""Seconds that an eviction is given to turn out to be a hold or a removal."""


class Hearing:
    """Enters into the ledger what is heard; what is known already, or not ours, changes nothing."""

    def __init__(self, ledger: Ledger, boxes: Boxes, monotonic: Clock) -> None:
        """Listen for the jobs of a ledger."""
        self._ledger, self._lives, self._boxes, self._monotonic = ledger, ledger.lives, boxes, monotonic

    def learn(self, most: int) -> bool:
        """Take in at most `most` events of each log; tell whether something may have been missed."""
        damaged = False
        for news in self._ledger.logs.read(most):
            damaged = damaged or news.damaged
            for seen in news.seen:
                self.apply(seen, read=True)
        return damaged

    def apply(self, seen: Seen, *, read: bool = False) -> None:
        """Take in one event, `read` in a log or told by the queue."""
        home = seen.home if seen.word is Word.SUBMITTED else self._ledger.home_of(seen.job)
        left = self._ledger.left(home)
        if not left:
            return
        if seen.word is Word.SUBMITTED and left[0].job is None:
            self._ledger.assign(left[0], seen.job)
        elif seen.word is Word.BEGUN:
            self._begin(left, seen, read)
        elif seen.word is Word.REJOINED:
            self._lives.rejoin(home)
        elif seen.word is Word.PARTED:
            self._lives.part(home)
        elif seen.word is Word.MEASURED:
            left[0].memory = max(left[0].memory, seen.memory)
        elif seen.word in ENDS:
            self._end(left, seen)

    def heard(self, key: Key, at: float) -> bool:
        """Note that an attempt runs, which told so itself; tell whether it is known now.

        Of a series no log says when any but the first begins. One is believed as soon as its job is known to have begun.
        """
        attempt = self._ledger.attempts.get(key)
        if attempt is None:
            return False
        if attempt.begun is None and attempt.ended is None:
            if not self._ledger.has_begun(attempt):
                return False
            self._ledger.begin(attempt, at, self._ledger.host(attempt))
        return True

    def _begin(self, left: Sequence[Attempt], seen: Seen, read: bool) -> None:
        """Note that a job began, and with it the first of its attempts; of the others is heard at the end."""
        first = left[0]
        same = self._lives.told(first.home, seen.place, read=read)
        self._ledger.waiting.discard(first.home)
        begun = next((item.begun for item in self._ledger.together(first) if item.begun is not None), None)
        if begun is None:
            self._ledger.begin(first, seen.at, seen.host)
        elif seen.at - begun > same:
            again = f"HTCondor began it again on {seen.host or 'a node'}, as what looked after it was gone"
            self._end(left, Seen(seen.job, Word.REPEATED, seen.at, self._ledger.host(first), again))

    def _end(self, left: Sequence[Attempt], seen: Seen) -> None:
        """Note that a job ended; one that was taken from its node has first what it left there brought back."""
        if seen.word is Word.FINISHED:
            self._lives.end(seen.job)
            for attempt in left:
                self.conclude(attempt, seen.text, seen.at)
        elif seen.word in _TAKEN and self._ledger.has_begun(left[0]):
            soon = seen.word is not Word.EVICTED or bool(left[0].stop)
            self._lives.leave(Left(left[0].home, seen), self._monotonic() + (0.0 if soon else EXPLAINED))
        else:
            self.end_left(Left(left[0].home, seen), back=False)

    def left_their_nodes(self) -> list[Left]:
        """Return jobs that left their nodes without coming to an end, as soon as more is not to be heard."""
        return self._lives.left(self._monotonic())

    def end_left(self, item: Left, back: bool) -> None:
        """End the attempts of a job that HTCondor or a person took; `back`: their files came."""
        seen, left = item.seen, self._ledger.left(item.home)
        self._lives.end(seen.job)
        (self._lives.unwanted if seen.word in _ALSO_THERE else self._lives.leftover).add(seen.job)
        if not left:
            return
        job_began = self._ledger.has_begun(left[0])
        host = self._ledger.host(left[0]) or (seen.host if job_began else "")
        for attempt in left:
            told = ends.end(attempt.key, seen, host, attempt.begun, attempt.memory, attempt.stop)
            told = self._with_files(attempt, told, host) if back else self._without_files(attempt, told, job_began)
            self._ledger.finish(attempt, told, seen.at)

    def _with_files(self, attempt: Attempt, told: Outcome, host: str) -> Outcome:
        came = self._boxes.conclude(attempt, self._ledger.order(attempt), told.message)
        told = ends.with_what_came(told, came, attempt.stop)
        self._begin_late(attempt, told, host)
        return told

    def _without_files(self, attempt: Attempt, told: Outcome, job_began: bool) -> Outcome:
        told = ends.with_doubt(told)
        return ends.of_a_member(told, attempt.begun is not None, job_began) if attempt.member >= 0 else told

    def conclude(self, attempt: Attempt, words: str, at: float) -> None:
        """End an attempt by what came back from the node; it is known by the name of its machine, not the node's own."""
        outcome = self._boxes.conclude(attempt, self._ledger.order(attempt), words)
        if attempt.stop and outcome.reason in (Reason.UNBEGUN, Reason.LOST):
            outcome = replace(outcome, reason=Reason.TERMINATED, message=attempt.stop)
        host = self._ledger.host(attempt)
        if host:
            outcome = replace(outcome, host=host)
        self._begin_late(attempt, outcome, outcome.host)
        self._ledger.finish(attempt, outcome, at if outcome.ended is None else outcome.ended)

    def _begin_late(self, attempt: Attempt, outcome: Outcome, host: str) -> None:
        """Note a beginning that only its end told of."""
        if attempt.begun is None and outcome.started is not None and outcome.reason is not Reason.UNBEGUN:
            self._ledger.begin(attempt, outcome.started, host)
