"""The engine of a batch system that is driven by commands: sandboxes on a shared file system, a job for each attempt.

It may be killed at any line. What it is about to submit is on disk before the batch system is asked, under a mark that the
jobs carry; the next engine on the directory asks for the mark before it submits anything again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import structlog

from nunatak.core.clock import Clock, Keys, system_clock, system_keys
from nunatak.core.errors import Unavailable
from nunatak.core.work import Reason, Series, Shape, TaskSpec
from nunatak.engines.batch import fits
from nunatak.engines.batch.book import Book
from nunatak.engines.batch.dialect import Dialect
from nunatak.engines.batch.model import Cause, Cluster, Job, Stage
from nunatak.engines.batch.run import Run, ask
from nunatak.engines.batch.script import Place
from nunatak.engines.batch.submissions import Submission
from nunatak.engines.batch.submitting import Attempt, Sender, groups, singly
from nunatak.engines.keys import Key, key_of
from nunatak.engines.protocol import ALL_FINE, Capacity, Changes, Handle, LogPart, Nodes

STREAMS = ("stdout", "stderr")
LOG_PART, LOG_CALL = 256 * 1024, 4 * 1024 * 1024
"""Bytes of one stream, and of all together, that one call of `logs` returns at most."""
AGAIN = 30.0
"""Seconds until the batch system is asked once more to end a job that goes on."""
log = structlog.get_logger("nunatak.engine")


class BatchEngine:
    """One batch system. One process at a time may have the directory, and one thread at a time may call."""

    def __init__(
        self,
        directory: Path,
        dialect: Dialect,
        run: Run,
        *,
        place: Place,
        terms: fits.Terms,
        queue: int = 100,
        interval: float = 10.0,
        settle: float = 30.0,
        keep: bool = False,
        clock: Clock = system_clock,
        monotonic: Clock = time.monotonic,
        keys: Keys = system_keys,
    ) -> None:
        """Take over `directory` with whatever an earlier engine left out there.

        `queue` attempts may wait beside those that run. The batch system is asked every `interval` seconds; an outcome
        that is not there is waited for `settle` seconds after the end, as file systems take their time.
        Raises `Unavailable` while another engine has the directory or it cannot be written.
        """
        self._dialect, self._run, self._terms = dialect, run, terms
        self._queue, self._interval, self._monotonic = queue, interval, monotonic
        self._book = Book(
            directory, dialect.name, settle=settle, keep=keep, token=f"{keys():x}", clock=clock, monotonic=monotonic
        )
        self._tag = _tag(self._book.shelf.root / ".tag", keys)
        self._sender = Sender(dialect, run, self._book.records, place, terms, self._tag, keys)
        self._cluster: Cluster | None = None
        self._cluster_at = self._due = float("-inf")
        self._taken = self._ours()  # when the cluster was looked at
        self._pause = interval
        self._away = ""  # why the batch system could not be asked
        self._nodes = ALL_FINE
        self._probe: Key | None = None

    # ---- the six methods

    def submit(self, batch: Sequence[TaskSpec | Series], nodes: Nodes = ALL_FINE) -> list[Handle]:
        """Submit arrays of what agrees. Raises `Unavailable` for more than `capacity().queue`, or if nothing was taken."""
        specs = singly(batch)
        handles = [self._book.shelf.handle(spec) for spec in specs]
        new = {key_of(handle): (handle, spec) for handle, spec in zip(handles, specs, strict=True)}
        for key in self._book.attempts.keys() & new.keys():
            del new[key]
        cluster = self._known_cluster() if new else None
        self._obey(nodes)
        if cluster is None:
            return handles
        fitting = {key for key, (_, spec) in new.items() if self._queues(spec.shape, cluster)}
        room = self.capacity().queue
        if len(fitting) > room:
            raise Unavailable(f"this engine takes {room} more attempts now", code="engine-full", room=room)
        placed = self._place(new.values())
        fresh = {key: attempt for key, attempt in placed.items() if not self._book.recall(attempt)}
        unsent = self._send([attempt for key, attempt in fresh.items() if key in fitting], cluster)
        if unsent and len(unsent) == len(placed):
            for attempt in unsent:
                self._book.shelf.undo(attempt.box)
            raise Unavailable(f"{self._dialect.name} takes nothing now: {self._away}", code="batch-system")
        self._book.attempts.update(placed)
        self._book.unsent.update({key_of(attempt.box.handle): attempt for attempt in unsent})
        for key, attempt in fresh.items():
            if key not in fitting:
                self._book.say(
                    attempt,
                    Reason.SUBMIT,
                    f"it can never run here: {fits.why_not(attempt.shape, cluster, self._terms)}",
                )
        return handles

    def poll(self, cursor: str) -> Changes:
        """Look at the batch system if it is time to, and return what changed since `cursor`. Never raises."""
        for key in self._book.news.acknowledge(cursor):
            self._book.forget(key)
        now = self._monotonic()
        if now >= self._due:
            self._look(now)
        self._book.settle(now)
        return self._book.news.since(cursor)

    def cancel(self, handles: Sequence[Handle]) -> None:
        """End what was not submitted yet; ask the batch system to end the others, now and until they do."""
        found = [self._book.attempts[key] for key in map(key_of, handles) if key in self._book.attempts]
        for attempt in found:
            if attempt.ended or attempt.stop:
                continue
            if self._book.unsent.pop(key_of(attempt.box.handle), None):
                self._book.say(attempt, Reason.TERMINATED, "it was cancelled before it started")
            else:
                self._book.stop(attempt, Reason.TERMINATED, "it was cancelled")
        self._end_jobs()

    def adopt(self) -> list[Handle]:
        """Return every attempt whose end has not been acknowledged."""
        return [attempt.box.handle for attempt in self._book.attempts.values()]

    def capacity(self) -> Capacity:
        """Return what one attempt may ask for and could find free; `queue` counts idle cores and places to wait.

        While the batch system is away nothing is wanted. Raises `Unavailable` if it has not answered since the start.
        """
        cluster = fits.since(self._known_cluster(), self._taken, self._ours())
        waiting = sum(not (attempt.running or attempt.ended) for attempt in self._book.attempts.values())
        room = self._queue + fits.idle(cluster, self._terms) - waiting
        total, free = fits.largest(cluster, self._terms), fits.free(cluster, self._terms)
        return Capacity(total, free, 0 if self._away else max(0, room))

    def logs(self, offsets: dict[tuple[str, str, str], int]) -> list[LogPart]:
        """Return new bytes of the logs asked for, read from the sandboxes."""
        most = max(1024, min(LOG_PART, LOG_CALL // max(1, len(offsets))))
        parts = []
        for (address, lease, stream), offset in offsets.items():
            attempt = self._book.attempts.get((address, lease))
            if attempt and stream in STREAMS and offset >= 0:
                data = attempt.box.read(stream, offset, most)
                if data:
                    parts.append(LogPart(attempt.box.handle, stream, offset, data))
        return parts

    # ---- beside the protocol

    def close(self) -> None:
        """Let go of the directory and leave everything running, exactly as a killed engine would."""
        self._book.shelf.close()

    def _place(self, new: Iterable[tuple[Handle, TaskSpec]]) -> dict[Key, Attempt]:
        """Make the sandboxes of a batch, all or none."""
        placed: dict[Key, Attempt] = {}
        try:
            for handle, spec in new:
                placed[key_of(handle)] = Attempt(self._book.shelf.place(handle, spec), spec.shape, spec.avoid)
        except OSError as error:
            for attempt in placed.values():
                self._book.shelf.undo(attempt.box)
            raise _no_room(self._book.shelf.root, error) from None
        return placed

    # ---- submitting

    def _send(self, attempts: Sequence[Attempt], cluster: Cluster) -> list[Attempt]:
        """Submit attempts; return those that the batch system would not take now."""
        unsent: list[Attempt] = []
        for group, drained in self._turns(attempts, cluster):
            if unsent:
                unsent += group
                continue
            try:
                sent = self._sender.send(group, cluster, drained)
            except OSError as error:
                self._be_away(f"{self._book.shelf.root}: {error.strerror or error}")
                unsent += group
                continue
            if sent.submission:
                self._book.submissions[sent.submission.mark] = sent.submission
                self._due = float("-inf") if sent.said.unsure else self._due
            elif sent.said.away:
                self._be_away(sent.said.away)
                unsent += group
            for attempt in group if sent.said.refused else ():
                self._book.say(attempt, Reason.SUBMIT, f"{self._dialect.name} refused it: {sent.said.refused}")
        return unsent

    def _turns(self, attempts: Sequence[Attempt], cluster: Cluster) -> list[tuple[Sequence[Attempt], Sequence[str]]]:
        """Return groups, and the nodes that each must not go to.

        Nodes that are probed get one attempt of ours at a time: only one that is out at a time may go there at all.
        """
        drained, probed = self._nodes.drained, self._nodes.probed
        all_probed = (*drained, *probed)
        busy = {attempt.host for attempt in self._book.attempts.values() if attempt.running and not attempt.ended}
        turns: list[tuple[Sequence[Attempt], Sequence[str]]] = []
        probe = self._book.attempts.get(self._probe) if self._probe else None
        if attempts and (probe is None or probe.ended) and set(probed) - busy:
            first, attempts = attempts[0], attempts[1:]
            self._probe = key_of(first.box.handle)
            turns.append(([first], (*drained, *(node for node in probed if node in busy))))
        return turns + [(group, all_probed) for group in groups(attempts, cluster.array)]

    def _send_rest(self) -> None:
        if not self._book.unsent or self._cluster is None:
            return
        waiting, self._book.unsent = self._book.unsent, {}
        never = {key for key, attempt in waiting.items() if not self._queues(attempt.shape, self._cluster)}
        for key in never:
            why = fits.why_not(waiting[key].shape, self._cluster, self._terms)
            self._book.say(waiting[key], Reason.SUBMIT, f"it can never run here: {why}")
        rest = self._send([attempt for key, attempt in waiting.items() if key not in never], self._cluster)
        self._book.unsent.update({key_of(attempt.box.handle): attempt for attempt in rest})

    def _queues(self, shape: Shape, cluster: Cluster) -> tuple[str, ...]:
        if not shape.fits(fits.largest(cluster, self._terms)):
            return ()
        return fits.queues_for(self._terms.request(shape), cluster, self._terms)

    def _obey(self, nodes: Nodes) -> None:
        """Keep what waits away from drained nodes too."""
        if nodes == self._nodes:
            return
        self._nodes = nodes
        if self._cluster is None:
            return
        by_nodes: dict[tuple[str, ...], set[str]] = {}
        for attempt in self._book.attempts.values():
            if attempt.job and not (attempt.running or attempt.ended or attempt.over):
                away = fits.known({*attempt.avoid, *nodes.drained, *nodes.probed}, self._cluster)
                by_nodes.setdefault(away, set()).add(attempt.job.id)
        for away, ids in by_nodes.items():
            ask(self._run, self._dialect.avoid(sorted(ids), away))

    # ---- looking

    def _look(self, now: float) -> None:
        """Ask the batch system once about everything, and act on it."""
        self._due = now + self._pause
        live = [attempt for attempt in self._book.attempts.values() if not attempt.ended]
        unsure = [item for item in self._book.submissions.values() if not item.id]
        try:
            jobs = self._status(unsure) if live else []
            self._find(unsure, jobs)
            self._compare(live, jobs)
            self._end_others(jobs)
            if now - self._cluster_at >= 6 * self._interval:
                self._read_cluster()
                self._cluster_at = now
        except (Unavailable, OSError) as error:
            self._be_away(error.message if isinstance(error, Unavailable) else str(error))
            return
        self._end_jobs()
        self._send_rest()
        if not self._book.unsent:
            self._back()

    def _status(self, unsure: Sequence[Submission]) -> list[Job]:
        """Ask for all jobs. What may or may not be out there must not start between this answer and another try."""
        for submission in unsure:
            self._book.records.withdraw(submission)
        ids = sorted({item.id for item in self._book.submissions.values() if item.id})
        return ask(self._run, self._dialect.status(ids))

    def _find(self, unsure: Sequence[Submission], jobs: Sequence[Job]) -> None:
        """Take up submissions that were made before anybody could note their id; what was not made is submitted again."""
        marks = {job.mark: job.id for job in jobs if job.mark}
        for submission in unsure:
            if submission.mark in marks:
                self._book.records.record(submission, marks[submission.mark])
                continue
            for key, attempt in self._book.attempts.items():
                if attempt.submission is submission and not attempt.ended:
                    self._book.not_there(key, attempt)

    def _end_others(self, jobs: Sequence[Job]) -> None:
        """End jobs of ours that nobody waits for: submissions that came late, attempts whose end is told already."""
        wanted = {
            (name.id, name.index)
            for attempt in self._book.attempts.values()
            if not attempt.ended and (name := attempt.job)
        }
        late = [
            job
            for job in jobs
            if job.mark.startswith(f"n{self._tag}") and job.stage is not Stage.ENDED
            if (job.id, job.index) not in wanted and (job.id, 0) not in wanted
        ]
        if late:
            ask(self._run, self._dialect.cancel(late))

    def _compare(self, live: Sequence[Attempt], jobs: Sequence[Job]) -> None:
        """Hold what the batch system says against what we know."""
        seen = {(job.id, job.index): job for job in jobs}
        missing = []
        for attempt in live:
            name = attempt.job
            if name is None or attempt.ended:
                continue
            job = seen.get((name.id, name.index)) or (None if name.index else seen.get((name.id, 1)))
            if job:
                self._apply(attempt, job)
            elif attempt.over is None:
                missing.append((attempt, name))
        if missing:
            cluster = self._known_cluster()
            ids = sorted({name.id for _, name in missing})
            told = {(job.id, job.index): job for job in ask(self._run, self._dialect.history(ids, cluster))}
            for attempt, name in missing:
                found = told.get((name.id, name.index)) or told.get((name.id, 1 if not name.index else name.index))
                self._book.is_over(attempt, found if found and found.stage is Stage.ENDED else Job(name.id, name.index))

    def _apply(self, attempt: Attempt, job: Job) -> None:
        if job.stage is Stage.ENDED:
            if attempt.over is None or not attempt.over.state:
                self._book.is_over(attempt, job)
            return
        self._book.over.pop(key_of(attempt.box.handle), None)
        attempt.over = None
        if job.stage is Stage.RUNNING:
            self._book.begun(attempt, job)
        elif job.cause is Cause.REFUSED:
            self._book.stop(
                attempt, Reason.SUBMIT, f"{self._dialect.name} will never start it: {job.text or job.state}"
            )
        elif attempt.running or job.cause is Cause.REQUEUED:
            self._book.stop(attempt, Reason.TERMINATED, "it was evicted: the batch system put it back into the queue")

    def _end_jobs(self) -> None:
        """Ask the batch system to end what is wanted ended; whole submissions by one name."""
        now = self._monotonic()
        due = [
            attempt
            for attempt in self._book.attempts.values()
            if attempt.stop and attempt.job and not (attempt.ended or attempt.over) and now - attempt.asked >= AGAIN
        ]
        if not due:
            return
        by_mark: dict[str, list[Attempt]] = {}
        for attempt in due:
            attempt.asked = now
            by_mark.setdefault(attempt.submission.mark if attempt.submission else "", []).append(attempt)
        names: list[Job] = []
        for group in by_mark.values():
            jobs = [attempt.job for attempt in group if attempt.job]
            whole = group[0].submission is not None and len(group) == len(group[0].submission.places)
            names += [Job(jobs[0].id)] if whole else jobs
        ask(self._run, self._dialect.cancel(names))
        self._due = min(self._due, now)

    # ---- the batch system

    def _known_cluster(self) -> Cluster:
        if self._cluster is None:
            return self._read_cluster()
        return self._cluster

    def _read_cluster(self) -> Cluster:
        self._cluster, self._taken = ask(self._run, self._dialect.cluster()), self._ours()
        return self._cluster

    def _ours(self) -> Counter[tuple[str, str]]:
        running = (attempt for attempt in self._book.attempts.values() if attempt.running and not attempt.ended)
        return fits.taken((attempt.host, self._terms.request(attempt.shape)) for attempt in running)

    def _be_away(self, why: str) -> None:
        """Ask less and less often while the batch system does not answer."""
        if not self._away:
            log.warning("the batch system does not go along", system=self._dialect.name, error=why)
        self._away = why or "it does not answer"
        self._due = self._monotonic() + self._pause
        self._pause = min(2 * self._pause, max(60.0, self._interval))

    def _back(self) -> None:
        if self._away:
            log.info("the batch system answers again", system=self._dialect.name)
        self._away, self._pause = "", self._interval


def _tag(file: Path, keys: Keys) -> str:
    """Return the word that tells the jobs of this directory from others; made up once."""
    if not file.exists():
        draft = file.with_name(".tag.new")
        draft.write_text(f"{keys() % 16**6:06x}")
        draft.rename(file)
    return file.read_text().strip()


def _no_room(root: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"the sandboxes could not be made: {error.strerror or error}",
        code="engine-directory",
        hint=f"check space and permissions of {root}",
    )
