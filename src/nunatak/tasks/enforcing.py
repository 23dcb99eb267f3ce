"""Ends what slipped through while a dataset was being held or cancelled: claims and reports do not wait for such orders."""

from __future__ import annotations

from sqlalchemy import Connection

from nunatak.core.address import Address
from nunatak.core.states import LEASED_STATES, TaskState
from nunatak.datasets import store as datasets_store
from nunatak.datasets.progress import Moves
from nunatak.tasks.changing import change_every, requeue_leased
from nunatak.tasks.context import Contexts
from nunatak.tasks.orders import FROM, order

S = TaskState


def stopped_but_live(tx: Connection) -> bool:
    """Tell whether any held or cancelled dataset has tasks that are ready, queued or running."""
    return bool(datasets_store.STOPPED_DATASETS(tx))


def enforce(tx: Connection, contexts: Contexts, now: float) -> int:
    """Stop what slipped through while a dataset was being held or cancelled; returns how many tasks were changed.

    An order that is under way while work is claimed or reported may leave some of its dataset leased or ready. Nothing of
    it is claimed afterwards, and this ends what was.
    """
    changed, moves = 0, Moves()
    for row in datasets_store.STOPPED_DATASETS(tx):
        context = contexts.one(tx, row.dataset)
        datasets_store.LOCK_FRONTIER(tx, dataset=row.dataset)
        if row.cancelled:
            again = order("cancel", [Address(row.dataset)], "nunatak", row.reason or "")
            changed += change_every(tx, contexts, context, again, FROM["cancel"], moves, now)
        else:
            states = (S.QUEUED,) if row.gentle else LEASED_STATES
            changed += requeue_leased(tx, contexts, context, row.reason or "held", moves, now, states)
        moves.settle(row.dataset)
    moves.apply(tx, now)
    return changed
