"""What the engine knows of its attempts: learnt from the event logs, told by cursor, kept for the next start."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nunatak.core.clock import Clock
from nunatak.core.errors import Unavailable
from nunatak.core.work import Outcome, Reason
from nunatak.engines.htcondor import ends
from nunatak.engines.htcondor.bindings import Condor, Job
from nunatak.engines.htcondor.boxes import Boxes
from nunatak.engines.htcondor.events import ENDS, Seen, Word
from nunatak.engines.htcondor.log import EventLog
from nunatak.engines.htcondor.pieces import Piece
from nunatak.engines.htcondor.records import Attempt, Records
from nunatak.engines.htcondor.travel import packed
from nunatak.engines.keys import Key, key_of
from nunatak.engines.news import News
from nunatak.engines.protocol import Change, Changes, Handle, What

_TAKEN = frozenset({Word.EVICTED, Word.HELD, Word.REMOVED})
"""Ends after which files of a job that had begun may be in the schedd's spool."""
_ALSO_THERE = frozenset({Word.EVICTED, Word.REPEATED, Word.HELD, Word.CUT_OFF, Word.BROKEN})
"""Ends after which the job may still be in the queue."""


ONE_START = 2.0
"""Seconds between what the log and the queue say of one beginning: they have clocks of their own."""
EXPLAINED = 3.0
"""Seconds that an eviction is given to turn out to be a hold or a removal."""


