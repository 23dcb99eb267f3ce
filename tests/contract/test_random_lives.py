"""Random orders of submit, claim, report, hold, retry, cancel, split, lease expiry: the invariants hold after each step."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from nunatak.core.clock import ManualClock
from nunatak.core.errors import Conflict, Invalid
from nunatak.core.work import Reason
from nunatak.datasets.plan import Follow, Plan
from nunatak.db.database import Database
from nunatak.loops.following import Following
from nunatak.tasks import fleet
from tests.contract.world import World, campaign, chain, diamond, divisible, key
from tests.services import databases

REASONS = st.sampled_from([Reason.OK, Reason.OK, Reason.OK, Reason.EXIT, Reason.LOST, Reason.MEMORY, Reason.TERMINATED])
PLANS = st.sampled_from([chain, diamond, campaign, divisible])


class Lives(RuleBasedStateMachine):
    """An installation with up to three datasets and one engine whose reports may be late, repeated or never come."""

    @initialize()
    def open(self) -> None:
        self.database = Database(type(self).make_url())
        self.world = World(self.database, ManualClock())
        self.loop = Following(self.database, self.world.contexts, self.world.clock)
        self.out: list = []
        self.datasets: list[tuple[int, Plan]] = []

    @staticmethod
    def make_url() -> str:
        raise NotImplementedError

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()

    @precondition(lambda self: len(self.datasets) < 3)
    @rule(make=PLANS, jobs=st.integers(1, 4), data=st.data())
    def submit(self, make, jobs, data) -> None:
        plan = make(jobs)
        if self.datasets and data.draw(st.sampled_from([True, True, False])):
            plan = self.following(plan, data)
        with suppress(Invalid):  # the other dataset may have fewer jobs
            self.datasets.append((self.world.submit(plan), plan))

    def following(self, plan: Plan, data) -> Plan:
        """Let a task of a plan come after another dataset."""
        other, of = data.draw(st.sampled_from(self.datasets))
        late = data.draw(st.sampled_from(plan.tasks))
        early = data.draw(st.sampled_from([*of.tasks, None]))
        each = (
            early is not None and not early.once and not late.once and data.draw(st.sampled_from([True, True, False]))
        )
        follow = Follow(other, early.name if early else "", each)
        tasks = tuple(replace(task, follows=(follow,)) if task is late else task for task in plan.tasks)
        total = self.world.status(str(other))["jobs"]["total"]
        return replace(plan, tasks=tasks, jobs=data.draw(st.sampled_from([plan.jobs, max(1, min(plan.jobs, total))])))

    @rule(times=st.integers(1, 3))
    def look(self, times) -> None:
        for _ in range(times):
            self.loop.tick()

    @rule(limit=st.integers(1, 6))
    def claim(self, limit) -> None:
        self.out += self.world.claim(limit)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def start(self, data) -> None:
        self.world.start([data.draw(st.sampled_from(self.out))])

    @precondition(lambda self: self.out)
    @rule(data=st.data(), reason=REASONS, n=st.integers(1, 6), forget=st.booleans())
    def end(self, data, reason, n, forget) -> None:
        items = [data.draw(st.sampled_from(self.out)) for _ in range(n)]
        self.world.end(items, reason)
        if forget:
            self.out = [item for item in self.out if item not in items]

    @precondition(lambda self: self.datasets)
    @rule(data=st.data(), verb=st.sampled_from(["hold", "release", "retry", "cancel", "close"]))
    def act(self, data, verb) -> None:
        number, plan = data.draw(st.sampled_from(self.datasets))
        total = self.world.status(str(number))["jobs"]["total"]
        places = [str(number)]
        if verb != "close":
            places += [f"{number}/{job}" for job in range(total)]
            places += [f"{number}/{task.name}" for task in plan.tasks if task.once]
            places += [f"{number}/{job}/{task.name}" for job in range(total) for task in plan.tasks if not task.once]
        with suppress(Conflict):
            self.world.act(verb, data.draw(st.sampled_from(places)))

    @precondition(lambda self: self.datasets)
    @rule(data=st.data(), jobs=st.integers(1, 3))
    def more(self, data, jobs) -> None:
        number, _ = data.draw(st.sampled_from(self.datasets))
        with suppress(Conflict):
            self.world.more(number, jobs)

    @precondition(lambda self: 0 < len(self.datasets) < 5)
    @rule(data=st.data(), into=st.integers(2, 3))
    def split(self, data, into) -> None:
        number, _ = data.draw(st.sampled_from(self.datasets))
        with suppress(Conflict):
            made = self.world.split(number, into).made
            with self.database.read() as tx:
                self.datasets.append((made, self.world.contexts.one(tx, made).plan))

    @rule(seconds=st.sampled_from([-3600.0, 5.0, 100.0, 4000.0]))
    def time_passes(self, seconds) -> None:
        self.world.clock.advance(seconds)

    @rule()
    def reap(self) -> None:
        self.database.run(lambda tx: fleet.reap(tx, self.world.contexts, self.world.clock()))

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def give_back(self, data) -> None:
        item = data.draw(st.sampled_from(self.out))
        self.database.run(
            lambda tx: fleet.give_back(
                tx, self.world.contexts, self.world.engine, [key(item)], "vanished", self.world.clock()
            )
        )

    @rule()
    def finish_all(self) -> None:
        self.world.run_to_end(50, most=10)

    @invariant()
    def all_agrees(self) -> None:
        if hasattr(self, "world"):
            assert self.world.faults() == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_any_order_of_events_keeps_the_invariants(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if kind == "sqlite":
        make = lambda: databases.migrated_file(Path(mkdtemp(dir=tmp_path), "nunatak.db"))  # noqa: E731
    else:
        server = request.getfixturevalue("postgres")
        make = lambda: databases.migrated(server)  # noqa: E731
    machine = type("LivesOn", (Lives,), {"make_url": staticmethod(make)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25 if kind == "sqlite" else 12,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
