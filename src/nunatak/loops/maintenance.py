"""Loops that keep house: silent engines lose their leases, nodes that fail get no work, old files, logs and answers go.

Each loop is a thread with a `tick`; among several server processes one at a time leads it, by a lease in the database.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection

from nunatak.accounts import repeats
from nunatak.core.address import Address
from nunatak.core.clock import Clock
from nunatak.core.errors import Invalid, NunatakError, Refused, Unavailable
from nunatak.db.database import Database
from nunatak.loops.clock_watch import ClockWatch
from nunatak.loops.following import Following
from nunatak.storage.protocol import Storage
from nunatak.tasks import cleanup, curve, enforcing, fleet, leaders, standings, use_by_day
from nunatak.tasks.context import Contexts
from nunatak.tasks.logs.keeping import LogStore
from nunatak.tasks.scoreboard import Scoreboard
from nunatak.tasks.site_use import SiteUse

log = structlog.get_logger("nunatak.loops")

LEAD_SECONDS = 30.0
LONGEST_BACK_OFF = 60.0
LEAST_GAP = 2.0
"""Seconds between two looks for silent engines which are nothing remarkable on a busy machine, however short leases are."""
LONGEST_AWAY = 5.0
"""Seconds between two tries while the database does not go along."""
FILES = 500
ANSWERS = 1000


@dataclass(frozen=True)
class Loop:
    """Something to be done every `interval` seconds; `tick` does a bounded part and tells whether more is left."""

    name: str
    interval: float
    tick: Callable[[], bool]


class Reaper:
    """Takes back the leases of engines that fell silent, and closes the logs of what they ran.

    An engine cannot be heard while the server is away: after a start, or half a lease in which nothing worked here or
    nobody at all was heard, all get a quarter of a lease to say that they are alive. A silence of all ends with two leases.
    """

    def __init__(
        self, database: Database, contexts: Contexts, logs: LogStore, clock: Clock, lease: float = 0.0
    ) -> None:
        """Use these; `lease` is how long engines may be silent, in seconds (0: what is over is taken back at once)."""
        self.database, self.contexts, self.logs, self.clock = database, contexts, logs, clock
        self._watch = ClockWatch(database, clock)
        self._grace, self._gap = lease / 4, max(LEAST_GAP, lease / 2)
        self._patience = 2 * lease - self._grace
        self._since = self._last = float("-inf")

    def tick(self) -> bool:
        """Look without a write first: there is seldom anything to take back."""
        self._watch.look()
        now = self.clock()
        last = self._last
        self._last = float("-inf")  # a look that fails is none: engines may not have been heard either
        if not 0 <= now - last <= self._gap or self._silent(now):
            self._since = now
        more = now - self._since >= self._grace and self._reap(now)
        self._last = now
        return more

    def _silent(self, now: float) -> bool:
        """Tell whether nobody is heard, so that it may be the way to the server that is cut; for ever, it is not."""
        with self.database.read() as tx:
            return self._gap < now - fleet.heard(tx) < self._patience

    def _reap(self, now: float) -> bool:
        with self.database.read() as tx:
            if not cleanup.late_attempts(tx, self.contexts, now, 1):
                return False

        def work(tx: Connection) -> tuple[list[Address], int]:
            return cleanup.late_attempts(tx, self.contexts, now, fleet.PAGE), fleet.reap(tx, self.contexts, now)

        addresses, taken = self.database.run(work)
        log.warning("leases ran out", tasks=taken)
        self.logs.finish(addresses)
        return taken >= fleet.PAGE


class FileCleaner:
    """Deletes temporary files whose jobs are done. Deleting twice is no error, so a crash in between costs nothing.

    What a worker reported says where its files are; nothing is deleted that does not lie below its own dataset's place.
    """

    def __init__(self, database: Database, storage: Storage, store: str) -> None:
        """Use these; `store` is the URL prefix below which each dataset has its place."""
        self.database, self.storage, self.store = database, storage, store

    def tick(self) -> bool:
        """Delete a page of files, then forget them; those that can never be deleted are given up."""
        with self.database.read() as tx:
            files = cleanup.expired(tx, FILES)
        if not files:
            return False
        own = [url for url, dataset in files if url.startswith(f"{self.store}/{dataset}/")]
        strange = sorted({url for url, _ in files} - set(own))
        if strange:
            log.warning("files that are not their dataset's are not deleted", files=len(strange), example=strange[0])
        hopeless = self._delete(own) if own else []
        gone = sorted(set(own) - set(hopeless))
        self.database.run(lambda tx: cleanup.settle(tx, gone, [*hopeless, *strange]))
        return len(files) == FILES

    def _delete(self, urls: Sequence[str]) -> list[str]:
        """Delete; returns those that this storage refuses. Raises `Unavailable` where trying again may help."""
        try:
            self.storage.delete(urls)
            return []
        except (Invalid, Refused):
            pass
        hopeless = []
        for url in urls:
            try:
                self.storage.delete([url])
            except (Invalid, Refused) as error:
                log.warning("a temporary file cannot be deleted", url=url, error=str(error))
                hopeless.append(url)
        return hopeless


def enforcer(database: Database, contexts: Contexts, clock: Clock) -> Callable[[], bool]:
    """Return a tick that ends what slipped through while a dataset was being held or cancelled."""

    def tick() -> bool:
        with database.read() as tx:
            if not enforcing.stopped_but_live(tx):
                return False
        return database.run(lambda tx: enforcing.enforce(tx, contexts, clock())) > 0

    return tick


class Withdrawer:
    """Takes back what waits at engines whose only node was drained: at once, and once more for claims under way then."""

    def __init__(self, database: Database, contexts: Contexts, clock: Clock) -> None:
        """Begin with every engine at work."""
        self.database, self.contexts, self.clock = database, contexts, clock
        self._idle: dict[int, int] = {}

    def tick(self) -> bool:
        """Look at those that became idle; nothing is written while none did."""
        now = self.clock()
        with self.database.read() as tx:
            idle = standings.idle_engines(tx, now)
        self._idle = {engine: self._idle.get(engine, 0) for engine in idle}
        fresh = [engine for engine, times in self._idle.items() if times < 3]
        if not fresh:
            return False
        taken = self.database.run(lambda tx: fleet.withdraw(tx, self.contexts, fresh, now))
        if taken < fleet.PAGE:
            for engine in fresh:
                self._idle[engine] += 1
        return taken >= fleet.PAGE


class CurveKeeper:
    """Notes how many tasks of each open dataset are in each state, at moments ever further apart."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Begin with the first dataset."""
        self.database, self.clock, self._after = database, clock, 0

    def tick(self) -> bool:
        """Note a page of those that are due; nothing is written while none is."""
        now, after = self.clock(), self._after
        with self.database.read() as tx:
            if not curve.due(tx, now, after):
                self._after = 0
                return False
        self._after = self.database.run(lambda tx: curve.keep(tx, now, after))
        return self._after > 0


