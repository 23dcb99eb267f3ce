"""The engine of a batch system that is driven by commands: a sandbox for each attempt, a job for each or for a series.

It may be killed at any line. What it is about to submit is on disk before the batch system is asked, under a mark that the
jobs carry; the next engine on the directory asks for the mark before it submits anything again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from nunatak.core.clock import Clock, Keys, system_clock, system_keys
from nunatak.core.errors import Unavailable
from nunatak.core.using import MOST as MOST_USING
from nunatak.core.work import TARGET, Grouping, Reason, Series, TaskSpec
from nunatak.engines.batch import fits
from nunatak.engines.batch.attempts import Attempt, Worker
from nunatak.engines.batch.book import Book, taken
from nunatak.engines.batch.concluding import Conclusions
from nunatak.engines.batch.dialect import Dialect
from nunatak.engines.batch.intake import place as placed
from nunatak.engines.batch.outgoing import Outgoing
from nunatak.engines.batch.run import Run
from nunatak.engines.batch.script import Place
from nunatak.engines.batch.submitting import Sender, singly
from nunatak.engines.batch.system import System
from nunatak.engines.batch.there import Where, shared
from nunatak.engines.batch.watch import Watch
from nunatak.engines.keys import Key, key_of, specs_of, unknown
from nunatak.engines.protocol import ALL_FINE, Capacity, Changes, Handle, LogPart, Nodes, Script

STREAMS = ("stdout", "stderr")
BETWEEN = 0.1
"""Seconds from the end of one member of a series to the beginning of the next, about."""
LOG_PART, LOG_CALL = 256 * 1024, 4 * 1024 * 1024
"""Bytes of one stream, and of all together, that one call of `logs` returns at most."""


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
        there: Where = shared,
        carries: tuple[str, ...] | None = None,
        queue: int = 100,
        interval: float = 10.0,
        settle: float = 30.0,
        keep: bool = False,
        target: float = TARGET,
        clock: Clock = system_clock,
        monotonic: Clock = time.monotonic,
        keys: Keys = system_keys,
    ) -> None:
        """Take over `directory` with whatever an earlier engine left out there; `there` says where its nodes see it.

        `carries` is what `CarriesFiles` says, where the engine does.

        `queue` jobs may wait beside those that run. The batch system is asked every `interval` seconds; an outcome
        that is not there is waited for `settle` seconds after the end, as file systems take their time. A series
        is to take `target` seconds. Raises `Unavailable` while another engine has the directory or it cannot be written.
        """
        self._queue, self._target, self._monotonic = queue, target, monotonic
        self._listens = float("-inf")  # when logs are next looked for over a connection
        self.carries = carries
        self._book = book = Book(directory, keep=keep, token=f"{keys():x}", clock=clock, monotonic=monotonic)
        tag = _tag(book.shelf.root / ".tag", keys)
        self._there = there(book.shelf.root, tag)
        self._system = System(dialect, run, terms, interval, self._ours, monotonic)
        sender = Sender(self._system, book.records, place, self._there, tag, keys)
        self._outgoing = Outgoing(book, self._system, sender)
        self._ends = Conclusions(book, self._there, dialect.name, settle)
        self._watch = Watch(book, self._system, self._there, self._ends, self._outgoing, tag, monotonic)

    @property
    def grouping(self) -> Grouping | None:
        """Return how short tasks are put into series; None where the batch system takes none."""
        cluster = self._system.cluster
        if not self._system.dialect.series or cluster is None:
            return None
        return Grouping(self._target, fits.largest(cluster, self._system.terms).time, overhead=BETWEEN)

    # ---- the six methods

    def submit(self, batch: Sequence[TaskSpec | Series], nodes: Nodes = ALL_FINE) -> list[Handle]:
        """Submit arrays of what agrees. Raises `Unavailable` for more than `capacity().queue`, or if nothing was taken."""
        items = batch if self._system.dialect.series else singly(batch)
        handles = {key_of(spec): self._book.shelf.handle(spec) for item in items for spec in specs_of(item)}
        new = unknown(items, self._book.attempts)
        cluster = self._system.known() if new else None
        self._outgoing.obey(nodes)
        if cluster is not None:
            room = self.capacity().queue
            if sum(bool(self._system.queues(item.shape, cluster)) for item in new) > room:
                raise Unavailable(f"this engine takes {room} more attempts now", code="engine-full", room=room)
            self._submit(placed(self._book.shelf, new, handles))
        return [handles[key_of(spec)] for item in items for spec in specs_of(item)]

    def _submit(self, workers: Sequence[Worker]) -> None:
        """Submit new workers; those that are known from an earlier life and ended are told of only."""
        cluster = self._system.known()
        for worker in workers:
            self._book.enter(worker)
        fresh = [worker for worker in workers if not self._book.recall(worker)]
        never = self._outgoing.refuse(fresh, cluster)
        unsent = self._outgoing.send([worker for worker in fresh if worker not in never], cluster)
        if unsent and len(unsent) == len(workers):
            for worker in unsent:
                self._book.undo(worker)
            raise Unavailable(f"{self._system.name} takes nothing now: {self._system.away}", code="batch-system")
        self._book.unsent.update({worker.place: worker for worker in unsent})

    def poll(self, cursor: str) -> Changes:
        """Look at the batch system if it is time to, and return what changed since `cursor`. Never raises."""
        for key in self._book.news.acknowledge(cursor):
            self._book.forget(key)
        self._there.forget(self._book.take_dropped())
        now = self._monotonic()
        if now >= self._system.due:
            self._watch.look(now)
        self._ends.settle(now)
        return self._book.news.since(cursor)

    def cancel(self, handles: Sequence[Handle]) -> None:
        """End what was not submitted yet; ask the batch system to end the others, now and until they do."""
        for attempt in (self._book.attempts.get(key_of(handle)) for handle in handles):
            if attempt and not (attempt.ended or attempt.stop):
                self._cancel(attempt)
        try:
            self._watch.end_jobs()
        except Unavailable as error:
            self._system.be_away(error.message)

    def _cancel(self, attempt: Attempt) -> None:
        worker = attempt.worker
        if worker.place in self._book.unsent:
            self._book.say(attempt, Reason.TERMINATED, "it was cancelled before it started")
            if not worker.unended():
                self._book.finish(worker)
            return
        self._book.stop([attempt], Reason.TERMINATED, "it was cancelled")
        worker.asked = float("-inf")
        if worker.home and self._there.live and not attempt.begun and taken(attempt):
            self._book.say(attempt, Reason.TERMINATED, "it was cancelled before its turn in the series")

    def adopt(self) -> list[Handle]:
        """Return every attempt whose end has not been acknowledged."""
        return [attempt.box.handle for attempt in self._book.attempts.values()]

    def capacity(self) -> Capacity:
        """Return what one attempt may ask for and could find free; `queue` counts idle cores and places to wait.

        While the batch system is away nothing is wanted. Raises `Unavailable` if it has not answered since the start.
        """
        cluster, terms = self._system.now(), self._system.terms
        waiting = sum(bool(not worker.running and worker.unended()) for worker in self._book.live())
        room = self._queue + fits.idle(cluster, terms) - waiting
        away = self._system.away
        return Capacity(fits.largest(cluster, terms), fits.free(cluster, terms), 0 if away else max(0, room), away)

    def logs(self, offsets: dict[tuple[str, str, str], int]) -> list[LogPart]:
        """Return new bytes of the logs asked for, read from the sandboxes."""
        most = max(1024, min(LOG_PART, LOG_CALL // max(1, len(offsets))))
        self._listen({key[:2] for key in offsets})
        parts = []
        for (address, lease, stream), offset in offsets.items():
            attempt = self._book.attempts.get((address, lease))
            if attempt and stream in STREAMS and offset >= 0:
                data = attempt.box.read(stream, offset, most)
                if data:
                    parts.append(LogPart(attempt.box.handle, stream, offset, data))
        return parts

    def _listen(self, keys: Iterable[Key]) -> None:
        """Have what those that run added to their logs, as often as the batch system is asked."""
        now, found = self._monotonic(), (self._book.attempts.get(key) for key in sorted(keys))
        running = [attempt for attempt in found if attempt and attempt.begun and not attempt.ended]
        if self._there.live or not running or now < self._listens:
            return
        self._listens = now + self._system.interval
        with suppress(Unavailable, OSError):  # another time
            self._there.listen(running)

    # ---- beside the protocol

    def using(self, keys: Sequence[Key]) -> dict[Key, bytes]:
        """Return what attempts used so far, where their sandboxes are shared with the nodes."""
        known = self._book.attempts
        found = {key: known[key].box.read("usage.json", most=MOST_USING) for key in keys if key in known}
        return {key: data for key, data in found.items() if data}

    def scripts(self, handles: Sequence[Handle]) -> list[Script]:
        """Return what was submitted for attempts, those together that share a submission."""
        found: dict[str, list[Attempt]] = {}
        for attempt in (self._book.attempts.get(key_of(handle)) for handle in handles):
            if attempt and attempt.worker.submission:
                found.setdefault(attempt.worker.submission.mark, []).append(attempt)
        return [
            Script(text, tuple(attempt.box.handle for attempt in group))
            for mark, group in found.items()
            if (text := self._book.records.script(self._book.submissions[mark]))
        ]

    def close(self) -> None:
        """Let go of the directory and leave everything running, exactly as a killed engine would."""
        self._book.shelf.close()

    def _ours(self) -> Counter[tuple[str, str]]:
        running = [worker for worker in self._book.live() if worker.running]
        return fits.taken((worker.host, self._system.terms.request(worker.shape)) for worker in running)


def _tag(file: Path, keys: Keys) -> str:
    """Return the word that tells the jobs of this directory from others; made up once."""
    if not file.exists():
        draft = file.with_name(".tag.new")
        draft.write_text(f"{keys() % 16**6:06x}")
        draft.rename(file)
    return file.read_text().strip()
