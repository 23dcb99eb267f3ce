"""Temporary outputs: noted for deletion in the transaction that ends their job, deleted later by a loop."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from nunatak.tasks import store
from nunatak.tasks.context import Context


def expire_temporary(tx: Connection, known: Mapping[int, Context], jobs: Sequence[tuple[int, int]], now: float) -> None:
    """Note the temporary outputs of jobs (dataset, job) that are done, but for those a gathering task still reads."""
    tasks = {dataset: _with_temporary(known[dataset]) for dataset in {dataset for dataset, _ in jobs}}
    keys = [(dataset, job, task) for dataset, job in jobs for task in tasks[dataset]]
    rows = []
    for row in store.PARENT_OUTPUTS(tx, v=keys) if keys else ():
        rows += [(record["url"], row.dataset) for record in json.loads(row.outputs or "[]") if record["temporary"]]
    if rows:
        store.EXPIRE_FILES(tx, v=rows, now=now)


def _with_temporary(context: Context) -> list[int]:
    graph, plans = context.graph, context.plan.tasks
    return [n for n in graph.per_job if n not in graph.gathered and any(out.temporary for out in plans[n].outputs)]
