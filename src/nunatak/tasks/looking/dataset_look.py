"""Read model of one dataset's page: status, pace, when it is done, losses. A fixed number of statements."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection

from nunatak.datasets import store
from nunatak.tasks.context import Contexts
from nunatak.tasks.lessons import evidence_of
from nunatak.tasks.looking import following_look, look, spent
from nunatak.tasks.looking.forecasts import Forecasts, Pace, per_hour

Plain = dict[str, Any]


def dataset(tx: Connection, contexts: Contexts, forecasts: Forecasts, number: int, now: float) -> Plain:
    """Return the status of a dataset with its pace (tasks an hour), when it is done, and what was lost.

    `follows`: what it waits for in other datasets.
    `rest`: jobs that are to be added when those that are tried first went well. Raises `NotFound`.
    """
    plain = look.dataset_status(tx, contexts, number)
    context = contexts.one(tx, number)
    pace = Pace(context, plain["per_task"], evidence_of(tx, number))
    busy = bool(plain["tasks"]["running"])
    return {
        **plain,
        "rate": per_hour(pace) if busy else None,
        "eta": forecasts.of([pace], now).get(number) if busy else None,
        "lost": spent.lost(spent.of_dataset(tx, number)),
        "follows": [item.to_plain(context) for item in following_look.of_dataset(tx, context)],
        "rest": 0 if plain["closed"] else _rest(tx, number, plain["jobs"]["total"]),
    }


def _rest(tx: Connection, number: int, jobs: int) -> int:
    """Return how many jobs are still to be added to a dataset of which some were to be tried first."""
    rows = store.SUBMITTED(tx, dataset=number)
    wanted = json.loads(rows[0].detail or "{}").get("wanted", 0) if rows else 0
    return max(0, int(wanted) - jobs)
