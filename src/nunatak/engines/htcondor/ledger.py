"""What the engine knows of its attempts: learnt from the event logs, told by cursor, kept for the next start."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from nunatak.core.clock import Clock
from nunatak.core.errors import Unavailable
from nunatak.core.work import Outcome, TaskSpec
from nunatak.engines.htcondor import ends
from nunatak.engines.htcondor.bindings import Condor, Job
from nunatak.engines.htcondor.boxes import Boxes
from nunatak.engines.htcondor.events import ENDS, Seen, Word
from nunatak.engines.htcondor.log import EventLog
from nunatak.engines.htcondor.records import Attempt, Records
from nunatak.engines.keys import Key
from nunatak.engines.news import News
from nunatak.engines.protocol import Change, Changes, Handle, What

_ALSO_THERE = frozenset({Word.EVICTED, Word.REPEATED, Word.HELD, Word.CUT_OFF, Word.BROKEN})
"""Ends after which the job may still be in the queue."""


ONE_START = 2.0
"""Seconds between two words of one beginning: the log and the queue have clocks of their own."""
EXPLAINED = 3.0
"""Seconds that an eviction is given to turn out to be a hold or a removal."""


class Ledger:
    """All attempts whose ends were not acknowledged, and the event logs that speak of them.

    Jobs write to the newest log; a log is deleted when nobody needs it any more, so that none grows for ever.
    """

    def __init__(
        self, directory: Path, condor: Condor, boxes: Boxes, token: str, log_size: int, monotonic: Clock
    ) -> None:
        """Recall what an earlier engine kept in `directory`; `token` marks the cursors of this life."""
        self._monotonic = monotonic
        self._events, self._condor, self._boxes, self._log_size = directory / "events", condor, boxes, log_size
        self._events.mkdir(parents=True, exist_ok=True)
        self._records = Records(directory / "records.db", f"{directory.name}-{token}")
        self.name = self._records.name
        self._news = News(token)
        self.attempts: dict[Key, Attempt] = {}
        self.waiting: set[Key] = set()
        self.unwanted: set[Job] = set()
        self._jobs: dict[Job, Key] = {}
        self._evicted: dict[Key, tuple[Seen, float]] = {}  # not ended yet, and until when
        self._logs = {
            number: EventLog(condor, self._path(number), *rest) for number, rest in self._records.segments().items()
        } or {1: EventLog(condor, self._path(1))}
        for attempt in self._records.attempts():
            self._recall(attempt)
        self._last = max((attempt.number for attempt in self.attempts.values()), default=0)
        self._changed: dict[Key, Attempt] = {}
        self._gone: list[int] = []
        self._kept = self._positions()

    # ---- attempts

    def add(self, specs: Sequence[TaskSpec]) -> list[Attempt]:
        """Enter new attempts, which wait."""
        found = []
        for spec in specs:
            self._last += 1
            attempt = Attempt(self._last, (spec.address, spec.lease), max(self._logs))
            self.attempts[attempt.key] = self._changed[attempt.key] = attempt
            self.waiting.add(attempt.key)
            found.append(attempt)
        return found

    def drop(self, keys: Iterable[Key]) -> None:
        """Forget attempts with their boxes."""
        for key in keys:
            attempt = self.attempts.pop(key)
            self.waiting.discard(key)
            self._changed.pop(key, None)
            self._evicted.pop(key, None)
            self._gone.append(attempt.number)
            if attempt.job and self._jobs.get(attempt.job) == key:  # a queue that was wiped counts from 1 again
                del self._jobs[attempt.job]
            self._boxes.discard(key)

    def assign(self, attempt: Attempt, job: Job) -> None:
        """Note the job of an attempt."""
        attempt.job = job
        self._jobs[job] = attempt.key
        self.unwanted.discard(job)
        self._changed[attempt.key] = attempt

    def write_to(self, attempts: Iterable[Attempt], log: Path) -> None:
        """Note to which log jobs will write."""
        for attempt in attempts:
            attempt.segment = int(log.stem)
            self._changed[attempt.key] = attempt

    def stop(self, attempt: Attempt, why: str) -> None:
        """Note why we end an attempt; the first reason counts."""
        attempt.stop = attempt.stop or why
        self._changed[attempt.key] = attempt

    def finish(self, attempt: Attempt, outcome: Outcome, at: float) -> None:
        """Note how an attempt ended."""
        self._evicted.pop(attempt.key, None)
        attempt.ended, attempt.outcome = max(at, attempt.begun or at), json.dumps(outcome.to_plain())
        self.waiting.discard(attempt.key)
        self._changed[attempt.key] = attempt
        self._tell_end(attempt, outcome)

    def handles(self) -> list[Handle]:
        """Return all attempts in the order of their arrival."""
        return [handle(attempt) for attempt in self.attempts.values()]

    # ---- learning

    def log(self) -> Path:
        """Return the log for new jobs, a new one if the newest is long or cannot be read."""
        newest = max(self._logs)
        if self._logs[newest].spoilt or self._logs[newest].size() > self._log_size:
            newest += 1
            self._logs[newest] = EventLog(self._condor, self._path(newest))
        return self._logs[newest].path

    def learn(self, most: int) -> bool:
        """Take in at most `most` events of each log; tell whether something may have been missed."""
        damaged = False
        for log in list(self._logs.values()):
            news = log.read(most)
            damaged = damaged or news.damaged
            for seen in news.seen:
                self.apply(seen)
        self._settle_evictions()
        return damaged

    def apply(self, seen: Seen) -> None:
        """Take in one event; what is known already, or not ours, changes nothing."""
        key = seen.key if seen.word is Word.SUBMITTED else self._jobs.get(seen.job)
        attempt = self.attempts.get(key) if key else None
        if attempt is None or attempt.ended is not None:
            return
        if seen.word is Word.SUBMITTED:
            if attempt.job is None:
                self.assign(attempt, seen.job)
        elif seen.word is Word.BEGUN:
            self._begin(attempt, seen)
        elif seen.word is Word.MEASURED:
            attempt.memory = max(attempt.memory, seen.memory)
        elif seen.word in ENDS:
            self._end(attempt, seen)

    def _begin(self, attempt: Attempt, seen: Seen) -> None:
        if attempt.begun is not None and seen.at - attempt.begun > ONE_START:
            again = f"HTCondor began it again on {seen.host or 'a node'}, as what looked after it was gone"
            self._end(attempt, Seen(seen.job, Word.REPEATED, seen.at, attempt.host, again))
        if attempt.begun is None:
            attempt.begun, attempt.host = seen.at, seen.host
            self.waiting.discard(attempt.key)
            self._changed[attempt.key] = attempt
            self._news.add(Change(handle(attempt), What.RUNNING, seen.at, seen.host))

    def _end(self, attempt: Attempt, seen: Seen) -> None:
        if seen.word is Word.EVICTED and attempt.key not in self._evicted:
            self._evicted[attempt.key] = seen, self._monotonic() + EXPLAINED
            return
        if seen.word in _ALSO_THERE:
            self.unwanted.add(seen.job)
        if seen.word is Word.FINISHED:
            self.conclude(attempt, seen.text, seen.at)
            return
        outcome = ends.end(attempt.key, seen, attempt.host, attempt.begun, attempt.memory, attempt.stop)
        self.finish(attempt, outcome, seen.at)

    def _settle_evictions(self) -> None:
        """End what was evicted, and for some seconds not held or removed: these begin with an eviction, and say more."""
        now = self._monotonic()
        for seen, until in list(self._evicted.values()):
            if now >= until:
                self.apply(seen)

    def conclude(self, attempt: Attempt, words: str, at: float) -> None:
        """End an attempt by what came back from the node; it is known by the name of its machine, not the node's own."""
        outcome = self._boxes.conclude(attempt.key, words)
        if attempt.host:
            outcome = replace(outcome, host=attempt.host)
        self.finish(attempt, outcome, at if outcome.ended is None else outcome.ended)

    # ---- telling and keeping

    def acknowledge(self, cursor: str) -> None:
        """Forget what the caller has recorded."""
        self.drop(self._news.acknowledge(cursor))

    def since(self, cursor: str) -> Changes:
        """Return what changed since a cursor."""
        return self._news.since(cursor)

    def save(self) -> None:
        """Keep what changed. Raises `Unavailable`; then nothing is lost, and the next time all is kept."""
        self._retire()
        positions = self._positions()
        if not (self._changed or self._gone or positions != self._kept):
            return
        self._records.keep(self._changed.values(), self._gone, positions)
        self._kept = positions
        self._changed.clear()
        self._gone.clear()

    def save_if_possible(self) -> None:
        """Keep what changed, now or another time."""
        try:
            self.save()
        except Unavailable:
            return

    def close(self) -> None:
        """Let go of all files."""
        for log in self._logs.values():
            log.close()
        self._records.close()

    def _retire(self) -> None:
        """Delete logs that no attempt writes to any more, and what HTCondor wrote to deleted ones."""
        newest = max(self._logs)
        if len(self._logs) == 1:
            return
        needed = {attempt.segment for attempt in self.attempts.values()} | {newest}
        for number in [number for number in self._logs if number not in needed]:
            self._logs.pop(number).close()
        for path in self._events.glob("*.log"):
            if path.stem.isdigit() and int(path.stem) not in self._logs:
                path.unlink(missing_ok=True)

    def _positions(self) -> dict[int, tuple[int, bytes]]:
        return {number: (log.position, log.mark) for number, log in self._logs.items()}

    def _path(self, number: int) -> Path:
        return self._events / f"{number:06d}.log"

    def _recall(self, attempt: Attempt) -> None:
        self.attempts[attempt.key] = attempt
        if attempt.job:
            self._jobs[attempt.job] = attempt.key
        if attempt.begun is not None:
            self._news.add(Change(handle(attempt), What.RUNNING, attempt.begun, attempt.host))
        if attempt.ended is not None:
            self._tell_end(attempt, Outcome.from_plain(json.loads(attempt.outcome)))
        elif attempt.begun is None:
            self.waiting.add(attempt.key)

    def _tell_end(self, attempt: Attempt, outcome: Outcome) -> None:
        assert attempt.ended is not None
        host = outcome.host or attempt.host
        self._news.add(Change(handle(attempt), What.ENDED, attempt.ended, host, outcome))


def handle(attempt: Attempt) -> Handle:
    """Return the handle of an attempt."""
    return Handle(*attempt.key, attempt.external)
