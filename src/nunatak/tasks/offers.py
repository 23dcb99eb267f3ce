"""What the engines that are alive have, as slots for one shape; where none takes it, the nearest that nearly does."""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlalchemy import Connection

from nunatak.core.work import Shape
from nunatak.db.statement import Row
from nunatak.tasks import look_store
from nunatak.tasks.sharing.fits import Offer
from nunatak.tasks.sharing.match import failing


def alive(tx: Connection, now: float) -> list[Row]:
    """Return the engines that were heard of in time."""
    return [row for row in look_store.ENGINES(tx) if row.lease_until > now]


def offers_for(engines: Iterable[Row], shape: Shape) -> list[Offer]:
    """Return what each engine has, counted in slots: how many tasks of this shape its whole could take at a time.

    An engine that cannot take one counts as the one slot that it has at most.
    """
    return [_offer(row, shape, Shape.from_plain(json.loads(row.capacity)["total"])) for row in engines]


def _offer(row: Row, shape: Shape, total: Shape) -> Offer:
    offer = Offer(total, row.site, engine=row.name)
    slots = 1 if failing(shape, offer) else room(shape, total)
    return Offer(total, row.site, engine=row.name, slots=slots)


def free_of(engines: Iterable[Row], shape: Shape) -> int:
    """Return how many tasks of a shape could begin at once in what engines last said was free."""
    count = 0
    for row in engines:
        free = Shape.from_plain(json.loads(row.capacity)["free"])
        if not failing(shape, Offer(free, row.site)):
            count += room(shape, free)
    return count


def room(shape: Shape, total: Shape) -> int:
    """Return how many tasks of a shape find room in a total at the same time."""
    parts = [
        getattr(total, name) // getattr(shape, name)
        for name in ("cpu", "gpu", "memory", "disk")
        if getattr(shape, name)
    ]
    return int(min(parts, default=1))
