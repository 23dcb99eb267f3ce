"""Claims and reports of many engines share transactions: hundreds of small requests a second become few commits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from nunatak.api import keys, outcomes
from nunatak.api.demand import DemandMemory
from nunatak.api.exclusion import excluded_now, nodes_plain
from nunatak.api.requests import dumps
from nunatak.api.services import Services
from nunatak.api.together import Together
from nunatak.core.address import ONCE
from nunatak.core.errors import Conflict
from nunatak.core.work import Grouping, Shape
from nunatak.datasets import store as datasets_store
from nunatak.db.statement import Row
from nunatak.tasks import fleet
from nunatak.tasks import report as reports
from nunatak.tasks.claim import Asked
from nunatak.tasks.health.drain import Health
from nunatak.tasks.lessons import Lessons
from nunatak.tasks.looking import look
from nunatak.tasks.rows import Claimed, Durations
from nunatak.tasks.sharing.fits import Offer
from nunatak.tasks.standings import NOBODY, Excluded
from nunatak.tasks.unheard import tell_again

LARGE = 50
"""From so many tasks on, a claim has a transaction of its own: it is a batch already."""

LARGE_REPORT = 20_000
"""From so many bytes on, a report has a transaction of its own, and is read in its thread too."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What an engine's claim asks for."""

    name: str
    session: str
    offer: Shape
    limit: int
    grouping: Grouping | None = None
    lease: int | None = None  # the key that its tasks get; None: one of ours


@dataclass(frozen=True, slots=True)
class Report:
    """What an engine reports, as it came."""

    name: str
    session: str
    started: Sequence[Mapping[str, Any]]
    ended: Sequence[Mapping[str, Any]]


class Shared:
    """What is asked for thousands of times a second: claims, reports, the status of datasets. Answers are JSON."""

    def __init__(self, services: Services, demand: DemandMemory) -> None:
        """Share transactions among the requests of this process."""
        self._services, self._demand = services, demand
        self._lessons = Lessons(services.chance)
        self._durations = Durations()
        lane = ThreadPoolExecutor(1, thread_name_prefix="engines")
        self._claims = Together(self._claim, lane)
        self._reports = Together(self._report, lane)
        self._statuses = Together(self._status)

    async def claim(self, asked: Claim) -> bytes:
        """Lease tasks and return them as an engine reads them. Raises `Conflict` for an unknown session."""
        if asked.limit >= LARGE:
            return (await run_in_threadpool(self._claim, [asked]))[0]
        return await self._claims(asked)

    def unheard(self, asked: Claim, tasks: Sequence[Mapping[str, Any]]) -> bytes:
        """Tell again what claims leased whose answers were lost. Raises `Conflict` for an unknown session."""
        contexts, now = self._services.contexts, self._services.clock()
        with self._services.database.read() as tx:
            engine = _engines(tx, [asked])[asked.name, asked.session]
            attempts = keys.Attempts(tx, contexts, [item["address"] for item in tasks])
            own = [key for item in tasks if (key := attempts.key(item)) is not None]
            wanted = _asked(engine, asked, asked.limit, NOBODY, 0)
            items = tell_again(tx, contexts, own, wanted, self._durations, now)
            return dumps({"tasks": self._plain(tx, items), **_series(items)})

    async def report(self, name: str, body: bytes) -> bytes:
        """Take reports and return the receipt. Raises `ValidationError`, or `Conflict` for an unknown session."""
        if len(body) >= LARGE_REPORT:
            return (await run_in_threadpool(lambda: self._report([_read(name, body)])))[0]
        return await self._reports(_read(name, body))

    async def status(self, dataset: int) -> dict[str, Any]:
        """Return the status of a dataset as it is now. Raises `NotFound`. Do not change what is returned: it is shared."""
        return await self._statuses(dataset)

    def _status(self, datasets: Sequence[int]) -> list[dict[str, Any]]:
        with self._services.database.glance() as tx:
            found = {dataset: look.dataset_status(tx, self._services.contexts, dataset) for dataset in set(datasets)}
        return [found[dataset] for dataset in datasets]

    def _claim(self, asked: Sequence[Claim]) -> list[bytes]:
        return [dumps(answer) for answer in self._services.database.run(lambda tx: self._lease(tx, asked))]

    def _report(self, told: Sequence[Report]) -> list[bytes]:
        receipts = self._services.database.run(lambda tx: self._take(tx, told))
        return [dumps(receipt) for receipt in receipts]

    def _lease(self, tx: Connection, asked: Sequence[Claim]) -> list[dict[str, Any]]:
        """Return the answer to each claim; an engine whose only node is out gets nothing."""
        engines, now = _engines(tx, asked), self._services.clock()
        found = excluded_now(tx, self._services.contexts.kept, now)
        rows = [engines[item.name, item.session] for item in asked]
        limits = [_limit(tx, found, row, item.limit) for row, item in zip(rows, asked, strict=True)]
        open_ = [n for n, limit in enumerate(limits) if limit]
        leases = [asked[n].lease or self._services.keys() for n in open_]
        if len(set(leases)) < len(leases):
            raise Conflict("two claims have one lease key", code="same-lease", hint="make up another for each claim")
        wanted = [_asked(rows[n], asked[n], limits[n], found, lease) for n, lease in zip(open_, leases, strict=True)]
        taken = self._demand.claim(tx, self._services.contexts, wanted, now) if wanted else []
        plain = iter(self._plain(tx, [item for items in taken for item in items]))
        tasks = {n: [next(plain) for _ in items] for n, items in zip(open_, taken, strict=True)}
        series = {n: _series(items) for n, items in zip(open_, taken, strict=True)}
        return [
            {"tasks": tasks.get(n, []), **series.get(n, {}), **nodes_plain(found, row.site, row.node)}
            for n, row in enumerate(rows)
        ]

    def _plain(self, tx: Connection, items: Sequence[Claimed]) -> list[dict[str, Any]]:
        contexts = self._services.contexts
        known = contexts.of(tx, {item.dataset for item in items}) if items else {}
        shapes = contexts.book.shapes(tx, {item.shape for item in items})
        gathering = {item.dataset for item in items if item.job == ONCE}
        totals = {dataset: datasets_store.FRONTIER(tx, dataset=dataset)[0].total for dataset in gathering}
        return [
            {
                **keys.text(known[item.dataset], item.job, item.task, item.attempt, item.lease),
                "recipe": item.recipe,
                "owner": known[item.dataset].owner,
                "group": known[item.dataset].team,
                "shape": _shape(shapes[item.shape]),
                "jobs": totals[item.dataset] if item.job == ONCE else known[item.dataset].plan.jobs,
                "inputs": [asdict(recorded) for recorded in item.inputs],
                **({"avoid": item.avoid} if item.avoid else {}),
                **({"checkpoint": item.checkpoint._asdict()} if item.checkpoint else {}),
                **({"series": item.row.number} if item.row else {}),
            }
            for item in items
        ]

    def _take(self, tx: Connection, told: Sequence[Report]) -> list[dict[str, Any]]:
        engines = _engines(tx, told)
        contexts = self._services.contexts
        texts = [item["address"] for one in told for item in (*one.started, *one.ended)]
        attempts = keys.Attempts(tx, contexts, texts)
        batches, strange = [], []
        for one in told:
            begun = [(attempts.key(item), item) for item in one.started]
            over = [(attempts.key(item), item) for item in one.ended]
            batches.append(
                reports.Batch(
                    engines[one.name, one.session].engine,
                    [reports.Started(key, item["at"], item.get("host", "")) for key, item in begun if key],
                    [reports.Ended(key, outcomes.outcome(item)) for key, item in over if key],
                )
            )
            strange.append([{"address": i["address"], "lease": i["lease"]} for key, i in over if not key])
        receipts = reports.report_many(
            tx, contexts, batches, self._services.clock(), self._services.chance, self._lessons
        )
        return [
            {"taken": receipt.taken, "stale": keys.texts(tx, contexts, receipt.stale) + unknown}
            for receipt, unknown in zip(receipts, strange, strict=True)
        ]


