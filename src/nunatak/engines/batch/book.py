"""What the engine knows of each attempt, from what an earlier engine left to the end that is told."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import structlog

from nunatak.core.clock import Clock
from nunatak.core.work import Outcome, Reason, Shape
from nunatak.engines.batch.ends import outcome_of
from nunatak.engines.batch.model import Cause, Job
from nunatak.engines.batch.script import NOT_THERE, WITHDRAWN
from nunatak.engines.batch.submissions import Submission, Submissions
from nunatak.engines.batch.submitting import Attempt
from nunatak.engines.keys import Key, key_of
from nunatak.engines.news import News
from nunatak.engines.outcomes import Stop, held_to_promise, read_outcome
from nunatak.engines.protocol import Change, What
from nunatak.engines.sandbox import Sandbox, Shelf

log = structlog.get_logger("nunatak.engine")


class Book:
    """Attempts, submissions and news; nothing here talks to the batch system."""

    def __init__(
        self, directory: Path, system: str, *, settle: float, keep: bool, token: str, clock: Clock, monotonic: Clock
    ) -> None:
        """Take over `directory`; `system` is what the batch system is called, `token` begins cursors.

        Raises `Unavailable` while another engine has the directory or it cannot be written.
        """
        self._system, self._settle_time, self._clock, self._monotonic = system, settle, clock, monotonic
        self.shelf = Shelf(directory, keep=keep)
        self.records = Submissions(self.shelf.root)
        self.news = News(token)
        self.attempts: dict[Key, Attempt] = {}
        self.submissions: dict[str, Submission] = {}
        self.unsent: dict[Key, Attempt] = {}  # not submitted yet
        self.over: dict[Key, Attempt] = {}  # whose jobs are over, and whose outcome is waited for
        self._take_up()

    def _take_up(self) -> None:
        """Find what an earlier engine left: ended, out there, of unknown fate, or not submitted yet."""
        by_place: dict[str, Attempt] = {}
        for box in self.shelf.all():
            attempt = _read(box)
            self.attempts[key_of(box.handle)] = by_place[box.handle.external] = attempt
        for submission in self.records.all():
            mine = [(index, by_place[place]) for index, place in enumerate(submission.places, 1) if place in by_place]
            if not mine:
                self.records.drop(submission)
                continue
            self.submissions[submission.mark] = submission
            for index, attempt in mine:
                if attempt.submission is None or submission.id:
                    self.leave(attempt)
                    attempt.submission, attempt.index = submission, index
                    submission.left += 1
        for key, attempt in self.attempts.items():
            if not self.recall(attempt) and attempt.submission is None:
                self.unsent[key] = attempt

    def recall(self, attempt: Attempt) -> bool:
        """Report the end of an attempt that is known to have ended; tell whether it has."""
        box = attempt.box
        if attempt.shape.cpu < 1 and not box.has("ended.json"):
            self.say(attempt, Reason.LOST, "its task.json is damaged")
        elif box.has("ended.json"):
            self._report_end(attempt, read_outcome(box.read("ended.json"), box.handle))
        return attempt.ended

    def leave(self, attempt: Attempt) -> None:
        """Part an attempt from its submission; forget one that carries no more."""
        submission, attempt.submission = attempt.submission, None
        if submission:
            submission.left -= 1
            if submission.left < 1:
                self.submissions.pop(submission.mark, None)
                self.records.drop(submission)

    def forget(self, key: Key) -> None:
        """Its end is recorded elsewhere."""
        attempt = self.attempts.pop(key)
        self.shelf.discard(attempt.box)
        self.leave(attempt)

    def not_there(self, key: Key, attempt: Attempt) -> None:
        """An attempt whose submission is not out there: it ran and is forgotten, or never began."""
        self.leave(attempt)
        if attempt.box.has("worker.log"):
            self.is_over(attempt, Job(""))
        elif attempt.stop:
            self.say(attempt, attempt.stop.reason, f"{attempt.stop.message} before it started")
        else:
            self.unsent[key] = attempt

    def begun(self, attempt: Attempt, job: Job) -> None:
        """Tell that an attempt runs, once."""
        if not attempt.running:
            attempt.running, attempt.host = True, job.host
            self.news.add(Change(attempt.box.handle, What.RUNNING, job.began or self._clock(), job.host))

    def stop(self, attempt: Attempt, reason: Reason, message: str) -> None:
        """Want an attempt ended, and remember why; the first reason counts."""
        if attempt.stop is None:
            attempt.stop = Stop(reason, message, 0.0)
            try:
                attempt.box.write("stop.json", asdict(attempt.stop))
            except OSError:
                log.warning("it will not be known after a restart why an attempt was stopped", attempt=message)

    def is_over(self, attempt: Attempt, job: Job) -> None:
        """Note that a job is over, or gone; the end is told by `settle`."""
        attempt.over, attempt.since = job, self._monotonic()
        self.over[key_of(attempt.box.handle)] = attempt

    def settle(self, now: float) -> None:
        """Report the ends of those whose jobs are over, as soon as their outcome is there or no longer waited for."""
        for key, attempt in list(self.over.items()):
            job = attempt.over or Job("")
            told = attempt.box.read("outcome.json") if _listed(attempt.box, "outcome.json") else None
            nothing_begun = job.exit in (WITHDRAWN, NOT_THERE) or (job.state and not job.ran) or job.cause is Cause.NODE
            if told is None and not nothing_begun and now - attempt.since < self._settle_time:
                continue
            del self.over[key]
            if told is None and job.exit == WITHDRAWN:
                attempt.over = None
                self.not_there(key, attempt)
            else:
                self._conclude(attempt, job, told)

    def _conclude(self, attempt: Attempt, job: Job, told: bytes | None) -> None:
        box = attempt.box
        if job.ran:
            self.begun(attempt, job)
        talk = self.records.talk(attempt.submission, attempt.index) if attempt.submission else ""
        outcome = outcome_of(box.handle, job, self._system, talk, told, box.read("usage.json"), attempt.stop)
        if told is not None:
            try:
                outcome = held_to_promise(outcome, box.read_task().outputs)
            except (ValueError, KeyError, TypeError, AttributeError):
                message = "what was asked for can no longer be read: its task.json is damaged"
                outcome = Outcome(outcome.address, outcome.lease, Reason.INVALID, message)
        self._write_end(attempt, outcome)
        self._report_end(attempt, outcome)

    def say(self, attempt: Attempt, reason: Reason, message: str) -> None:
        """End an attempt that never had a worker."""
        handle = attempt.box.handle
        outcome = Outcome(handle.address, handle.lease, reason, message)
        self._write_end(attempt, outcome)
        self._report_end(attempt, outcome)

    def _write_end(self, attempt: Attempt, outcome: Outcome) -> None:
        try:
            attempt.box.write_end(outcome)
        except OSError as error:
            log.warning("an end could not be noted", attempt=outcome.address, error=str(error))

    def _report_end(self, attempt: Attempt, outcome: Outcome) -> None:
        attempt.ended = True
        at = self._clock() if outcome.ended is None else outcome.ended
        self.news.add(Change(attempt.box.handle, What.ENDED, at, outcome.host, outcome))


def _read(box: Sandbox) -> Attempt:
    """Return an attempt as its sandbox has it; one whose order cannot be read has a shape without cores."""
    try:
        spec = box.read_task()
        attempt = Attempt(box, spec.shape, spec.avoid)
    except (ValueError, KeyError, TypeError, AttributeError):
        attempt = Attempt(box, Shape(cpu=0))
    stop = box.read_plain("stop.json")
    if stop:
        attempt.stop = Stop(Reason(stop["reason"]), str(stop["message"]), 0.0)
    return attempt


def _listed(box: Sandbox, name: str) -> bool:
    """Tell whether a file is there; reading the directory makes a network file system look again."""
    try:
        return any(entry.name == name for entry in box.path.iterdir())
    except OSError:
        return False