def loops_of(
    database: Database,
    contexts: Contexts,
    storage: Storage,
    logs: LogStore,
    clock: Clock,
    *,
    store: str,
    interval: float,
    lease: float,
    chance: Callable[[], float] = random.random,
) -> list[Loop]:
    """Return every loop of a server; `store` is a URL prefix, `interval` and `lease` are seconds, as in the settings."""
    reaper = Reaper(database, contexts, logs, clock, lease)
    cleaner = FileCleaner(database, storage, store.rstrip("/"))
    scoreboard = Scoreboard(database, contexts, clock, chance, uuid.uuid4().hex)
    return [
        Loop("reap", max(interval, min(lease / 20, 15.0)), reaper.tick),
        Loop("stops", max(interval, 1.0), enforcer(database, contexts, clock)),
        Loop("withdraw", max(interval, 1.0), Withdrawer(database, contexts, clock).tick),
        Loop("follow", max(interval, 1.0), Following(database, contexts, clock).tick),
        Loop("health", max(interval, 1.0), scoreboard.tick),
        Loop("progress", max(interval, 5.0), CurveKeeper(database, clock).tick),
        Loop("sites", max(interval, 30.0), SiteUse(database, clock).tick),
        Loop("usage", max(interval, 60.0), lambda: use_by_day.tick(database, clock())),
        Loop("files", max(interval, 2.0), cleaner.tick),
        Loop("logs", max(interval, 60.0), lambda: logs.expire(clock()) > 0),
        Loop(
            "answers",
            max(interval, 300.0),
            lambda: database.run(lambda tx: repeats.forget_old(tx, clock(), ANSWERS)) >= ANSWERS,
        ),
    ]


