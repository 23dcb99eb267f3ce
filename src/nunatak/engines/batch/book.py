"""What the engine knows of each attempt, from what an earlier engine left to the end that is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import structlog

from nunatak.core.clock import Clock
from nunatak.core.work import Outcome, Reason
from nunatak.engines.batch.attempts import BEGUN, OUTCOME, Attempt, Worker
from nunatak.engines.batch.intake import left_by_an_earlier_engine
from nunatak.engines.batch.model import Job
from nunatak.engines.batch.submissions import Submission, Submissions
from nunatak.engines.keys import Key
from nunatak.engines.news import News
from nunatak.engines.outcomes import Stop, read_outcome
from nunatak.engines.protocol import Change, What
from nunatak.engines.sandbox import Shelf

log = structlog.get_logger("nunatak.engine")


class Book:
    """Attempts, their workers, submissions and news; nothing here talks to the batch system."""

    def __init__(self, directory: Path, *, keep: bool, token: str, clock: Clock, monotonic: Clock) -> None:
        """Take over `directory`; `token` begins cursors.

        Raises `Unavailable` while another engine has the directory or it cannot be written.
        """
        self._clock, self._monotonic = clock, monotonic
        self.shelf = Shelf(directory, keep=keep)
        self.records = Submissions(self.shelf.root)
        self.news = News(token)
        self.attempts: dict[Key, Attempt] = {}
        self.submissions: dict[str, Submission] = {}
        self.workers: dict[str, Worker] = {}  # of which something is not forgotten
        self.unsent: dict[str, Worker] = {}  # not submitted yet
        self._dropped: list[str] = []
        self.over: dict[str, Worker] = {}  # whose jobs are over, and whose outcomes are waited for
        self._take_up()

    # ---- beginning

    def _take_up(self) -> None:
        """Find what an earlier engine left: ended, out there, of unknown fate, or not submitted yet."""
        for worker in left_by_an_earlier_engine(self.shelf):
            self.enter(worker)
        for submission in self.records.all():
            mine = [(n, self.workers[at]) for n, at in enumerate(submission.places, 1) if at in self.workers]
            if not mine:
                self.records.drop(submission)
                continue
            self.submissions[submission.mark] = submission
            for index, worker in mine:
                if worker.submission is None or submission.id:
                    self.leave(worker)
                    worker.submission, worker.index = submission, index
                    submission.left += 1
        for place, worker in self.workers.items():
            if not self.recall(worker) and worker.submission is None:
                self.unsent[place] = worker

    def enter(self, worker: Worker) -> None:
        """Know a worker and its attempts from now on."""
        self.workers[worker.place] = worker
        self.attempts.update({attempt.key: attempt for attempt in worker.attempts})

    def undo(self, worker: Worker) -> None:
        """Forget a worker that was not submitted, with its sandboxes."""
        del self.workers[worker.place]
        for attempt in worker.attempts:
            del self.attempts[attempt.key]
            self.shelf.undo(attempt.box)
        if worker.home:
            self.shelf.discard_series(worker.home)

    def recall(self, worker: Worker) -> bool:
        """Report the ends that are known; tell whether all attempts have ended, and no job of theirs goes on."""
        for attempt in worker.unended():
            box = attempt.box
            if box.has("ended.json"):
                self._report_end(attempt, read_outcome(box.read("ended.json"), box.handle))
            elif attempt.shape.cpu < 1:
                self.say(attempt, Reason.LOST, "its task.json is damaged")
        return worker.done

    def live(self) -> list[Worker]:
        """Return the workers of which more will come."""
        return [worker for worker in self.workers.values() if not worker.done]

    # ---- leaving

    def leave(self, worker: Worker) -> None:
        """Part a worker from its submission; forget one that carries no more."""
        submission, worker.submission = worker.submission, None
        if submission:
            submission.left -= 1
            if submission.left < 1:
                self.submissions.pop(submission.mark, None)
                self.records.drop(submission)
                self._dropped += self.records.places(submission)

    def forget(self, key: Key) -> None:
        """Its end is recorded elsewhere."""
        attempt = self.attempts.pop(key)
        self.shelf.discard(attempt.box)
        self._dropped.append(attempt.box.handle.external)
        attempt.worker.unforgotten -= 1
        self.close(attempt.worker)

    def take_dropped(self) -> list[str]:
        """Return the places that were deleted here since this was asked last, relative to the engine's directory."""
        places, self._dropped = self._dropped, []
        return places

    def close(self, worker: Worker) -> None:
        """Forget a worker of which nothing is left."""
        if worker.done and not worker.unforgotten and worker.place in self.workers:
            del self.workers[worker.place]
            self.leave(worker)
            if worker.home:
                self.shelf.discard_series(worker.home)
                self._dropped.append(f".series/{worker.home.path.name}")

    def finish(self, worker: Worker) -> None:
        """Nothing more will come of a worker."""
        worker.done = True
        self.unsent.pop(worker.place, None)
        self.close(worker)

    def not_there(self, worker: Worker) -> None:
        """A worker whose submission is not out there: it ran and is forgotten, or never began."""
        self.leave(worker)
        worker.running, worker.over = False, None
        if any(attempt.box.has("worker.log") for attempt in worker.unended()):
            self.is_over(worker, Job(""))
            return
        for attempt in worker.unended():
            if attempt.stop:
                self.say(attempt, attempt.stop.reason, f"{attempt.stop.message} before it started")
        if worker.unended():
            self.unsent[worker.place] = worker
        else:
            self.finish(worker)

    # ---- going on

    def begun(self, attempt: Attempt, at: float, host: str) -> None:
        """Tell that an attempt runs, once."""
        if not attempt.begun:
            attempt.begun = True
            self.news.add(Change(attempt.box.handle, What.RUNNING, at or self._clock(), host))

    def stop(self, attempts: Iterable[Attempt], reason: Reason, message: str) -> None:
        """Want attempts ended, and remember why; the first reason counts."""
        for attempt in attempts:
            if attempt.stop is None:
                attempt.stop = Stop(reason, message, 0.0)
                try:
                    attempt.box.write("stop.json", asdict(attempt.stop))
                except OSError:
                    log.warning("it will not be known after a restart why an attempt was stopped", attempt=message)

    def is_over(self, worker: Worker, job: Job) -> None:
        """Note that a job is over, or gone; the ends are told when its outcomes are there, or no longer waited for."""
        worker.over, worker.since, worker.fetched = job, self._monotonic(), False
        self.over[worker.place] = worker

    def back_again(self, worker: Worker) -> None:
        """A job that was taken for over is not."""
        self.over.pop(worker.place, None)
        worker.over = None

    # ---- ending

    def say(self, attempt: Attempt, reason: Reason, message: str) -> None:
        """End an attempt that never had a worker."""
        handle = attempt.box.handle
        self.end(attempt, Outcome(handle.address, handle.lease, reason, message))

    def end(self, attempt: Attempt, outcome: Outcome) -> None:
        """Note an end, then tell it."""
        try:
            attempt.box.write_end(outcome)
        except OSError as error:
            log.warning("an end could not be noted", attempt=outcome.address, error=str(error))
        self._report_end(attempt, outcome)

    def _report_end(self, attempt: Attempt, outcome: Outcome) -> None:
        worker = attempt.worker
        attempt.ended = True
        worker.done = not worker.unended() and (worker.home is None or worker.submission is None)
        at = self._clock() if outcome.ended is None else outcome.ended
        self.news.add(Change(attempt.box.handle, What.ENDED, at, outcome.host, outcome))


def taken(attempt: Attempt) -> bool:
    """Take an attempt away from the worker of its series; False if the worker was faster."""
    try:
        attempt.box.claim(BEGUN)
    except OSError:
        return False
    return True


def listed(attempt: Attempt, name: str = OUTCOME) -> bool:
    """Tell whether a file is there; reading the directory makes a network file system look again."""
    try:
        return any(entry.name == name for entry in attempt.box.path.iterdir())
    except OSError:
        return False
