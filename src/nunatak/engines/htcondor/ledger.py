"""What the engine knows of its attempts: told by cursor, kept for the next start. What is heard of them: see `hearing`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from nunatak.core.errors import Unavailable
from nunatak.core.work import Outcome
from nunatak.engines.htcondor.bindings import Condor, Job
from nunatak.engines.htcondor.boxes import Boxes
from nunatak.engines.htcondor.lives import Lives
from nunatak.engines.htcondor.logs import Logs
from nunatak.engines.htcondor.pieces import Piece
from nunatak.engines.htcondor.records import Attempt, Records
from nunatak.engines.htcondor.travel import packed
from nunatak.engines.keys import Key, key_of
from nunatak.engines.news import News
from nunatak.engines.protocol import Change, Changes, Handle, What


class Ledger:
    """All attempts whose ends were not acknowledged, the jobs that they are in, and the event logs that speak of those."""

    def __init__(self, directory: Path, condor: Condor, boxes: Boxes, token: str, log_size: int) -> None:
        """Recall what an earlier engine kept in `directory`; `token` marks the cursors of this life."""
        directory.mkdir(parents=True, exist_ok=True)
        self._boxes = boxes
        self._records = Records(directory / "records.db", f"{directory.name}-{token}")
        self.name = self._records.name
        self.logs = Logs(directory / "events", condor, log_size, self._records.segments())
        self.lives = Lives()
        self._news = News(token)
        self.attempts: dict[Key, Attempt] = {}
        self._homes: dict[str, list[Attempt]] = {}  # the attempts of each job in order, until they are forgotten
        self._jobs: dict[Job, str] = {}  # to its home
        self._orders: dict[int, bytes] = {}  # not written yet
        for attempt in self._records.attempts():
            self._recall(attempt)
        self.waiting = self._waiting()  # the homes of jobs that have not begun
        self.unended = sum(bool(self.left(home)) for home in self._homes)  # jobs that have not ended
        self._last = max((attempt.number for attempt in self.attempts.values()), default=0)
        self._changed: dict[Key, Attempt] = {}
        self._gone: list[int] = []
        self._kept = self.logs.positions()

    # ---- attempts

    def add(self, pieces: Sequence[Piece]) -> list[Attempt]:
        """Enter the attempts of new jobs, which wait; return the first of each."""
        return [self._add(piece) for piece in pieces]

    def _add(self, piece: Piece) -> Attempt:
        home, segment = piece.home, self.logs.newest
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

    def has_begun(self, attempt: Attempt) -> bool:
        """Tell whether the job of an attempt has begun: one of its attempts did."""
        return any(item.begun is not None for item in self.together(attempt))

    def home_of(self, job: Job) -> str:
        """Return the home of a job; "" if it is not ours."""
        return self._jobs.get(job, "")

    def host(self, attempt: Attempt) -> str:
        """Return the machine on which the job of an attempt runs or ran; "" if it is not known."""
        return next((item.host for item in self.together(attempt) if item.host), "")

    def running(self) -> list[str]:
        """Return the machines on which jobs run, each as often as there are jobs."""
        return [item.host for item in self.jobs().values() if item.begun is not None and item.ended is None]

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
                self._forget(attempt)

    def _forget(self, last: Attempt) -> None:
        """Forget the job of an attempt that was the last of it."""
        del self._homes[last.home]
        self.lives.forget(last.home)
        if last.job and self.home_of(last.job) == last.home:  # a queue that was wiped counts from 1 again
            del self._jobs[last.job]
            self.lives.end(last.job)
        self._boxes.discard(last.home)

    def assign(self, attempt: Attempt, job: Job) -> None:
        """Note the job of an attempt and of those that are in it too."""
        for item in self.together(attempt):
            item.job = job
            self._changed[item.key] = item
        self._jobs[job] = attempt.home
        self.lives.begin(job)

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

    def begin(self, attempt: Attempt, at: float, host: str) -> None:
        """Note that an attempt began."""
        attempt.begun, attempt.host = at, host
        self._changed[attempt.key] = attempt
        self._news.add(Change(handle(attempt), What.RUNNING, at, host))

    def finish(self, attempt: Attempt, outcome: Outcome, at: float) -> None:
        """Note how an attempt ended."""
        attempt.ended, attempt.outcome = max(at, attempt.begun or at), json.dumps(outcome.to_plain())
        if not self.left(attempt.home):
            self.waiting.discard(attempt.home)
            self.unended -= 1
            if attempt.job:
                self.lives.end(attempt.job)
        self._changed[attempt.key] = attempt
        self._tell_end(attempt, outcome)

    def handles(self) -> list[Handle]:
        """Return all attempts in the order of their arrival."""
        return [handle(attempt) for attempt in self.attempts.values()]

    # ---- telling and keeping

    def acknowledge(self, cursor: str) -> None:
        """Forget what the caller has recorded."""
        self.drop(self._news.acknowledge(cursor))

    def since(self, cursor: str) -> Changes:
        """Return what changed since a cursor."""
        return self._news.since(cursor)

    def save(self) -> None:
        """Keep what changed. Raises `Unavailable`; then nothing is lost, and the next time all is kept."""
        self.logs.retire(attempt.segment for attempt in self.attempts.values())
        positions = self.logs.positions()
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
        self.logs.close()
        self._records.close()

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