def shared_of(request: Request) -> Shared:
    """Return what `create_app` made."""
    shared: Shared = request.app.state.shared
    return shared


def _read(name: str, body: bytes) -> Report:
    plain = outcomes.read_report(body)
    return Report(name, plain["session"], plain.get("started", ()), plain.get("ended", ()))


def _limit(tx: Connection, found: Excluded, engine: Row, limit: int) -> int:
    """Return how many tasks an engine may have: none if its only node is out, one at a time if it is probed."""
    health = found.health(engine.site, engine.node)
    if health is Health.PROBING:
        return 0 if fleet.holds(tx, engine.engine) else 1
    return limit if health is Health.FINE else 0


def _asked(engine: Row, claim: Claim, limit: int, found: Excluded, lease: int) -> Asked:
    """Return what an engine asks for, its site being what it was registered with."""
    fails = found.fails.get(engine.site, frozenset())
    offer = Offer(claim.offer, engine.site, fails, engine=claim.name)
    return Asked(engine.engine, offer, limit, lease, engine.node, found.live <= 1, claim.grouping)


def _series(items: Sequence[Claimed]) -> dict[str, Any]:
    """Return what is asked of the engine for each series of an answer, in the order of their numbers."""
    shapes = {item.row.number: item.row.shape for item in items if item.row}
    return {"series": [{"shape": _shape(shapes[number])} for number in sorted(shapes)]} if shapes else {}


def _engines(tx: Connection, items: Sequence[Claim] | Sequence[Report]) -> dict[tuple[str, str], Row]:
    """Return the engines' numbers and sites. Raises `Conflict` if one is not registered with its session."""
    engines = fleet.known(tx, [(item.name, item.session) for item in items])
    for item in items:
        if (item.name, item.session) not in engines:
            raise Conflict(
                f"engine {item.name} has another session, or none", code="engine-session", hint="register again"
            )
    return engines


@lru_cache(maxsize=4096)
def _shape(shape: Shape) -> dict[str, Any]:
    return shape.to_plain()