class Runner:
    """Runs one loop in a thread while this process leads it; errors are logged, and tried again later and later."""

    def __init__(self, loop: Loop, database: Database, clock: Clock, holder: str) -> None:
        """Prepare; `holder` names this process among all."""
        self.loop, self.database, self.clock, self.holder = loop, database, clock, holder
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"loop-{loop.name}", daemon=True)
        self._until = 0.0
        self._failures = 0
        self.began: float | None = None  # of the round it is in, by the monotonic clock

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the loop to end after the tick it is in."""
        self._stop.set()

    def join(self, seconds: float) -> bool:
        """Wait for the end; tells whether it came."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def step(self) -> float:
        """Lead and tick once; returns the seconds to wait before the next step."""
        try:
            more = self._lead() and self.loop.tick()
        except NunatakError as error:
            return self._back_off(error)
        except Exception as error:  # noqa: BLE001 - a loop outlives whatever its tick meets
            return self._back_off(error)
        self._failures = 0
        return 0.0 if more else self.loop.interval

    def _lead(self) -> bool:
        now = self.clock()
        if not now + LEAD_SECONDS / 2 < self._until <= now + LEAD_SECONDS:
            led = self.database.run(lambda tx: leaders.elect(tx, self.loop.name, self.holder, LEAD_SECONDS, now))
            self._until = now + LEAD_SECONDS if led else 0.0
        return self._until > now

    def _back_off(self, error: Exception) -> float:
        self._failures += 1
        away = isinstance(error, Unavailable) and error.code.startswith("database")
        longest = LONGEST_AWAY if away else LONGEST_BACK_OFF
        pause: float = min(max(self.loop.interval, 0.5) * 2 ** min(self._failures, 10), longest)
        if away:
            return pause  # the database has said so once, for all loops
        unexpected = not isinstance(error, NunatakError)
        log.error("loop", loop=self.loop.name, error=str(error), again=pause, exc_info=error if unexpected else None)
        return pause

    def _run(self) -> None:
        pause = 0.0
        while not self._stop.wait(pause):
            self.began = time.monotonic()
            pause = self.step()
            self.began = None
        try:
            self.database.run(lambda tx: leaders.resign(tx, self.loop.name, self.holder))
        except Exception as error:  # noqa: BLE001 - the lease runs out by itself
            log.warning("loop", loop=self.loop.name, error=str(error))


class Maintenance:
    """All loops of one process."""

    def __init__(self, loops: Sequence[Loop], database: Database, clock: Clock, holder: str) -> None:
        """Prepare one thread a loop."""
        self.runners = [Runner(loop, database, clock, holder) for loop in loops]

    def start(self) -> None:
        """Begin all."""
        for runner in self.runners:
            runner.start()

    def longest(self) -> float:
        """Return for how many seconds the longest of the rounds under way has been going on."""
        now = time.monotonic()
        return max((now - began for runner in self.runners if (began := runner.began) is not None), default=0.0)

    def stop(self, seconds: float = 5.0) -> bool:
        """Ask all to end and wait for that; tells whether all did."""
        for runner in self.runners:
            runner.stop()
        ended = [runner.join(seconds) for runner in self.runners]
        return all(ended)
