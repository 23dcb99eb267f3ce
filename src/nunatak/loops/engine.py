"""The engine host: between one engine and the server. It claims, submits, reports, sends logs, and holds no truth.

Killed at any line and started again it finds out from both sides what is going on. While the server is away it keeps
the engine going and loses nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from nunatak.client.engine import EngineClient, Registration
from nunatak.client.problems import TOKEN_CODES
from nunatak.core.clock import Clock, system_clock
from nunatak.core.errors import Conflict, NunatakError
from nunatak.engines.protocol import Capacity, Changes, Engine
from nunatak.loops.engine_claims import Claims
from nunatak.loops.engine_holdings import Holdings
from nunatak.loops.engine_logs import LogCarrier
from nunatak.loops.engine_pace import Absence, HandsBack, Pace, Waits
from nunatak.loops.engine_reports import Reports

__all__ = ["EngineHost", "Pace"]

ANOTHER = "put a new token into the file of this one: it is read again, attempts go on meanwhile"
TROUBLE = 300
"""Characters that the server is told of what is wrong with an engine."""
log = structlog.get_logger("nunatak.engine")


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
        self._pace, self._monotonic = pace or Pace(), monotonic
        self._logs = LogCarrier(engine, server)
        self._holdings = Holdings(engine, server, self._logs)
        self._reports = Reports(server, self._holdings, self._logs, self._pace, monotonic)
        self._claims = Claims(engine, server, self._holdings, self._pace, clock)
        self._absence = Absence(self._pace)
        self._given: Registration | None = None
        self._beaten = self._reconciled = float("-inf")
        self._nap = self._pace.least
        self._void = False  # what runs here was ended, as another process has the name
        self._trouble = ""  # why the engine took nothing when it was asked last

    # ---- the rhythm

    def run(
        self,
        stop: threading.Event,
        ready: Callable[[], None] = lambda: None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        """Go on until `stop` is set; attempts go on after that.

        `ready` is called once the server knows this engine, `alive` in every round.
        """
        told = False
        while not stop.is_set():
            moved = self.tick()
            alive()
            if self.registered and not told:
                told = True
                ready()
            self._sleep(stop, moved)
        self._end()

    def _end(self, seconds: float = 5.0) -> None:
        """Claim no more, give back what waits in this process, and say what there is to say, within `seconds`."""
        self._claims.closed = True
        if isinstance(self._engine, HandsBack):
            self._engine.hand_back()
        until, never = self._monotonic() + seconds, threading.Event()
        self.tick()
        while self.registered and self._reports.pending and not self._absent and self._monotonic() < until:
            self._sleep(never, self.tick())

    def leave(self) -> None:
        """Free the name for another process if nothing is left here; else this one keeps it until its lease is over."""
        if self.registered and not self._holdings and not self._absent:
            with suppress(NunatakError):
                self._server.leave()

    def end_all(self, seconds: float = 100.0) -> None:
        """End every attempt and report it; gives up after `seconds`."""
        self._claims.closed = True
        self._holdings.cancel_all()
        until, never = self._monotonic() + seconds, threading.Event()
        while (self._holdings or self._logs.behind) and self._monotonic() < until:
            self._sleep(never, self.tick())

    @property
    def _absent(self) -> bool:
        return self._monotonic() < self._absence.until

    @property
    def registered(self) -> bool:
        """Tell whether the server knows this process."""
        return self._given is not None

    def tick(self) -> bool:
        """Do all that is due; tell whether anything moved. Never raises an error of the server or of the engine."""
        changes = self._engine.poll(self._reports.cursor)
        now = self._monotonic()
        if now < self._absence.until:
            return False
        try:
            moved = self._round(changes, now)
        except NunatakError as error:
            self._stay_away(error, now)
            return False
        self._absence.over()
        return moved

    def _round(self, changes: Changes, now: float) -> bool:
        given = self._given or self._register(now)
        if now - self._beaten > 2 * given.heartbeat:
            self._holdings.doubtful = True  # it was silent: leases may have been taken back
            self._beat(given, now)  # first of all: to tell what piled up may take as long as is left of the leases
        if self._holdings.doubtful or now - self._reconciled >= self._pace.reconcile:
            unheard = self._holdings.reconcile(self._reports.ended)
            self._reconciled = now
            self._claims.hear_again(unheard, given)
        moved = self._reports.report(changes, given.report_limit, now)
        if moved:
            self._claims.hurry(now)
        self._reports.carry_logs(changes, now)
        self._beat(given, now)
        return self._claim(given, now) or moved

    def _claim(self, given: Registration, now: float) -> bool:
        found = self._claims.claim(given, now)
        self._reports.pending |= found
        return found

    def _sleep(self, stop: threading.Event, moved: bool) -> None:
        """Sleep until something is due, or a worker ends where the engine can tell."""
        pace, now = self._pace, self._monotonic()
        due = [now + pace.idle, self._claims.due, self._reports.due]
        if self._holdings or self._logs.behind:
            due.append(self._beaten + pace.stops)
        away = self._absence.until
        seconds = min(max(*due, away) if now < away else min(due), now + pace.idle) - now
        seconds = max(seconds, pace.least)
        if isinstance(self._engine, Waits):
            while seconds > 0.0 and not stop.is_set() and not self._engine.wait(min(seconds, pace.slice)):
                seconds -= pace.slice
            return
        self._nap = pace.least if moved else min(1.5 * self._nap, pace.look)
        stop.wait(min(seconds, self._nap) if self._holdings else seconds)

    def _stay_away(self, error: NunatakError, now: float) -> None:
        """Leave the server alone for a while; one that does not know this process is told again who it is."""
        if isinstance(error, Conflict):
            self._given = None
        if error.code == "engine-running" and not self._void:
            self._yield()
        if self._given:  # what is wrong with the engine may be news to the server
            self._beaten = min(self._beaten, now - self._given.heartbeat)
        if self._absence.longer(now):
            hint = ANOTHER if error.code in TOKEN_CODES else error.hint
            log.warning("the server does not go along", error=error.message, code=error.code, hint=hint)

    def _yield(self) -> None:
        """End what runs here: another process has the name, which it could take only after our leases were void."""
        try:
            self._holdings.adopt(self._reports.ended)
            self._holdings.cancel_all()
        except NunatakError as error:  # the next refusal comes soon
            log.warning("void attempts could not be ended", error=error.message, code=error.code)
            return
        self._void = True
        if self._holdings:
            log.error("another process took the name of this engine: its attempts end", attempts=len(self._holdings))

    # ---- being known

    def _register(self, now: float) -> Registration:
        node = str(getattr(self._engine, "node", ""))  # of an engine that has only one
        given = self._server.register(self._kind, self._site, _plain(self._engine.capacity()), node)
        self._given, self._beaten, self._holdings.doubtful = given, now, True
        self._void = False
        self._absence.heed(given.heartbeat)
        self._claims.hurry(now)
        log.info("registered", engine=self._server.name)
        return given

    def _beat(self, given: Registration, now: float) -> None:
        """Renew the leases and end what the server wants ended."""
        every = min(given.heartbeat, self._pace.stops) if self._holdings or self._trouble else given.heartbeat
        if now - self._beaten < every:
            return
        capacity = self._engine.capacity()
        stops = self._server.heartbeat(_plain(capacity))
        self._trouble = capacity.trouble
        self._beaten = now
        self._logs.look(self._server.looked)
        self._holdings.pass_on_nodes()
        self._holdings.stop(stops)


def _plain(capacity: Capacity) -> dict[str, Any]:
    found = {"total": capacity.total.to_plain(), "free": capacity.free.to_plain(), "queue": capacity.queue}
    said = " ".join(capacity.trouble.replace("\0", " ").encode("utf-8", "replace").decode().split())[:TROUBLE]
    return {**found, "trouble": said} if said else found
