"""What an engine host says: what began, how it ended, and the logs; what the server does not take, in words that it does."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import structlog

from nunatak.client.engine import Begun, EngineClient, Key
from nunatak.core.clock import Clock
from nunatak.core.errors import Invalid, NunatakError
from nunatak.core.work import Outcome, Reason
from nunatak.engines.keys import key_of
from nunatak.engines.protocol import Change, Changes, Handle, What
from nunatak.loops.engine_courses import courses_of, without_course
from nunatak.loops.engine_holdings import Holdings
from nunatak.loops.engine_logs import LogCarrier
from nunatak.loops.engine_pace import Pace

BUSY = 0.5
"""Seconds that a pause lasts longer than the report before it, at most; it is twice as long as a shorter one."""
log = structlog.get_logger("nunatak.engine")


def unbegun(change: Change) -> bool:
    """Tell whether an attempt ended before anything of it was tried: it is given back, and not reported."""
    return change.outcome is not None and change.outcome.reason is Reason.UNBEGUN


def outcome_of(change: Change) -> Outcome:
    """Return how an attempt ended, under the address and lease by which the engine knows it."""
    handle = change.handle
    if change.outcome is None:
        return Outcome(handle.address, handle.lease, Reason.LOST, "it ended without a word", ended=change.at)
    told = without_course(change.outcome)
    if (told.address, told.lease) == (handle.address, handle.lease):
        return told
    return replace(told, address=handle.address, lease=handle.lease)


def tell(server: EngineClient, started: Sequence[Begun], ended: Sequence[Outcome]) -> list[Key]:
    """Report, and return what is stale; what the server does not understand is found by halves, and reported as such."""
    if not started and not ended:
        return []
    try:
        return server.report(started, ended)
    except (Invalid, ValueError, TypeError) as error:
        if len(started) + len(ended) == 1:
            return _tell_plainly(server, ended, str(error))
    if started and ended:
        return tell(server, started, []) + tell(server, [], ended)
    half = (len(started) + len(ended)) // 2
    return tell(server, started[:half], ended[:half]) + tell(server, started[half:], ended[half:])


def _tell_plainly(server: EngineClient, ended: Sequence[Outcome], why: str) -> list[Key]:
    try:
        return server.report([], [_not_understood(item, why) for item in ended]) if ended else []
    except (Invalid, ValueError, TypeError):
        log.error("an end cannot be reported; its lease will run out", attempts=[item.address for item in ended])
        return []


def _not_understood(outcome: Outcome, why: str) -> Outcome:
    message = f"its outcome was not understood by the server: {why[:500]}"
    return Outcome(outcome.address, outcome.lease, Reason.INVALID, message)


class Reports:
    """Tells the server what it does not know yet, and lets the engine forget what is told with whole logs."""

    def __init__(
        self, server: EngineClient, holdings: Holdings, logs: LogCarrier, pace: Pace, monotonic: Clock = time.monotonic
    ) -> None:
        """Begin with nothing told."""
        self._monotonic = monotonic
        self._server, self._holdings, self._logs, self._pace = server, holdings, logs, pace
        self._told: set[tuple[Key, What]] = set()  # of what the engine does not forget yet
        self._reported = self._logged = float("-inf")
        self._pause = pace.report
        self.cursor = ""
        """What the engine may forget."""
        self.pending = False
        """Whether there is something to say."""

    @property
    def due(self) -> float:
        """Return when something is to be said or looked at."""
        looking = bool(self._holdings) or self._logs.behind
        logs = self._logged + self._pace.logs if looking else float("inf")
        return min(logs, self._reported + self._pause if self.pending else float("inf"))

    @property
    def ended(self) -> set[Key]:
        """Return the attempts whose end was told and is not forgotten by the engine yet."""
        return {key for key, what in self._told if what is What.ENDED}

    def report(self, changes: Changes, most: int, now: float) -> bool:
        """Tell what is new, at most `most` in a request; tell whether anything ended."""
        refused = self._holdings.refused
        if now - self._reported < self._pause:
            self.pending = self.pending or bool(changes.changes or refused)  # it is looked at when it is due
            return False
        fresh = [change for change in changes.changes if (key_of(change.handle), change.what) not in self._told]
        self.pending = bool(fresh or refused)
        if not self.pending:
            return False
        self._logs.begin(change.handle for change in fresh if change.what is What.RUNNING)
        ended = [change.handle for change in fresh if change.what is What.ENDED]
        self._logs.courses(courses_of(fresh))
        self._finish_logs(ended)
        for start in range(0, len(fresh), most):
            self._tell(fresh[start : start + most])
        while refused:
            tell(self._server, [], refused[:most])
            del refused[:most]
        self._reported, self.pending = now, False
        took = self._monotonic() - now
        self._pause = max(self._pace.report, took + min(took, BUSY))  # a server that is busy is told more at a time
        return bool(ended)

    def _finish_logs(self, ended: Sequence[Handle]) -> None:
        """Send what attempts wrote before saying that they ended, so that whoever hears of the end can read it."""
        self._logs.end(ended)
        if not ended:
            return
        try:
            if self._logs.carry(live=False):
                self._logged = float("-inf")
        except NunatakError as error:  # an end is worth more than a log, which is sent again later
            log.warning("logs were not taken", error=error.message, code=error.code)

    def _tell(self, fresh: Sequence[Change]) -> None:
        started = [
            Begun(change.handle.address, change.handle.lease, change.at, change.host)
            for change in fresh
            if change.what is What.RUNNING
        ]
        ends = [change for change in fresh if change.what is What.ENDED]
        stale = tell(self._server, started, [outcome_of(change) for change in ends if not unbegun(change)])
        back = [change for change in ends if unbegun(change)]
        if back:
            said = outcome_of(back[0]).message[:200]
            self._holdings.give_back([key_of(change.handle) for change in back], said, unbegun=True)
        self._told.update((key_of(change.handle), change.what) for change in fresh)
        self._holdings.drop(key_of(change.handle) for change in ends)
        self._holdings.cancel(stale)

    def carry_logs(self, changes: Changes, now: float) -> None:
        """Send logs, and let the engine forget the ends that are reported with whole logs."""
        if now - self._logged >= self._pace.logs:
            more = self._logs.carry()
            self._logged = now if not more else float("-inf")
        if self.pending or self._logs.behind or self.cursor == changes.cursor:
            return
        self.cursor = changes.cursor
        self._told.clear()
        self._logs.forget()
