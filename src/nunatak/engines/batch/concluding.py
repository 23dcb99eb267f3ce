"""From a job that is over, and what its worker left, to the ends of its attempts; in a series one by one while it runs."""

from __future__ import annotations

from dataclasses import replace

from nunatak.core.work import Outcome, Reason, TaskSpec
from nunatak.engines.batch.attempts import BEGUN, OUTCOME, Attempt, Worker
from nunatak.engines.batch.book import Book, listed, taken
from nunatak.engines.batch.ends import outcome_of
from nunatak.engines.batch.model import Cause, Job
from nunatak.engines.batch.script import NOT_THERE, WITHDRAWN
from nunatak.engines.batch.there import There
from nunatak.engines.outcomes import conclude, read_outcome


class Conclusions:
    """Tells how attempts of a book ended."""

    def __init__(self, book: Book, there: There, system: str, settle: float) -> None:
        """Prepare; an outcome that is not there is waited for `settle` seconds after the end of its job."""
        self._book, self._there, self._system, self._settle = book, there, system, settle

    def settle(self, now: float) -> None:
        """Report the ends of those whose jobs are over, as soon as their outcomes are there or no longer waited for."""
        for worker in list(self._book.over.values()):
            if self._there.seen(worker):
                self._close(worker, worker.over or Job(""), now)

    def _close(self, worker: Worker, job: Job, now: float) -> None:
        """Conclude a worker, or leave it for later."""
        self.advance(worker)
        unended = worker.unended()
        missing = [attempt for attempt in unended if not listed(attempt)]
        nothing_begun = job.exit in (WITHDRAWN, NOT_THERE) or (job.state and not job.ran) or job.cause is Cause.NODE
        if missing and not nothing_begun and now - worker.since < self._settle:
            return
        del self._book.over[worker.place]
        if missing and job.exit == WITHDRAWN:
            self._book.not_there(worker)
            return
        for attempt in unended:
            self._conclude(attempt, job)
        self._book.finish(worker)

    def advance(self, worker: Worker) -> None:
        """Report what the members of a series did: who begins is seen by its `begun`, who is over by its outcome."""
        rest = worker.unended() if worker.home and (worker.running or worker.over) else []
        for attempt, following in zip(rest, (*rest[1:], None), strict=False):
            if not attempt.begun:
                at = attempt.box.made(BEGUN)
                if at is None:
                    return
                self._book.begun(attempt, at, worker.host)
            went_on = following is not None and following.box.has(BEGUN)
            if not went_on and (worker.over or not _fine(attempt)):
                return  # it may have been ended with its job, of which the batch system knows more
            self._conclude(attempt, None)

    def _conclude(self, attempt: Attempt, job: Job | None) -> None:
        """Report the end of an attempt; without a job its worker went on with the next of the series."""
        box, worker = attempt.box, attempt.worker
        told = box.read(OUTCOME) if box.has(OUTCOME) else None
        if worker.home and told is None and not attempt.begun and taken(attempt):
            self._book.end(attempt, _unbegun(attempt))
            return
        if job is None:
            outcome = conclude(box.handle, told, box.read("usage.json"), attempt.stop, "its series went on without it")
            outcome = replace(outcome, host=worker.host or outcome.host)
        else:
            if job.ran and worker.home is None:
                self._book.begun(attempt, job.began, job.host)
            talk = self._book.records.talk(worker.submission, worker.index) if worker.submission else ""
            outcome = outcome_of(box.handle, job, self._system, talk, told, box.read("usage.json"), attempt.stop)
        self._book.end(attempt, outcome if told is None else self._home(attempt, outcome))

    def _home(self, attempt: Attempt, outcome: Outcome) -> Outcome:
        """Hold what a worker says against what was asked for."""
        try:
            spec: TaskSpec = attempt.box.read_task()
        except (ValueError, KeyError, TypeError, AttributeError):
            message = "what was asked for can no longer be read: its task.json is damaged"
            return Outcome(outcome.address, outcome.lease, Reason.INVALID, message)
        return self._there.home(attempt, spec, outcome)


def _fine(attempt: Attempt) -> bool:
    """Tell whether an attempt has said that all went well."""
    if not attempt.box.has(OUTCOME):
        return False
    return read_outcome(attempt.box.read(OUTCOME), attempt.box.handle).reason is Reason.OK


def _unbegun(attempt: Attempt) -> Outcome:
    """Return the end of an attempt whose series ended before its turn."""
    handle, stop = attempt.box.handle, attempt.stop
    if stop:
        return Outcome(handle.address, handle.lease, stop.reason, f"{stop.message} before its turn in the series")
    return Outcome(handle.address, handle.lease, Reason.UNBEGUN, "its series ended before it began")
