"""The verbs of the domains around a passing database, as the API calls them: the only place where the simulation meets them."""

from __future__ import annotations

import itertools
import random
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from sqlalchemy import Connection

from nunatak.core.clock import Clock
from nunatak.core.states import TaskState
from nunatak.core.work import Shape
from nunatak.datasets.plan import Plan
from nunatak.db import migrate
from nunatak.db.bounds import Bounds
from nunatak.db.database import Database
from nunatak.loops.maintenance import Loop, enforcer
from nunatak.tasks import choosing, claim, fleet, lessons, standings, unfold
from nunatak.tasks import report as reports
from nunatak.tasks.choosing import Chooser
from nunatak.tasks.claim import Asked
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.judging import Key
from nunatak.tasks.lessons import Kept, Lessons
from nunatak.tasks.looking import snapshot, tally
from nunatak.tasks.rows import Claimed
from nunatak.tasks.scoreboard import Scoreboard
from nunatak.tasks.sharing.fits import Offer
from nunatak.tasks.standings import Excluded

FOREVER = 100 * 366 * 86400.0
"""Seconds of a lease: simulated engines do not fall silent."""
STOPS_EVERY, HEALTH_EVERY = 60.0, 600.0
"""Seconds between two ticks; that of health is brought forward when an attempt does not go well."""


@cache
def _empty() -> bytes:
    """Return an empty database of this version, as an installation has it; made once a process."""
    with tempfile.TemporaryDirectory(prefix="nunatak-simulation-") as directory:
        path = Path(directory) / "empty.db"
        database = Database(f"sqlite:///{path}", Bounds(pool=1), passing=True)
        migrate.upgrade(database)
        database.close()
        return path.read_bytes()


class House:
    """An installation without edges, in a directory that goes with it."""

    def __init__(self, clock: Clock, seed: int) -> None:
        """Open an empty one; equal seeds give equal choices."""
        self.clock = clock
        self._directory = tempfile.TemporaryDirectory(prefix="nunatak-simulation-")
        path = Path(self._directory.name) / "passing.db"
        path.write_bytes(_empty())
        self.database = Database(f"sqlite:///{path}", Bounds(pool=2), passing=True)
        self.contexts = Contexts()
        self._random = random.Random(seed)  # noqa: S311 - a simulation has to come out the same again
        self._lessons = Lessons(self._random.random)
        self._chooser = Chooser()
        self._keys = itertools.count(1)

    def close(self) -> None:
        """Forget it all."""
        self.database.close()
        self._directory.cleanup()

    def register(self, name: str, site: str, total: Shape) -> int:
        """Enter an engine and return its number."""
        capacity = {"total": total.to_plain(), "free": total.to_plain(), "queue": 0}

        def work(tx: Connection) -> int:
            return fleet.register(tx, name, "simulated", site, "s", capacity, FOREVER, self.clock()).engine

        return self.database.run(work)

    def submit(self, plan: Plan, owner: str, team: str, priority: float) -> int:
        """Make a dataset of a plan and return its number."""

        def work(tx: Connection) -> int:
            more = {"source": "", "filename": "", "owner": owner, "team": team, "priority": priority}
            return unfold.submit(tx, self.contexts, plan.alone(), now=self.clock(), **more)  # type: ignore[arg-type]

        return self.database.run(work)

    def learn(self, dataset: int, known: Sequence[Kept]) -> None:
        """Let what is known of tasks be known here."""
        if known:
            self.database.run(lambda tx: lessons.put(tx, dataset, known))

    def share(self, rules: Sequence[tuple[str, str, float | None, int | None, int | None]]) -> None:
        """Let what operators say hold here: kind, name, weight, most running, most queued; a later one in place of an earlier."""
        latest = list({rule[:2]: rule for rule in rules}.values())
        self.database.run(lambda tx: snapshot.put_shares(tx, latest, self.clock()))

    def claim(self, wants: Mapping[int, tuple[Offer, int]]) -> dict[int, list[Claimed]]:
        """Lease tasks to engines, each of which offers slots of a kind and wants so many; all in one transaction."""
        asked = [Asked(engine, offer, n, next(self._keys)) for engine, (offer, n) in sorted(wants.items())]

        def work(tx: Connection) -> list[list[Claimed]]:
            places = self._chooser.look(tx, self.contexts, self.clock())
            return claim.claim_many(tx, self.contexts, asked, places, self.clock())

        return {item.engine: got for item, got in zip(asked, self.database.run(work), strict=True)}

    def report(self, batches: Sequence[reports.Batch]) -> list[reports.Receipt]:
        """Take what engines say of attempts, all in one transaction."""

        def work(tx: Connection) -> list[reports.Receipt]:
            chance = self._random.random
            return reports.report_many(tx, self.contexts, batches, self.clock(), chance, self._lessons)

        return self.database.run(work)

    def stops(self, engine: int) -> list[Key]:
        """Return attempts that an engine has to end."""
        with self.database.read() as tx:
            return fleet.stops(tx, engine)

    def loops(self) -> list[Loop]:
        """Return the loops of a server that decide something; those that only tidy up have nothing to do here."""
        scores = Scoreboard(self.database, self.contexts, self.clock, self._random.random, "simulation")
        return [
            Loop("stops", STOPS_EVERY, enforcer(self.database, self.contexts, self.clock)),
            Loop("health", HEALTH_EVERY, scores.tick),
        ]

    def excluded(self) -> Excluded:
        """Return who gets no new work."""
        with self.database.read() as tx:
            return standings.excluded(tx, self.clock())

    def shapes(self, numbers: Sequence[int]) -> dict[int, Shape]:
        """Return shapes by number."""
        with self.database.read() as tx:
            return self.contexts.book.shapes(tx, set(numbers))

    def context(self, dataset: int) -> Context:
        """Return a dataset's plan and graph."""
        with self.database.read() as tx:
            return self.contexts.one(tx, dataset)

    def counts(self) -> dict[tuple[int, int], dict[TaskState, int]]:
        """Return how many tasks are in each state by (dataset, task)."""
        with self.database.read() as tx:
            return tally.counts(tx)

    def ready(self, names: Mapping[int, Sequence[str]]) -> list[tuple[str, Shape]]:
        """Return the names of tasks of which some are ready, with what they ask for."""
        with self.database.read() as tx:
            wants = choosing.wanted(tx, self.contexts, self._chooser.rules, self.clock())
        ready = [item for item in wants.demand if item.ready and item.shape]
        return [(names[item.dataset][item.task], wants.shapes[item.shape]) for item in ready]

    def spent(self) -> list[tally.Spent]:
        """Return what attempts that ended cost."""
        with self.database.read() as tx:
            return tally.spent(tx)

    def ended(self, dataset: int) -> float | None:
        """Return when a dataset was done; None if it is not."""
        return next(item.ended for item in self._endings() if item.dataset == dataset)

    def reason(self, dataset: int) -> str:
        """Say what stopped a dataset, if anything did."""
        return next(item.reason or item.state for item in self._endings() if item.dataset == dataset)

    def _endings(self) -> list[tally.Ending]:
        with self.database.read() as tx:
            return tally.endings(tx)

    def next_try(self) -> float | None:
        """Return when the next task that pauses before another try may go on."""
        with self.database.read() as tx:
            return tally.next_try(tx, self.clock())
