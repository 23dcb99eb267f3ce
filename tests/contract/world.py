"""A database with the verbs of the domains around it, and plans to try them on."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, select

from nunatak.core.address import Address, parse
from nunatak.core.clock import ManualClock
from nunatak.core.work import FileRecord, Outcome, Reason, Shape, Usage
from nunatak.datasets.plan import CommandPlan, InputPlan, OutputPlan, Plan, Retry, TaskPlan
from nunatak.db.database import Database
from nunatak.tasks import claim, control, enforcing, fleet, invariants, report, unfold
from nunatak.tasks.choosing import Chooser
from nunatak.tasks.context import Contexts
from nunatak.tasks.lessons import Lessons
from nunatak.tasks.looking import look
from nunatak.tasks.orders import order
from nunatak.tasks.rows import Claimed
from nunatak.tasks.sharing.fits import Offer
from nunatak.tasks.split import Divided, split
from nunatak.tasks.tables import attempts, tasks

BIG = Shape(cpu=64, gpu=8, memory=10**12, disk=10**13, time=10**7, platform="linux/x86_64")
SMALL = Shape().rounded()


def task(
    name: str, *after: str, once: bool = False, inputs: Sequence[str] = (), outputs: Sequence[str] = (), **more
) -> TaskPlan:
    """A task that runs `true`; inputs are written as task/name."""
    sources = [item.split("/") for item in inputs]
    return TaskPlan(
        name=name,
        once=once,
        after=after,
        commands=(CommandPlan(("true",)),),
        inputs=tuple(InputPlan(name=f"{a}-{b}", task=a, output=b) for a, b in sources),
        outputs=tuple(OutputPlan(item) for item in outputs),
        needs={"cpu": 1},
        shape=more.pop("shape", SMALL),
        retry=more.pop("retry", Retry(tries=3, delay=0.0)),
        learn=more.pop("learn", "off"),
        **more,
    )


def chain(jobs: int, length: int = 5) -> Plan:
    """Tasks one after the other."""
    names = [f"t{number}" for number in range(length)]
    return Plan("chain", jobs, tuple(task(name, *names[max(0, n - 1) : n]) for n, name in enumerate(names)))


def diamond(jobs: int) -> Plan:
    """One task, two after it, one after both, and another end."""
    return Plan(
        "diamond",
        jobs,
        (task("a"), task("b", "a"), task("c", "a"), task("d", "b", "c"), task("side", "b")),
    )


def campaign(jobs: int) -> Plan:
    """Once before all jobs, a chain with a gate in the middle, once after all jobs."""
    return Plan(
        "campaign",
        jobs,
        (
            task("tables", once=True, outputs=["tables.npz"]),
            task("reference", once=True),
            task("generate", "tables", inputs=["tables/tables.npz"], outputs=["gen.npz"]),
            task("filter", "generate", "reference", inputs=["generate/gen.npz"], outputs=["l2.npz"]),
            task("analyze", "filter", "tables", once=True, inputs=["filter/l2.npz", "tables/tables.npz"]),
        ),
    )


def divisible(jobs: int, events: int = 600) -> Plan:
    """A task whose parameter may be divided, and one after it."""
    first = replace(task("generate", splittable="events"), commands=(CommandPlan(("x", "{events}")),))
    return Plan("divisible", jobs, (first, task("filter", "generate")), parameters={"events": events})


class World:
    """One installation without its edges."""

    def __init__(self, database: Database, clock: ManualClock, node: str = "") -> None:
        self.database = database
        self.clock = clock
        self.contexts = Contexts()
        self.keys = itertools.count(1000)
        self.chooser = Chooser()
        self.lessons = Lessons(lambda: 0.5)
        self.engine = self.register("local", node=node)

    def register(self, name: str, session: str = "s", site: str = "here", node: str = "") -> int:
        capacity = {"total": BIG.to_plain(), "free": BIG.to_plain(), "queue": 1000}
        return self.database.run(
            lambda tx: fleet.register(tx, name, "simulated", site, session, capacity, 300.0, self.clock(), node).engine
        )

    def submit(self, plan: Plan, owner: str = "alice", team: str = "", priority: float = 1.0) -> int:
        return self.database.run(
            lambda tx: unfold.submit(
                tx,
                self.contexts,
                plan,
                source="",
                filename="r.yaml",
                owner=owner,
                team=team,
                now=self.clock(),
                priority=priority,
            )
        )

    def claim(self, limit: int = 1000, offer: Shape = BIG, engine: int | None = None) -> list[Claimed]:
        asked = claim.Asked(engine or self.engine, Offer(offer, "here"), limit, next(self.keys))

        def work(tx: Connection) -> list[Claimed]:
            places = self.chooser.look(tx, self.contexts, self.clock())
            return claim.claim_many(tx, self.contexts, [asked], places, self.clock())[0]

        return self.database.run(work)

    def start(self, items: Sequence[Claimed]) -> report.Receipt:
        started = [report.Started(key(item), self.clock(), "node1") for item in items]
        return self._report(started, [])

    def end(
        self, items: Sequence[Claimed], reason: Reason = Reason.OK, message: str = "", **more: Any
    ) -> report.Receipt:
        outcomes = [replace(self.outcome(item, reason, message), **more) for item in items]
        return self._report([], [report.Ended(key(item), of) for item, of in zip(items, outcomes, strict=True)])

    def _report(self, started, ended) -> report.Receipt:
        batch = report.Batch(self.engine, started, ended)
        return self.database.run(
            lambda tx: report.report_many(tx, self.contexts, [batch], self.clock(), lambda: 0.5, self.lessons)[0]
        )

    def outcome(self, item: Claimed, reason: Reason, message: str) -> Outcome:
        with self.database.read() as tx:
            plan = self.contexts.one(tx, item.dataset).plan
        name = plan.tasks[item.task].name
        outputs = [
            FileRecord(out.name, f"file:///s/{item.dataset}/{item.job}/{name}/{out.name}", 10, "ab" * 32, out.temporary)
            for out in plan.tasks[item.task].outputs
        ]
        return Outcome(
            str(Address(item.dataset, None if item.job < 0 else item.job, name, item.attempt)),
            f"{item.lease:x}",
            reason,
            message,
            usage=Usage(wall=2.0, cpu=1.5, memory=10**8, disk=10**6),
            outputs=tuple(outputs) if reason is Reason.OK else (),
        )

    def act(self, verb: str, address: str, reason: str = "") -> int:
        return self.act_on(verb, [address], reason)

    def act_on(self, verb: str, addresses: Iterable[str], reason: str = "", *, lenient: bool = False) -> int:
        given = order(verb, map(parse, addresses), "alice", reason, lenient=lenient)
        return self.database.run(lambda tx: control.act(tx, self.contexts, given, self.clock()))

    def enforce(self) -> int:
        return self.database.run(lambda tx: enforcing.enforce(tx, self.contexts, self.clock()))

    def more(self, dataset: int, jobs: int) -> int:
        return self.database.run(
            lambda tx: unfold.more(tx, self.contexts, self.contexts.one(tx, dataset), jobs, "alice", self.clock())
        )

    def split(self, dataset: int, into: int) -> Divided:
        return self.database.run(
            lambda tx: split(tx, self.contexts, self.contexts.one(tx, dataset), into, "alice", self.clock(), apply=True)
        )

    def status(self, address: str) -> dict:
        with self.database.read() as tx:
            return look.status(tx, self.contexts, parse(address), self.clock())

    def faults(self) -> list[str]:
        with self.database.read() as tx:
            return invariants.check(tx, self.contexts)

    def run_to_end(self, limit: int = 1000, most: int = 200) -> int:
        """Claim, start and finish until nothing is left; returns how many attempts ran."""
        ran = 0
        for _ in range(most):
            items = self.claim(limit)
            if not items:
                break
            self.start(items)
            self.end(items)
            ran += len(items)
        return ran

    def rows(self, table=tasks) -> list:
        with self.database.read() as tx:
            return list(tx.execute(select(table)))

    def ledger(self) -> list:
        return self.rows(attempts)


def key(item: Claimed) -> report.Key:
    return (item.dataset, item.job, item.task, item.attempt, item.lease)