@dataclass(frozen=True, slots=True)
class Left:
    """A job that left its node without coming to an end, and what was said of it."""

    home: str
    seen: Seen


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
        self.waiting: set[str] = set()  # the homes of jobs that have not begun
        self.unended = 0  # jobs that have not ended
        self.unwanted: set[Job] = set()
        self._homes: dict[str, list[Attempt]] = {}  # the attempts of each job in order, until they are forgotten
        self._jobs: dict[Job, str] = {}  # to its home
        self._read: dict[str, str] = {}  # where jobs began, by home, of whose beginning a log spoke in this life
        self._rejoined: set[str] = set()  # the homes of jobs whose node was found again
        self._leaving: dict[Job, tuple[Left, float]] = {}  # off their nodes, not ended yet, and until when
        self.leftover: set[Job] = set()  # removed, and still there for their files
        self._orders: dict[int, bytes] = {}  # not written yet
        self._logs = {
            number: EventLog(condor, self._path(number), *rest) for number, rest in self._records.segments().items()
        } or {1: EventLog(condor, self._path(1))}
        for attempt in self._records.attempts():
            self._recall(attempt)
        self.waiting = self._waiting()
        self.unended = sum(bool(self.left(home)) for home in self._homes)
        self._last = max((attempt.number for attempt in self.attempts.values()), default=0)
        self._changed: dict[Key, Attempt] = {}
        self._gone: list[int] = []
        self._kept = self._positions()

    # ---- attempts

    def add(self, pieces: Sequence[Piece]) -> list[Attempt]:
        """Enter the attempts of new jobs, which wait; return the first of each."""
        return [self._add(piece) for piece in pieces]

    def _add(self, piece: Piece) -> Attempt:
        home, segment = piece.home, max(self._logs)
        shape = piece.shape if piece.series else None
        for number, (spec, travel) in enumerate(zip(piece.members, piece.travels, strict=True)):
            self._last += 1
            attempt = Attempt(self._last, key_of(spec), segment, home, number if piece.series else -1)
            self._orders[attempt.number] = packed(spec, travel, shape)
            self._changed[attempt.key] = attempt
            self._enter(attempt)
        self.waiting.add(home)
        self.unended += 1
        return self.attempts[piece.head]

    def _enter(self, attempt: Attempt) -> None:
        self.attempts[attempt.key] = attempt
        self._homes.setdefault(attempt.home, []).append(attempt)
        if attempt.job:
            self._jobs[attempt.job] = attempt.home

    def order(self, attempt: Attempt) -> bytes:
        """Return what was asked for, as it was packed. Raises `Unavailable`."""
        return self._orders.get(attempt.number) or self._records.order(attempt.number)

    def together(self, attempt: Attempt) -> list[Attempt]:
        """Return the attempts of one job that are not forgotten, in order."""
        return self._homes[attempt.home]

    def left(self, home: str) -> list[Attempt]:
        """Return the attempts of a job that have not ended, in order."""
        return [attempt for attempt in self._homes.get(home, ()) if attempt.ended is None]

    def jobs(self) -> dict[str, Attempt]:
        """Return an attempt for each job, by its home: one that has not ended, if there is one."""
        return {home: (self.left(home) or members)[0] for home, members in self._homes.items()}

    def drop(self, keys: Iterable[Key]) -> None:
        """Forget attempts; with the last of a job its box."""
        for key in keys:
            attempt = self.attempts.pop(key)
            self._changed.pop(key, None)
            self._orders.pop(attempt.number, None)
            self._gone.append(attempt.number)
            members = self._homes[attempt.home]
            members.remove(attempt)
            if attempt.ended is None and not self.left(attempt.home):
                self.unended -= 1
                self.waiting.discard(attempt.home)
            if not members:
                del self._homes[attempt.home]
                self._read.pop(attempt.home, None)
                self._rejoined.discard(attempt.home)
                if (
                    attempt.job and self._jobs.get(attempt.job) == attempt.home
                ):  # a queue that was wiped counts from 1 again
                    del self._jobs[attempt.job]
                    self._leaving.pop(attempt.job, None)
                self._boxes.discard(attempt.home)

    def assign(self, attempt: Attempt, job: Job) -> None:
        """Note the job of an attempt and of those that are in it too."""
        for item in self.together(attempt):
            item.job = job
            self._changed[item.key] = item
        self._jobs[job] = attempt.home
        self.unwanted.discard(job)
        self.leftover.discard(job)
        self._leaving.pop(job, None)

    def write_to(self, heads: Iterable[Attempt], log: Path) -> None:
        """Note to which log jobs will write."""
        for head in heads:
            for attempt in self.together(head):
                attempt.segment = int(log.stem)
                self._changed[attempt.key] = attempt

    def stop(self, attempt: Attempt, why: str) -> None:
        """Note why we end an attempt; the first reason counts."""
        attempt.stop = attempt.stop or why
        self._changed[attempt.key] = attempt

    def finish(self, attempt: Attempt, outcome: Outcome, at: float) -> None:
        """Note how an attempt ended."""
        attempt.ended, attempt.outcome = max(at, attempt.begun or at), json.dumps(outcome.to_plain())
        if not self.left(attempt.home):
            self.waiting.discard(attempt.home)
            self.unended -= 1
            if attempt.job:
                self._leaving.pop(attempt.job, None)
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
                self.apply(seen, read=True)
        return damaged

    def apply(self, seen: Seen, *, read: bool = False) -> None:
        """Take in one event, `read` in a log or told by the queue; what is known already, or not ours, changes nothing."""
        home = seen.home if seen.word is Word.SUBMITTED else self._jobs.get(seen.job, "")
        left = self.left(home)
        if not left:
            return
        if seen.word is Word.SUBMITTED and left[0].job is None:
            self.assign(left[0], seen.job)
        elif seen.word is Word.BEGUN:
            self._begin(left, seen, read)
        elif seen.word is Word.REJOINED:
            self._rejoined.add(home)
        elif seen.word is Word.PARTED:
            self._rejoined.discard(home)
        elif seen.word is Word.MEASURED:
            left[0].memory = max(left[0].memory, seen.memory)
        elif seen.word in ENDS:
            self._end(left, seen)

    def _begin(self, left: Sequence[Attempt], seen: Seen, read: bool) -> None:
        """Note that a job began, and with it the first of its attempts; of the others is heard at the end.

        A log speaks once of each beginning, so that of two any time between them tells that the job was begun again. But a
        schedd that was killed before it had noted the beginning has it told again when it has found the node again.
        """
        home = left[0].home
        told = ONE_START if home not in self._read else 0.0
        if home in self._rejoined and self._read.get(home, seen.place) == seen.place:
            told = float("inf")
        if read:
            self._read[home] = seen.place
            self._rejoined.discard(home)
        self.waiting.discard(home)
        begun = next((item.begun for item in self._homes[home] if item.begun is not None), None)
        if begun is None:
            self._began(left[0], seen.at, seen.host)
        elif seen.at - begun > told:
            again = f"HTCondor began it again on {seen.host or 'a node'}, as what looked after it was gone"
            self._end(left, Seen(seen.job, Word.REPEATED, seen.at, self.host(left[0]), again))

    def _began(self, attempt: Attempt, at: float, host: str) -> None:
        attempt.begun, attempt.host = at, host
        self._changed[attempt.key] = attempt
        self._news.add(Change(handle(attempt), What.RUNNING, at, host))

    def _end(self, left: Sequence[Attempt], seen: Seen) -> None:
        if seen.word is Word.FINISHED:
            self._leaving.pop(seen.job, None)
            for attempt in left:
                self.conclude(attempt, seen.text, seen.at)
        elif seen.word in _TAKEN and any(item.begun is not None for item in self.together(left[0])):
            self._take_leave(left[0], seen)
        else:
            self.end_left(Left(left[0].home, seen), back=False)

    def _take_leave(self, attempt: Attempt, seen: Seen) -> None:
        """Note that a job left its node; one that was evicted may turn out to be held or removed, which says more."""
        known = self._leaving.get(seen.job)
        if known and (seen.word is Word.EVICTED or known[0].seen.word is not Word.EVICTED):
            return
        soon = seen.word is not Word.EVICTED or bool(attempt.stop)
        cpu = known[0].seen.cpu if known else seen.cpu
        item = Left(attempt.home, replace(seen, cpu=cpu))
        self._leaving[seen.job] = item, self._monotonic() + (0.0 if soon else EXPLAINED)

    def heard(self, key: Key, at: float) -> bool:
        """Note that an attempt runs, which told so itself; tell whether it is known now.

        Of a series no log says when any but the first begins. One is believed as soon as its job is known to have begun.
        """
        attempt = self.attempts.get(key)
        if attempt is None:
            return False
        if attempt.begun is None and attempt.ended is None:
            if all(item.begun is None for item in self.together(attempt)):
                return False
            self._began(attempt, at, self.host(attempt))
        return True

    def left_their_nodes(self) -> list[Left]:
        """Return jobs that left their nodes without coming to an end, as soon as more is not to be heard."""
        now = self._monotonic()
        return [item for item, until in self._leaving.values() if now >= until]

    def end_left(self, item: Left, back: bool) -> None:
        """End the attempts of a job that HTCondor or a person took; `back`: their files came."""
        seen, left = item.seen, self.left(item.home)
        self._leaving.pop(seen.job, None)
        (self.unwanted if seen.word in _ALSO_THERE else self.leftover).add(seen.job)
        if not left:
            return
        job_began = any(attempt.begun is not None for attempt in self.together(left[0]))
        host = self.host(left[0]) or (seen.host if job_began else "")
        for attempt in left:
            told = ends.end(attempt.key, seen, host, attempt.begun, attempt.memory, attempt.stop)
            if back:
                came = self._boxes.conclude(attempt, self.order(attempt), told.message)
                told = ends.with_what_came(told, came, attempt.stop)
                if attempt.begun is None and told.started is not None and told.reason is not Reason.UNBEGUN:
                    self._began(attempt, told.started, host)
            else:
                told = ends.with_doubt(told)
                if attempt.member >= 0:
                    told = ends.of_a_member(told, attempt.begun is not None, job_began)
            self.finish(attempt, told, seen.at)

    def running(self) -> list[str]:
        """Return the machines on which jobs run, each as often as there are jobs."""
        return [item.host for item in self.jobs().values() if item.begun is not None and item.ended is None]

    def host(self, attempt: Attempt) -> str:
        """Return the machine on which the job of an attempt runs or ran; "" if it is not known."""
        return next((item.host for item in self._homes[attempt.home] if item.host), "")

    def conclude(self, attempt: Attempt, words: str, at: float) -> None:
        """End an attempt by what came back from the node; it is known by the name of its machine, not the node's own."""
        outcome = self._boxes.conclude(attempt, self.order(attempt), words)
        if attempt.stop and outcome.reason in (Reason.UNBEGUN, Reason.LOST):
            outcome = replace(outcome, reason=Reason.TERMINATED, message=attempt.stop)
        host = self.host(attempt)
        if host:
            outcome = replace(outcome, host=host)
        if attempt.begun is None and outcome.started is not None and outcome.reason is not Reason.UNBEGUN:
            self._began(attempt, outcome.started, outcome.host)
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
        self._records.keep(self._changed.values(), self._gone, positions, self._orders)
        self._kept = positions
        self._changed.clear()
        self._orders.clear()
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
        self._enter(attempt)
        if attempt.begun is not None:
            self._news.add(Change(handle(attempt), What.RUNNING, attempt.begun, attempt.host))
        if attempt.ended is not None:
            self._tell_end(attempt, Outcome.from_plain(json.loads(attempt.outcome)))

    def _waiting(self) -> set[str]:
        return {
            home
            for home, members in self._homes.items()
            if all(item.begun is None for item in members) and any(item.ended is None for item in members)
        }

    def _tell_end(self, attempt: Attempt, outcome: Outcome) -> None:
        assert attempt.ended is not None
        host = outcome.host or attempt.host
        self._news.add(Change(handle(attempt), What.ENDED, attempt.ended, host, outcome))


def handle(attempt: Attempt) -> Handle:
    """Return the handle of an attempt."""
    return Handle(*attempt.key, attempt.external)
