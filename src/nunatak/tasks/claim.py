"""Claims: an engine takes a set of ready tasks; each gets an attempt number and a lease in the same transaction."""

from __future__ import annotations

import json
from collections import defaultdict
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
from nunatak.tasks.choose import Allotment, Demand, choose
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.unfold import take_fresh

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
    """What one engine asks for: up to `limit` tasks that fit `offer`, one machine's whole resources."""

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
    taken: list[list[Claimed]] = [[] for _ in asked]
    left = list(wanted)
    for _ in range(ROUNDS):
        short: set[tuple[int, int]] = set()
        for item, got in zip(asked, taken, strict=True):
            chosen = choose(left, shapes, item.offer, item.limit - len(got))
            known.update(_free(tx, contexts, {allotment.dataset for allotment in chosen} - known.keys()))
            for allotment in chosen:
                context = known.get(allotment.dataset)
                new = _take(tx, contexts, context, item, allotment, moves, now) if context else []
                got += new
                if len(new) < allotment.n:
                    short.add((allotment.dataset, allotment.shape))
        left = [item for item in left if (item.dataset, item.shape) not in short]
        if not short or not left or all(len(got) >= item.limit for item, got in zip(asked, taken, strict=True)):
            break
    moves.apply(tx, now)
    whole = iter(with_inputs(tx, known, [item for items in taken for item in items]))
    return [[next(whole) for _ in items] for items in taken]


def _free(tx: Connection, contexts: Contexts, datasets: set[int]) -> dict[int, Context]:
    """Return the contexts of those datasets that may be worked on now: open, and neither held nor cancelled."""
    rows = datasets_store.FREE(tx, wanted=[(dataset,) for dataset in sorted(datasets)]) if datasets else ()
    return contexts.of(tx, {row.dataset for row in rows})


def _take(
    tx: Connection, contexts: Contexts, context: Context, asked: Asked, item: Allotment, moves: Moves, now: float
) -> list[Claimed]:
    """Take ready tasks of one dataset and shape, then the first tasks of new jobs."""
    lease, engine = asked.lease, asked.engine
    rows = store.CLAIM(tx, dataset=item.dataset, shape=item.shape, n=item.n, now=now, lease=lease, engine=engine)
    claimed = []
    for row in rows:
        moves.task(item.dataset, row.task, item.shape, S.READY, S.QUEUED)
        claimed.append(Claimed(item.dataset, row.job, row.task, row.attempt, lease, item.shape))
    if len(rows) < item.n and (item.shape == 0 or item.shape in _root_shapes(context)):
        rest = item.n - len(rows)
        fresh = take_fresh(tx, contexts, context, item.shape, rest, moves, lease=lease, engine=engine, now=now)
        claimed += [Claimed(item.dataset, job, task, 1, lease, item.shape) for job, task in fresh]
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
