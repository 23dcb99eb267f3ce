"""Claims: an engine takes a set of ready tasks; each gets an attempt number and a lease in the same transaction."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection

from nunatak.core.address import ONCE
from nunatak.core.states import TaskState
from nunatak.core.work import Shape
from nunatak.datasets import store as datasets_store
from nunatak.datasets.expand import Recorded
from nunatak.datasets.progress import Moves
from nunatak.tasks import store
from nunatak.tasks.choose import Demand, choose
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.unfold import Seats, take_fresh

S = TaskState
ROUNDS = 8


class Claimed(NamedTuple):
    """One task leased to an engine; `inputs` are the recorded outputs of its parents."""

    dataset: int
    job: int
    task: int
    attempt: int
    lease: int
    shape: int
    inputs: tuple[Recorded, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What one engine asks for: up to `limit` tasks that fit `offer`, one machine's whole resources.

    `lease` is the key that all of them get; no two have the same.
    """

    engine: int
    offer: Shape
    limit: int
    lease: int


def demand(tx: Connection) -> list[Demand]:
    """Return what is ready, by dataset, task and shape, of datasets that are open and not held."""
    return [Demand(row.dataset, row.task, row.shape, row.ready, row.priority) for row in datasets_store.DEMAND(tx)]


def claim_many(
    tx: Connection, contexts: Contexts, asked: Sequence[Asked], wanted: Sequence[Demand], now: float
) -> list[list[Claimed]]:
    """Carry out several claims in one transaction; returns what each got, in order.

    Ready tasks that wait for their next try are counted as ready but cannot be had: where an allotment falls short, its
    dataset and shape are left out and what is missing is chosen anew, so that no place stays empty.
    """
    shapes = contexts.book.shapes(tx, {item.shape for item in wanted})
    known: dict[int, Context] = {}
    moves = Moves()
    taken: dict[int, list[Claimed]] = {item.lease: [] for item in asked}
    left = list(wanted)
    for _ in range(ROUNDS):
        seats: dict[tuple[int, int], list[Seats]] = defaultdict(list)
        for item in asked:
            for allotment in choose(left, shapes, item.offer, item.limit - len(taken[item.lease])):
                seats[allotment.dataset, allotment.shape].append(Seats(item.engine, item.lease, allotment.n))
        known.update(_free(tx, contexts, {dataset for dataset, _ in seats} - known.keys()))
        short: set[tuple[int, int]] = set()
        for (dataset, shape), of_shape in seats.items():
            new = _take(tx, contexts, known[dataset], shape, of_shape, moves, now) if dataset in known else []
            for got in new:
                taken[got.lease].append(got)
            if len(new) < sum(of.n for of in of_shape):
                short.add((dataset, shape))
        left = [item for item in left if (item.dataset, item.shape) not in short]
        if not short or not left or all(len(taken[item.lease]) >= item.limit for item in asked):
            break
    moves.apply(tx, now)
    whole = iter(with_inputs(tx, known, [got for item in asked for got in taken[item.lease]]))
    return [[next(whole) for _ in taken[item.lease]] for item in asked]


def _free(tx: Connection, contexts: Contexts, datasets: set[int]) -> dict[int, Context]:
    """Return the contexts of those datasets that may be worked on now: open, and neither held nor cancelled."""
    rows = datasets_store.FREE(tx, wanted=[(dataset,) for dataset in sorted(datasets)]) if datasets else ()
    return contexts.of(tx, {row.dataset for row in rows})


def _take(
    tx: Connection, contexts: Contexts, context: Context, shape: int, seats: Sequence[Seats], moves: Moves, now: float
) -> list[Claimed]:
    """Take ready tasks of one dataset and shape for all who have seats, then the first tasks of new jobs."""
    dataset, past, ranges = context.dataset, 0, []
    for of in seats:
        ranges.append((past, past + of.n, of.engine, of.lease))
        past += of.n
    rows = store.CLAIM(tx, dataset=dataset, shape=shape, n=past, now=now, v=ranges)
    claimed = []
    for row in rows:
        moves.task(dataset, row.task, shape, S.READY, S.QUEUED)
        claimed.append(Claimed(dataset, row.job, row.task, row.attempt, row.lease, shape))
    if len(rows) < past and (shape == 0 or shape in _root_shapes(context)):
        got = Counter(row.lease for row in rows)
        empty = [of._replace(n=of.n - got[of.lease]) for of in seats]
        claimed += [
            Claimed(dataset, job, task, 1, lease, shape)
            for job, task, lease in take_fresh(tx, contexts, context, shape, empty, moves, now)
        ]
    return claimed


def _root_shapes(context: Context) -> set[int]:
    return {context.base[task] for task in context.graph.roots}


def with_inputs(tx: Connection, known: Mapping[int, Context], claimed: Sequence[Claimed]) -> list[Claimed]:
    """Add to each task the recorded outputs of the parents it reads, with their checksums."""
    needs = {(item.dataset, item.task): _reads(known[item.dataset], item.task) for item in claimed}
    if not any(needs.values()):
        return list(claimed)
    single, whole = set(), set()
    for item in claimed:
        for parent in needs[item.dataset, item.task]:
            tasks = known[item.dataset].plan.tasks
            if item.job == ONCE and not tasks[parent].once:
                whole.add((item.dataset, parent))
            else:
                single.add((item.dataset, ONCE if tasks[parent].once else item.job, parent))
    rows = list(store.PARENT_OUTPUTS(tx, v=sorted(single))) if single else []
    for dataset, parent in sorted(whole):
        rows += store.ALL_OUTPUTS(tx, dataset=dataset, task=parent)
    outputs: dict[tuple[int, int], dict[int, list[Recorded]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        name = known[row.dataset].plan.tasks[row.task].name
        outputs[row.dataset, row.task][row.job] += [
            Recorded(name, row.job, record["name"], record["url"], record["size"], record["sha256"])
            for record in json.loads(row.outputs or "[]")
        ]
    return [_with(known[item.dataset], item, needs[item.dataset, item.task], outputs) for item in claimed]


def _with(
    context: Context,
    item: Claimed,
    parents: Sequence[int],
    outputs: dict[tuple[int, int], dict[int, list[Recorded]]],
) -> Claimed:
    found: list[Recorded] = []
    for parent in parents:
        by_job = outputs[item.dataset, parent]
        once = context.plan.tasks[parent].once
        jobs = [ONCE] if once else (sorted(by_job) if item.job == ONCE else [item.job])
        for job in jobs:
            found += by_job[job]
    return Claimed(item.dataset, item.job, item.task, item.attempt, item.lease, item.shape, tuple(found))


def _reads(context: Context, task: int) -> list[int]:
    names = {source.task for source in context.plan.tasks[task].inputs if source.task}
    return sorted(context.plan.index[name] for name in names)
