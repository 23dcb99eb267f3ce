"""Keeps the queue as it should be: removes what nobody wants, and settles differences between queue and ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nunatak.core.clock import Clock
from nunatak.core.work import Outcome, Reason
from nunatak.engines.htcondor import reconcile
from nunatak.engines.htcondor.bindings import Condor
from nunatak.engines.htcondor.boxes import Boxes
from nunatak.engines.htcondor.ledger import Ledger
from nunatak.engines.htcondor.records import Attempt
from nunatak.engines.htcondor.submission import Submission
from nunatak.engines.keys import Key

SOON = 2.0
"""Seconds until the queue is asked again about jobs that are missing in it."""
ALL_EVENTS = 10**9


class Upkeep:
    """All calls to the schedd beside submission; each method may raise `Unavailable`, and is repeated then."""

    def __init__(
        self,
        condor: Condor,
        ledger: Ledger,
        boxes: Boxes,
        submission: Submission,
        *,
        interval: float,
        clock: Clock,
        monotonic: Clock,
    ) -> None:
        """Begin with the queue to be asked at once, then every `interval` seconds."""
        self._condor, self._ledger, self._boxes, self._submission = condor, ledger, boxes, submission
        self._interval, self._clock, self._monotonic = interval, clock, monotonic
        self._compare_at = float("-inf")
        self._missing: set[Key] = set()
        self._stopping = {item.key: item for item in ledger.attempts.values() if item.stop and item.ended is None}

    def compare_soon(self) -> None:
        """Have the queue asked with the next call of `tidy`."""
        self._compare_at = float("-inf")

    def tidy(self) -> None:
        """Do all that is due."""
        self.remove_stopped()
        if self._ledger.unwanted:
            self._condor.remove(sorted(self._ledger.unwanted), "Nunatak has ended this attempt")
            self._ledger.unwanted.clear()
        self._submission.tell_nodes()
        if self._monotonic() >= self._compare_at:
            self._compare()

    def stop(self, attempts: Iterable[Attempt]) -> None:
        """Note that attempts are cancelled; `remove_stopped` does it."""
        for attempt in attempts:
            begun = attempt.begun is not None
            self._ledger.stop(attempt, "it was cancelled" if begun else "it was cancelled before it started")
            self._stopping[attempt.key] = attempt

    def remove_stopped(self) -> None:
        """Remove the jobs of cancelled attempts; those that had not begun have ended then."""
        stopped = [attempt for attempt in self._stopping.values() if attempt.job and attempt.ended is None]
        self._condor.remove([attempt.job for attempt in stopped if attempt.job], "Nunatak has cancelled this attempt")
        for attempt in stopped:
            if attempt.begun is None:
                self.say(attempt, Reason.TERMINATED, attempt.stop)
        for key in [key for key, attempt in self._stopping.items() if attempt.job or attempt.ended is not None]:
            del self._stopping[key]

    def say(self, attempt: Attempt, reason: Reason, message: str) -> None:
        """End an attempt in our own words."""
        now = self._clock()
        outcome = Outcome(*attempt.key, reason, message, started=attempt.begun, ended=now, host=attempt.host)
        self._ledger.finish(attempt, outcome, now)

    def _compare(self) -> None:
        """Ask the queue, then read on in the logs up to there, and settle the differences."""
        before = dict(self._ledger.attempts)
        ads = self._condor.queue(self._submission.ours, reconcile.ASKED)
        self._ledger.learn(ALL_EVENTS)
        told = reconcile.compare(ads, before, self._clock())
        for key, job in told.found.items():
            if before[key].job is None:
                self._ledger.assign(before[key], job)
        for seen in told.seen:
            self._ledger.apply(seen)
        self._condor.remove(told.unwanted, "no Nunatak engine waits for this job")
        self._condor.remove(told.stuck, "it did not go", by_force=True)
        missing = [before[key] for key in told.missing if before[key].ended is None]
        self._submit_again([attempt for attempt in missing if attempt.job is None])
        self._give_up([attempt for attempt in missing if attempt.job and attempt.key in self._missing])
        self._missing = {attempt.key for attempt in missing if attempt.job and attempt.ended is None}
        self._compare_at = self._monotonic() + (SOON if self._missing else self._interval)

    def _submit_again(self, attempts: Sequence[Attempt]) -> None:
        """Submit attempts that were entered, and never came to the queue."""
        specs = []
        for attempt in attempts:
            spec = self._boxes.waiting(attempt.key)
            if attempt.stop:
                self.say(attempt, Reason.TERMINATED, attempt.stop)
            elif spec is None:
                self.say(attempt, Reason.LOST, "it was never submitted, and its task.json is damaged")
            else:
                specs.append(spec)
        self._submission.send(specs, self._submission.place(specs))

    def _give_up(self, attempts: Sequence[Attempt]) -> None:
        """End attempts whose jobs are neither in the queue nor spoken of in the log, by what came back of them."""
        for attempt in attempts:
            if self._boxes.of(attempt.key).inner.has("outcome.json"):
                self._ledger.conclude(attempt, "it is no longer in the queue", self._clock())
            elif attempt.stop:
                self.say(attempt, Reason.TERMINATED, attempt.stop)
            else:
                self.say(attempt, Reason.LOST, "it vanished from the queue of HTCondor")
