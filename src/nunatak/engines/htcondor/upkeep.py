"""Keeps the queue as it should be: removes what nobody wants, and settles differences between queue and ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nunatak.core.clock import Clock
from nunatak.core.work import Outcome, Reason
from nunatak.engines.htcondor import reconcile
from nunatak.engines.htcondor.bindings import Condor
from nunatak.engines.htcondor.boxes import Boxes
from nunatak.engines.htcondor.hearing import Hearing
from nunatak.engines.htcondor.ledger import Ledger
from nunatak.engines.htcondor.records import Attempt
from nunatak.engines.htcondor.spool import Spool
from nunatak.engines.htcondor.submission import Submission
from nunatak.engines.htcondor.travel import Asked, in_one, unpacked
from nunatak.engines.keys import Key, key_of

SOON = 2.0
"""Seconds until the queue is asked again about jobs that are missing in it."""
ALL_EVENTS = 10**9


class Upkeep:
    """All calls to the schedd beside submission; each method may raise `Unavailable`, and is repeated then."""

    def __init__(
        self,
        condor: Condor,
        ledger: Ledger,
        hearing: Hearing,
        boxes: Boxes,
        submission: Submission,
        *,
        interval: float,
        clock: Clock,
        monotonic: Clock,
    ) -> None:
        """Begin with the queue to be asked at once, then every `interval` seconds."""
        self._condor, self._ledger, self._hearing, self._boxes = condor, ledger, hearing, boxes
        self._submission, self._lives = submission, ledger.lives
        self._interval, self._clock, self._monotonic = interval, clock, monotonic
        self._spool = Spool(condor, hearing, boxes)
        self._compare_at = float("-inf")
        self._missing: set[Key] = set()
        self._stopping = {item.key: item for item in ledger.attempts.values() if item.stop and item.ended is None}

    def compare_soon(self) -> None:
        """Have the queue asked with the next call of `tidy`."""
        self._compare_at = float("-inf")

    def tidy(self) -> None:
        """Do all that is due."""
        self.remove_stopped()
        self._spool.salvage()
        if self._lives.leftover:
            self._condor.remove(sorted(self._lives.leftover), "its files were fetched", by_force=True)
            self._lives.leftover.clear()
        if self._lives.unwanted:
            self._condor.remove(sorted(self._lives.unwanted), "Nunatak has ended this attempt")
            self._lives.unwanted.clear()
        self._submission.tell_nodes()
        if self._monotonic() >= self._compare_at:
            self._compare()

    def stop(self, attempts: Iterable[Attempt]) -> None:
        """Note that attempts are cancelled; `remove_stopped` does it."""
        for attempt in attempts:
            began = self._ledger.has_begun(attempt)
            self._ledger.stop(attempt, "it was cancelled" if began else "it was cancelled before it started")
            self._stopping[attempt.key] = attempt

    def remove_stopped(self) -> None:
        """Remove the jobs of cancelled attempts; those that had not begun have ended then.

        A series goes on while there is an attempt in it that is wanted: one that waits is taken out, one that is on a
        node cannot be.
        """
        stopped = [attempt for attempt in self._stopping.values() if attempt.job and attempt.ended is None]
        goes = [attempt for attempt in stopped if all(self._unwanted(item) for item in self._ledger.together(attempt))]
        jobs = {attempt.job: None for attempt in goes if attempt.job}
        self._condor.remove(jobs, "Nunatak has cancelled this attempt")
        for attempt in stopped:
            if self._ledger.has_begun(attempt):
                continue
            if attempt.job not in jobs:
                self._boxes.take_away(attempt)
            self.say(attempt, Reason.TERMINATED, attempt.stop)
        for key in [key for key, attempt in self._stopping.items() if attempt.job or attempt.ended is not None]:
            del self._stopping[key]

    def _unwanted(self, attempt: Attempt) -> bool:
        return attempt.ended is not None or bool(attempt.stop)

    def say(self, attempt: Attempt, reason: Reason, message: str) -> None:
        """End an attempt in our own words."""
        now = self._clock()
        outcome = Outcome(*attempt.key, reason, message, started=attempt.begun, ended=now, host=attempt.host)
        self._ledger.finish(attempt, outcome, now)

    def _compare(self) -> None:
        """Ask the queue, then read on in the logs up to there, and settle the differences."""
        before = self._ledger.jobs()
        ads = self._condor.queue(self._submission.ours, reconcile.ASKED)
        self._hearing.learn(ALL_EVENTS)
        told = reconcile.compare(ads, before, self._clock())
        for home, job in told.found.items():
            if before[home].job is None:
                self._ledger.assign(before[home], job)
        for seen in told.seen:
            self._hearing.apply(seen)
        self._condor.remove(told.unwanted, "no Nunatak engine waits for this job")
        self._condor.remove(told.stuck, "it did not go", by_force=True)
        missing = [item for home in told.missing for item in self._ledger.left(home)]
        self._submit_again([attempt for attempt in missing if attempt.job is None])
        self._give_up([attempt for attempt in missing if attempt.job and attempt.key in self._missing])
        self._missing = {attempt.key for attempt in missing if attempt.job and attempt.ended is None}
        self._compare_at = self._monotonic() + (SOON if self._missing else self._interval)

    def _submit_again(self, attempts: Sequence[Attempt]) -> None:
        """Submit attempts that were entered, and never came to the queue."""
        again: dict[str, list[Asked]] = {}
        for attempt in attempts:
            asked = unpacked(self._ledger.order(attempt))
            if attempt.stop:
                self.say(attempt, Reason.TERMINATED, attempt.stop)
            elif asked is None:
                self.say(attempt, Reason.LOST, "it was never submitted, and its order is damaged")
            else:
                again.setdefault(attempt.home, []).append(asked)
        pieces = self._submission.pieces([in_one(members) for members in again.values()])
        self._ledger.drop([key_of(spec) for piece in pieces for spec in piece.members])
        self._ledger.add(pieces)
        self._submission.send(pieces, self._submission.place(pieces))

    def _give_up(self, attempts: Sequence[Attempt]) -> None:
        """End attempts whose jobs are neither in the queue nor spoken of in the log, by what came back of them."""
        for attempt in attempts:
            if self._boxes.of(attempt).has("outcome.json"):
                self._hearing.conclude(attempt, "it is no longer in the queue", self._clock())
            elif attempt.stop:
                self.say(attempt, Reason.TERMINATED, attempt.stop)
            else:
                self.say(attempt, Reason.LOST, "it vanished from the queue of HTCondor")
