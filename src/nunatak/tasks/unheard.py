"""Claims whose answer was lost: what they leased is told once more to the engine that asked, and nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter

from sqlalchemy import Connection

from nunatak.core.work import Grouping, Shape
from nunatak.db.statement import Row
from nunatak.tasks import rows, store
from nunatak.tasks.claim import Asked, free, with_checkpoints, with_inputs
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.elsewhere import nodes_of
from nunatak.tasks.judging import Key
from nunatak.tasks.learning.sketch import Sketch
from nunatak.tasks.rows import Claimed, Durations, Rule

MANY = 1_000_000
"""Tasks that are ready, where it does not matter how many are left for others."""
_kind = attrgetter("dataset", "task", "shape")


def tell_again(
    tx: Connection,
    contexts: Contexts,
    keys: Sequence[Key],
    asked: Asked,
    durations: Durations,
    now: float,
) -> list[Claimed]:
    """Return what is leased to an engine with some keys and may begin, as the claim told it.

    Short tasks are put into series anew, so that all have about as many places as are asked for. Left out is what no longer
    waits for its begin, and what is not to begin as it was claimed: of datasets that are not free to run, or whose recipe is
    another one by now.
    """
    found = store.UNBEGUN_WITH(tx, engine=asked.engine, v=sorted(set(keys)))
    known = free(tx, contexts, {row.dataset for row in found})
    told = [
        _claimed(row, known[row.dataset])
        for row in found
        if row.dataset in known and known[row.dataset].revision == row.revision
    ]
    if asked.grouping is not None and asked.grouping.target > 0 and told:
        shapes = contexts.book.shapes(tx, {item.shape for item in told})
        took = durations.of(tx, {(item.dataset, item.task) for item in told}, now, asked.grouping.target)
        told = _in_series(known, told, asked, asked.grouping, took, shapes)
    return list(with_checkpoints(tx, known, with_inputs(tx, known, told)))


def _claimed(row: Row, context: Context) -> Claimed:
    avoid, recipe = nodes_of(row.avoid), context.plan.digest
    return Claimed(row.dataset, row.job, row.task, row.attempt, row.lease, row.asked, avoid=avoid, recipe=recipe)


def _in_series(
    known: Mapping[int, Context],
    told: Sequence[Claimed],
    asked: Asked,
    grouping: Grouping,
    took: Mapping[rows.Task, Sketch],
    shapes: Mapping[int, Shape],
) -> list[Claimed]:
    """Put short ones of a kind into a place together: an even share of all, or as many as a series may have."""
    share = -(-len(told) // max(1, asked.limit))
    found: list[Claimed] = []
    for (dataset, task, number), items in groupby(sorted(told, key=_kind), _kind):
        own = list(items)
        if number > 0 and not known[dataset].plan.tasks[task].checkpoint:
            seen, shape = took[dataset, task], shapes[number]
            each = min(share, rows.size(seen, grouping, shape, asked.offer.shape, MANY))
            own = rows.in_rows(own, Rule(seen, grouping, shape, each), rows.series(found))
        found += own
    return found
