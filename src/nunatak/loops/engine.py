"""The engine host: between one engine and the server. It claims, submits, reports, sends logs, and holds no truth.

Killed at any line and started again it finds out from both sides what is going on. While the server is away it keeps
the engine going and loses nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import structlog

from nunatak.client.engine import Begun, Claim, EngineClient, Key, Registration, places
from nunatak.core.clock import Clock, system_clock
from nunatak.core.errors import Conflict, NunatakError, Unavailable
from nunatak.core.work import Grouping, Outcome
from nunatak.engines.keys import key_of
from nunatak.engines.protocol import ALL_FINE, Capacity, Change, Changes, Engine, Handle, Nodes, What
from nunatak.loops.engine_logs import LogCarrier
from nunatak.loops.engine_reports import outcome_of, tell, unbegun
from nunatak.loops.engine_specs import Specs

RETURNED = 1000
"""Attempts given back in one request."""
log = structlog.get_logger("nunatak.engine")


@dataclass(frozen=True, slots=True)
class Pace:
    """How often what is done, in seconds, and how much at a time."""

    report: float = 0.1  # between two reports while there is much to say; the first comes at once
    logs: float = 0.5  # between two looks at logs
    stops: float = 1.0  # between two heartbeats while there are attempts that could be stopped
    claim: float = 0.05  # after a claim that found less than was wanted; doubles up to `idle`
    idle: float = 1.0  # longest sleep
    least: float = 0.01  # shortest sleep
    slice: float = 0.25  # how late it notices at most that it has to stop
    look: float = 0.2  # longest sleep while there are attempts, with an engine that cannot tell when one ends
    away: float = 0.2  # first pause after the server did not answer; doubles up to `away_most`
    away_most: float = 10.0
    reconcile: float = 180.0


@runtime_checkable
class Waits(Protocol):
    """An engine that can tell when a worker ends, so that nothing is lost by sleeping."""

    def wait(self, seconds: float) -> bool:
        """Sleep until a worker ends, at most `seconds`; tell whether one did."""


class EngineHost:
    """One engine and its place at the server. Call `tick` again and again, or `run`; from one thread."""

    def __init__(
        self,
        engine: Engine,
        server: EngineClient,
        *,
        kind: str,
        site: str,
        pace: Pace | None = None,
        clock: Clock = system_clock,
        monotonic: Clock = time.monotonic,
    ) -> None:
        """Prepare; nothing is asked or said yet."""
        self._engine, self._server, self._kind, self._site = engine, server, kind, site
        self._pace, self._clock, self._monotonic = pace or Pace(), clock, monotonic
        self._grouping: Grouping | None = getattr(engine, "grouping", None)  # of an engine that takes series
        self._specs, self._logs = Specs(server), LogCarrier(engine, server)
        self._given: Registration | None = None
        self._handles: dict[Key, Handle] = {}
        self._cursor = ""  # what the engine may forget
        self._told: set[tuple[Key, What]] = set()  # of what it does not forget yet
        self._refused: list[Outcome] = []  # attempts that never reached the engine
        self._most = 1  # the largest number of attempts the engine ever asked for
        self._nodes = ALL_FINE  # as the engine was told last
        self._claim_pause = self._away = 0.0
        self._reported = self._logged = self._beaten = self._reconciled = float("-inf")
        self._claim_at = self._away_until = float("-inf")
        self._pending = self._room = self._closing = False
        self._nap = self._pace.least

    # ---- the rhythm

    def run(self, stop: threading.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Go on until `stop` is set; attempts go on after that. `ready` is called once the server knows this engine."""
        told = False
        while not stop.is_set():
            moved = self.tick()
            if self.registered and not told:
                told = True
                ready()
            self._sleep(stop, moved)
        self.tick()

    def end_all(self, seconds: float = 100.0) -> None:
        """End every attempt and report it; gives up after `seconds`."""
        self._closing = True
        self._engine.cancel(list(self._handles.values()))
        until, never = self._monotonic() + seconds, threading.Event()
        while (self._handles or self._logs.behind) and self._monotonic() < until:
            self._sleep(never, self.tick())

    @property
    def registered(self) -> bool:
        """Tell whether the server knows this process."""
        return self._given is not None

    def tick(self) -> bool:
        """Do all that is due; tell whether anything moved. Never raises an error of the server or of the engine."""
        changes = self._engine.poll(self._cursor)
        now = self._monotonic()
        if now < self._away_until:
            return False
        try:
            moved = self._round(changes, now)
            self._away = 0.0
        except Conflict as error:
            self._given = None
            self._stay_away(error, now)
            moved = False
        except NunatakError as error:
            self._stay_away(error, now)
            moved = False
        return moved

    def _round(self, changes: Changes, now: float) -> bool:
        if self._given is None:
            self._register(now)
        if now - self._reconciled >= self._pace.reconcile:
            self._reconcile(now)
        moved = self._report(changes, now)
        self._carry_logs(changes, now)
        self._beat(now)
        return self._claim(now) or moved

    def _sleep(self, stop: threading.Event, moved: bool) -> None:
        """Sleep until something is due, or a worker ends where the engine can tell."""
        pace, now = self._pace, self._monotonic()
        due = [now + pace.idle, self._claim_at if self._room else float("inf")]
        if self._handles or self._logs.behind:
            due += [self._logged + pace.logs, self._beaten + pace.stops]
        if self._pending:
            due.append(self._reported + pace.report)
        seconds = min(max(*due, self._away_until) if now < self._away_until else min(due), now + pace.idle) - now
        seconds = max(seconds, pace.least)
        if isinstance(self._engine, Waits):
            while seconds > 0.0 and not stop.is_set() and not self._engine.wait(min(seconds, pace.slice)):
                seconds -= pace.slice
            return
        self._nap = pace.least if moved else min(1.5 * self._nap, pace.look)
        stop.wait(min(seconds, self._nap) if self._handles else seconds)

    def _stay_away(self, error: NunatakError, now: float) -> None:
        """Leave the server alone for a while."""
        pace = self._pace
        self._away = min(max(pace.away, 2 * self._away), pace.away_most)
        self._away_until = now + self._away
        if self._away == pace.away:
            log.warning("the server does not go along", error=error.message, code=error.code)

    # ---- being known

    def _register(self, now: float) -> None:
        node = str(getattr(self._engine, "node", ""))  # of an engine that has only one
        self._given = self._server.register(self._kind, self._site, _plain(self._engine.capacity()), node)
        self._beaten, self._reconciled = now, float("-inf")
        self._claim_pause, self._claim_at = 0.0, now
        log.info("registered", engine=self._server.name)

    def _beat(self, now: float) -> None:
        """Renew the leases and end what the server wants ended."""
        assert self._given
        every = min(self._given.heartbeat, self._pace.stops) if self._handles else self._given.heartbeat
        if now - self._beaten < every:
            return
        stops = self._server.heartbeat(_plain(self._engine.capacity()))
        self._beaten = now
        self._pass_on_nodes()
        self._engine.cancel([self._handles[key] for key in stops if key in self._handles])
        self._give_back([key for key in stops if key not in self._handles], "the engine does not have it")

    def _nodes_heard(self) -> Nodes:
        return Nodes(self._server.drained, self._server.probed)

    def _pass_on_nodes(self) -> None:
        """Tell the engine which of its nodes are not fine, if that changed."""
        nodes = self._nodes_heard()
        if nodes != self._nodes:
            self._engine.submit([], nodes)
            self._nodes = nodes

    def _reconcile(self, now: float) -> None:
        """Compare what the server believes with what the engine has, and settle the differences."""
        ours = {(handle.address, handle.lease): handle for handle in self._engine.adopt()}
        theirs = set(self._server.leases())
        refused = {(item.address, item.lease) for item in self._refused}
        self._give_back(sorted(theirs - ours.keys() - refused), "the engine lost it")
        self._engine.cancel([handle for key, handle in ours.items() if key not in theirs])
        ended = {key for key, what in self._told if what is What.ENDED}
        self._handles = {key: handle for key, handle in ours.items() if key not in ended}
        self._logs.follow(self._handles.values())
        self._reconciled = now

    def _give_back(self, keys: Sequence[Key], reason: str, unbegun: bool = False) -> None:
        for start in range(0, len(keys), RETURNED):
            self._server.give_back(keys[start : start + RETURNED], reason, unbegun)

    # ---- saying what happened

    def _report(self, changes: Changes, now: float) -> bool:
        """Tell the server what it does not know; tell whether anything ended."""
        fresh = [change for change in changes.changes if (key_of(change.handle), change.what) not in self._told]
        self._pending = bool(fresh or self._refused)
        if not self._pending or now - self._reported < self._pace.report:
            return False
        assert self._given
        most = self._given.report_limit
        self._finish_logs([change.handle for change in fresh if change.what is What.ENDED], now)
        for start in range(0, len(fresh), most):
            self._report_changes(fresh[start : start + most])
        while self._refused:
            tell(self._server, [], self._refused[:most])
            del self._refused[:most]
        self._reported, self._pending = now, False
        ended = any(change.what is What.ENDED for change in fresh)
        if ended:
            self._claim_pause, self._claim_at = 0.0, now
        return ended

    def _finish_logs(self, ended: Sequence[Handle], now: float) -> None:
        """Send what attempts wrote before saying that they ended, so that whoever hears of the end can read it."""
        self._logs.end(ended)
        if not ended:
            return
        try:
            self._logged = now if not self._logs.carry() else float("-inf")
        except NunatakError as error:  # an end is worth more than a log, which is sent again later
            log.warning("logs were not taken", error=error.message, code=error.code)

    def _report_changes(self, fresh: Sequence[Change]) -> None:
        started = [
            Begun(change.handle.address, change.handle.lease, change.at, change.host)
            for change in fresh
            if change.what is What.RUNNING
        ]
        ends = [change for change in fresh if change.what is What.ENDED]
        stale = tell(self._server, started, [outcome_of(change) for change in ends if not unbegun(change)])
        back = [change for change in ends if unbegun(change)]
        if back:
            self._give_back([key_of(change.handle) for change in back], outcome_of(back[0]).message[:200], unbegun=True)
        self._told.update((key_of(change.handle), change.what) for change in fresh)
        for change in ends:
            self._handles.pop(key_of(change.handle), None)
        self._engine.cancel([self._handles[key] for key in stale if key in self._handles])

    def _carry_logs(self, changes: Changes, now: float) -> None:
        """Send logs, and let the engine forget the ends that are reported with whole logs."""
        if now - self._logged >= self._pace.logs:
            more = self._logs.carry()
            self._logged = now if not more else float("-inf")
        if self._pending or self._logs.behind or self._cursor == changes.cursor:
            return
        self._cursor = changes.cursor
        self._told.clear()
        self._logs.forget()

    # ---- getting work

    def _claim(self, now: float) -> bool:
        """Claim and submit as much as the engine wants; tell whether there was anything."""
        want = self._engine.capacity().queue
        self._most = max(self._most, want)
        plenty = self._claim_pause == 0.0 and 2 * want < self._most
        self._room = want >= 1 and not plenty and not self._closing
        if not self._room or now < self._claim_at:
            return False
        assert self._given
        want = min(want, self._given.claim_limit)
        try:
            claims = self._server.claim(self._engine.capacity().total, want, self._grouping)
        except Unavailable:
            self._reconciled = float("-inf")  # the answer may have been lost, with leases in it
            raise
        pace = self._pace
        if places(claims) < want:
            self._claim_pause = min(max(pace.claim, 0.0 if claims else 2 * self._claim_pause), pace.idle)
        else:
            self._claim_pause = 0.0
        self._claim_at = now + self._claim_pause
        self._submit(claims)
        self._pass_on_nodes()
        return bool(claims)

    def _submit(self, claims: Sequence[Claim]) -> None:
        assert self._given
        try:
            batch, refused = self._specs.batch(claims, self._given, self._clock())
            self._refused += refused
            nodes = self._nodes_heard()
            handles = self._engine.submit(batch, nodes) if batch else []
            self._nodes = nodes if batch else self._nodes
        except Unavailable as error:
            self._reconciled = float("-inf")  # in case what follows does not reach the server
            lost = {(item.address, item.lease) for item in self._refused}
            keys = [(claim.address, claim.lease) for claim in claims]
            self._give_back([key for key in keys if key not in lost], error.message[:200])
            raise
        self._handles.update({key_of(handle): handle for handle in handles})
        self._logs.follow(handles)
        self._pending = True


def _plain(capacity: Capacity) -> dict[str, Any]:
    return {"total": capacity.total.to_plain(), "free": capacity.free.to_plain(), "queue": capacity.queue}
