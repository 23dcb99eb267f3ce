"""Read model of one dataset's page: status, pace, when it is done, losses. A fixed number of statements."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from nunatak.tasks import look, spent
from nunatak.tasks.context import Contexts
from nunatak.tasks.forecasts import Forecasts, Pace, per_hour
from nunatak.tasks.outlook import evidence_of

Plain = dict[str, Any]


def dataset(tx: Connection, contexts: Contexts, forecasts: Forecasts, number: int, now: float) -> Plain:
    """Return the status of a dataset with its pace (tasks an hour), when it is done, and what was lost. Raises `NotFound`."""
    plain = look.dataset_status(tx, contexts, number)
    pace = Pace(contexts.one(tx, number), plain["per_task"], evidence_of(tx, number))
    busy = bool(plain["tasks"]["running"])
    return {
        **plain,
        "rate": per_hour(pace) if busy else None,
        "eta": forecasts.of([pace], now).get(number) if busy else None,
        "lost": spent.lost(spent.of_dataset(tx, number)),
    }
