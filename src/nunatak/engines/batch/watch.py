"""One look at the batch system: what it says of our jobs is held against what we know, and what is unwanted is ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nunatak.core.clock import Clock
from nunatak.core.errors import Unavailable
from nunatak.core.work import Reason
from nunatak.engines.batch.attempts import Worker
from nunatak.engines.batch.book import Book, taken
from nunatak.engines.batch.concluding import Conclusions
from nunatak.engines.batch.model import Cause, Job, Stage
from nunatak.engines.batch.outgoing import Outgoing
from nunatak.engines.batch.submissions import Submission
from nunatak.engines.batch.system import System
from nunatak.engines.batch.there import There

AGAIN = 30.0
"""Seconds until the batch system is asked once more to end a job that goes on."""


class Watch:
    """Looks at the jobs of a book."""

    def __init__(
        self,
        book: Book,
        system: System,
        there: There,
        ends: Conclusions,
        outgoing: Outgoing,
        tag: str,
        monotonic: Clock,
    ) -> None:
        """Prepare; `tag` is in the marks of our jobs."""
        self._book, self._system, self._there, self._ends, self._outgoing = book, system, there, ends, outgoing
        self._tag, self._monotonic = tag, monotonic

    def look(self, now: float) -> None:
        """Ask the batch system once about everything, and act on it. Never raises."""
        system = self._system
        system.asked(now)
        live = self._book.live()
        unsure = [item for item in self._book.submissions.values() if not item.id]
        try:
            jobs = self._status(unsure) if live else []
            self._find(unsure, jobs)
            self._compare(live, jobs)
            self._follow(
                [worker for worker in live if worker.home and worker.running and not (worker.over or worker.done)]
            )
            self._end_others(jobs)
            self._there.fetch(list(self._book.over.values()))
            system.look_again(now)
            self.end_jobs()
        except (Unavailable, OSError) as error:
            system.be_away(error.message if isinstance(error, Unavailable) else str(error))
            return
        self._outgoing.send_rest()
        if not self._book.unsent:
            system.back()

    def _status(self, unsure: Sequence[Submission]) -> list[Job]:
        """Ask for all jobs. What may or may not be out there must not start between this answer and another try."""
        for submission in unsure:
            self._book.records.withdraw(submission)
        self._there.withdraw(unsure)
        ids = sorted({item.id for item in self._book.submissions.values() if item.id})
        return self._system.ask(self._system.dialect.status(ids))

    def _find(self, unsure: Sequence[Submission], jobs: Sequence[Job]) -> None:
        """Take up submissions that were made before anybody could note their id; what was not made is submitted again."""
        marks = {job.mark: job.id for job in jobs if job.mark}
        for submission in unsure:
            mine = [worker for worker in self._book.live() if worker.submission is submission]
            if submission.mark in marks:
                self._book.records.record(submission, marks[submission.mark])
                self._there.bring(submission, [])
                continue
            self._there.fetch(mine)
            for worker in mine:
                self._book.not_there(worker)

    def _end_others(self, jobs: Sequence[Job]) -> None:
        """End jobs of ours that nobody waits for: submissions that came late, attempts whose end is told already."""
        wanted = {(name.id, name.index) for worker in self._book.live() if (name := worker.job)}
        late = [
            job
            for job in jobs
            if job.mark.startswith(f"n{self._tag}") and job.stage is not Stage.ENDED
            if (job.id, job.index) not in wanted and (job.id, 0) not in wanted
        ]
        if late:
            self._system.ask(self._system.dialect.cancel(late))

    def _compare(self, live: Sequence[Worker], jobs: Sequence[Job]) -> None:
        """Hold what the batch system says against what we know."""
        seen = {(job.id, job.index): job for job in jobs}
        missing = []
        for worker in live:
            name = worker.job
            if name is None or worker.done:
                continue
            job = _named(name, seen)
            if job and _is(job, worker):
                self._apply(worker, job)
            elif worker.over is None:
                missing.append((worker, name))
        if missing:
            ids = sorted({name.id for _, name in missing})
            question = self._system.dialect.history(ids, self._system.known())
            told = {(job.id, job.index): job for job in self._system.ask(question)}
            for worker, name in missing:
                found = told.get((name.id, name.index)) or told.get((name.id, 1 if not name.index else name.index))
                self._book.is_over(worker, found if found and found.stage is Stage.ENDED else Job(name.id, name.index))

    def _follow(self, series: Sequence[Worker]) -> None:
        """Report what members of running series did whose files have to be fetched for that."""
        if series and not self._there.live:
            self._there.follow(series)
            for worker in series:
                self._ends.advance(worker)

    def _apply(self, worker: Worker, job: Job) -> None:
        if job.stage is Stage.ENDED:
            worker.host = worker.host or job.host
            if worker.over is None or not worker.over.state:
                self._book.is_over(worker, job)
            return
        self._book.back_again(worker)
        if job.stage is Stage.RUNNING:
            worker.running, worker.host = True, job.host
            if worker.home is None:
                self._book.begun(worker.attempts[0], job.began, job.host)
            elif self._there.live:
                self._ends.advance(worker)
        elif job.cause is Cause.REFUSED:
            words = f"{self._system.name} will never start it: {job.text or job.state}"
            self._book.stop(worker.unended(), Reason.SUBMIT, words)
        elif worker.running or job.cause is Cause.REQUEUED:
            self._evicted(worker)

    def _evicted(self, worker: Worker) -> None:
        """End a job that was put back into the queue; the members of its series that were not begun go elsewhere."""
        if worker.home and self._there.live:
            self._ends.advance(worker)
            for attempt in worker.unended():
                if not attempt.begun and not attempt.stop and taken(attempt):
                    self._book.stop([attempt], Reason.UNBEGUN, "its series was evicted before it began")
                    self._book.say(attempt, Reason.UNBEGUN, "its series was evicted before it began")
        words = "it was evicted: the batch system put it back into the queue"
        self._book.stop(worker.unended(), Reason.TERMINATED, words)

    # ---- ending what is unwanted

    def end_jobs(self) -> None:
        """Ask the batch system to end what is wanted ended; whole submissions by one name. Raises `Unavailable`."""
        now = self._monotonic()
        due = [
            worker
            for worker in self._book.live()
            if worker.job and not worker.over and now - worker.asked >= AGAIN
            if worker.unwanted() or (worker.home and any(attempt.stop for attempt in worker.unended()))
        ]
        if not due:
            return
        for worker in due:  # one that does not answer may not have heard: it is asked again when it does
            worker.asked = float("-inf") if self._system.away else now
        self._there.tell([attempt for worker in due for attempt in worker.unended() if attempt.stop])
        self._system.ask(self._system.dialect.cancel(_names([worker for worker in due if worker.unwanted()])))
        skipping = [name for worker in due if not worker.unwanted() and (name := worker.job)]
        if skipping:
            self._system.ask(self._system.dialect.skip(skipping))
        self._system.be_due(now)


def _named(name: Job, seen: Mapping[tuple[str, int], Job]) -> Job | None:
    """Return what is said of a job: by its index, by none or the first if it is alone.

    What was cancelled of an array before it began is one entry without indices in Slurm 24.11.
    """
    found = seen.get((name.id, name.index)) or (None if name.index else seen.get((name.id, 1)))
    rest = None if found else seen.get((name.id, 0))
    return rest if rest and rest.stage is Stage.ENDED and not rest.ran else found


def _is(job: Job, worker: Worker) -> bool:
    """Tell whether a job is what runs a worker: one that has lost its state gives its ids a second time."""
    return not job.mark or worker.submission is None or job.mark == worker.submission.mark


def _names(workers: Sequence[Worker]) -> list[Job]:
    by_mark: dict[str, list[Worker]] = {}
    for worker in workers:
        by_mark.setdefault(worker.submission.mark if worker.submission else "", []).append(worker)
    names: list[Job] = []
    for group in by_mark.values():
        jobs = [worker.job for worker in group if worker.job]
        whole = group[0].submission is not None and len(group) == len(group[0].submission.places)
        names += [Job(jobs[0].id)] if whole else jobs
    return names
