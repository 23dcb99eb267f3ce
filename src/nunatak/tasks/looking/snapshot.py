"""Read model: all that a simulation of a live dataset starts from. Bounded, and made of kept counts and evidence alone."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from nunatak.core.work import Shape
from nunatak.datasets import store as datasets_store
from nunatak.datasets.expand import shape_of
from nunatak.db.statement import Row
from nunatak.tasks import choosing_store, lessons
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.health.events import Cause
from nunatak.tasks.learning.evidence import Evidence
from nunatak.tasks.looking import snapshot_store as store
from nunatak.tasks.numbering import afresh

OTHERS_MOST = 200
"""Tasks of other datasets that are told apart, those with the most left."""
SHARES_MOST = 1000
ENGINES_MOST = 200
SHARE = ("kind", "name", "weight", "running", "queued")
Plain = dict[str, Any]


def snapshot(tx: Connection, contexts: Contexts, context: Context, now: float) -> Plain:
    """Return what is left of a dataset, what its tasks were seen to use, the engines, and what else wants them.

    Times are seconds, memory bytes; evidence is as `tasks.learning.evidence` writes it.
    """
    head = datasets_store.DATASET(tx, dataset=context.dataset)[0]
    jobs = datasets_store.JOB_COUNTS(tx, dataset=context.dataset)[0]
    others = store.OTHERS(tx, dataset=context.dataset, n=OTHERS_MOST)
    whole = int(store.OTHERS_SUM(tx, dataset=context.dataset)[0].unfinished)
    return {
        "dataset": context.dataset,
        "name": head.name,
        "recipe": context.plan.digest,
        "state": head.state,
        "owner": head.owner,
        "team": head.team,
        "priority": head.priority,
        "jobs": jobs.total - jobs.done - jobs.failed - jobs.held,
        "tasks": _tasks(tx, context),
        "engines": _engines(tx, now),
        "half_lives": _half_lives(tx, context.dataset),
        "others": _others(tx, contexts, others),
        "others_left_out": whole - sum(row.unfinished for row in others),
        "shares": [dict(zip(SHARE, row, strict=True)) for row in store.SHARES(tx, n=SHARES_MOST)],
    }


def _tasks(tx: Connection, context: Context) -> list[Plain]:
    """Return how many of each task are not finished, and what it was seen to use."""
    left: dict[int, int] = defaultdict(int)
    for row in datasets_store.TASK_COUNTS(tx, dataset=context.dataset):
        left[row.task] += row.waiting + row.ready + row.queued + row.running
    known = lessons.kept(tx, context.dataset)
    return [
        {
            "task": task.name,
            "once": task.once,
            "left": left[number],
            "evidence": known[number].evidence if number in known else None,
            "needs": afresh(known[number].needs, task) if number in known else None,
        }
        for number, task in enumerate(context.plan.tasks)
    ]


def _engines(tx: Connection, now: float) -> list[Plain]:
    alive = [row for row in choosing_store.ENGINES(tx) if row.lease_until > now]
    return [
        {"name": row.name, "site": row.site, "total": json.loads(row.capacity)["total"]} for row in alive[:ENGINES_MOST]
    ]


def _half_lives(tx: Connection, dataset: int) -> dict[str, float]:
    """Return by site after how many seconds half of the attempts of a dataset would be evicted; sites that evicted none lack.

    Evictions come at a constant rate: their number over the time at risk (Lawless, Statistical Models, section 3.2).
    """
    wall: dict[str, float] = defaultdict(float)
    evicted: dict[str, int] = defaultdict(int)
    for row in store.SPENT(tx, dataset=dataset):
        wall[row.site] += row.wall
        evicted[row.site] += row.attempts if row.cause == Cause.FREE else 0
    return {site: math.log(2) * wall[site] / n for site, n in sorted(evicted.items()) if n and wall[site]}


def _others(tx: Connection, contexts: Contexts, rows: Sequence[Row]) -> list[Plain]:
    """Return what is left of other datasets: owner, group, priority, shape, how many, and mean seconds where known."""
    known = contexts.of(tx, {row.dataset for row in rows}) if rows else {}
    wanted = sorted({(row.dataset, row.task) for row in rows})
    found = store.EVIDENCE(tx, v=wanted) if wanted else ()
    times = {(row.dataset, row.task): Evidence.from_text(row.evidence).time.used for row in found}
    shapes = contexts.book.shapes(tx, {row.shape for row in rows})
    plains = []
    for row in rows:
        shape = shapes.get(row.shape) or _asked(known[row.dataset], row.task)
        time = times.get((row.dataset, row.task))
        plains.append(
            {
                "dataset": row.dataset,
                "owner": row.owner,
                "team": row.team,
                "priority": row.priority,
                "shape": shape.to_plain(),
                "left": row.unfinished,
                "seconds": time.mean() if time and time.count else None,
            }
        )
    return plains


def _asked(context: Context, task: int) -> Shape:
    """Return what an untouched task asks for; where that depends on the job, job 0 stands for all."""
    return shape_of(context.plan, task, 0)


def put_shares(
    tx: Connection, rows: Sequence[tuple[str, str, float | None, int | None, int | None]], now: float
) -> None:
    """Take over what operators said elsewhere: kind, name, weight, most running, most queued."""
    if rows:
        store.PUT_SHARES(tx, v=sorted(rows, key=lambda row: row[:2]), now=now)
