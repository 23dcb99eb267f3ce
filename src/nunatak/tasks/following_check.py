"""What the checker looks at where a dataset follows others: nothing went before its like was done, and nothing twice."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from nunatak.core.address import Address
from nunatak.core.units import count_text
from nunatak.datasets import store as datasets_store
from nunatak.tasks import following_store as store
from nunatak.tasks.context import Context

MOST = 20


def faults(tx: Connection, context: Context) -> Iterator[str]:
    """Yield what does not agree between a dataset and those it follows."""
    follows, dataset = context.plan.follows, context.dataset
    if not follows:
        return
    total = datasets_store.FRONTIER(tx, dataset=dataset)[0].total
    kept = {row.number: row.task for row in store.OF_DATASET(tx, dataset=dataset)}
    if kept != {number: task for number, (task, _) in follows.items()}:
        yield f"it follows {len(follows)} others by its recipe, and {len(kept)} by what is kept"
    for row in store.UNMATCHED(tx, dataset=dataset, total=total):
        what = f"{count_text(row.seen, 'job')} of {follows[row.number][1]} taken, {row.passed} of them for jobs here"
        yield f"{what}; there are {row.taken} and {row.here or 0}"
    for row in store.EARLY(tx, dataset=dataset, n=MOST):
        follow = follows[row.number][1]
        yield f"{Address(follow.dataset, row.job)} is noted for {follow}, and is not done"
    for row in store.UNOPENED(tx, dataset=dataset, total=total, n=MOST):
        yield f"job {row.job}: {context.plan.tasks[row.task].name} was not opened by {follows[row.number][1]}"
