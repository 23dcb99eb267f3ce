"""What the engines that are alive have, as slots for one shape; where none takes it, the nearest that nearly does."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Connection

from nunatak.core.work import Shape
from nunatak.db.statement import Row
from nunatak.tasks import choosing_store
from nunatak.tasks.health.drain import Health
from nunatak.tasks.sharing.fits import Offer
from nunatak.tasks.sharing.match import failing
from nunatak.tasks.standings import NOBODY, Excluded


class Said(NamedTuple):
    """What an engine said last: all it has, what of it is free, and what is wrong, if anything."""

    total: Shape
    free: Shape
    trouble: str


@lru_cache(maxsize=10_000)
def said(capacity: str) -> Said:
    """Read a capacity as it is kept; thousands of pilots say the same."""
    plain = json.loads(capacity)
    total, free = (Shape.from_plain(plain[name]) for name in ("total", "free"))
    return Said(total, free, str(plain.get("trouble") or ""))


def alive(tx: Connection, now: float) -> list[Row]:
    """Return the engines that were heard of in time."""
    return [row for row in choosing_store.ENGINES(tx) if row.lease_until > now]


def offers_for(engines: Iterable[Row], shape: Shape, out: Excluded = NOBODY) -> list[Offer]:
    """Return what each engine has, counted in slots: how many tasks of this shape its whole could take at a time.

    An engine that cannot take one counts as the one slot that it has at most. Slots of an engine whose only node gets no
    work, or at a site that gets none, are drained; how many slots single nodes of a pool have is not known.
    """
    return [_offer(row, shape, said(row.capacity).total, out) for row in engines]


def _offer(row: Row, shape: Shape, total: Shape, out: Excluded) -> Offer:
    fails = out.fails.get(row.site, frozenset())
    slots = 1 if failing(shape, Offer(total, row.site, fails)) else room(shape, total)
    drained = slots if out.health(row.site, row.node) is Health.DRAINED else 0
    return Offer(total, row.site, fails, row.name, slots, drained)


def free_of(engines: Iterable[Row], shape: Shape) -> int:
    """Return how many tasks of a shape could begin at once in what engines that take any last said was free."""
    count = 0
    for row in engines:
        _, free, trouble = said(row.capacity)
        if not trouble and not failing(shape, Offer(free, row.site)):
            count += room(shape, free)
    return count


def troubles(engines: Iterable[Row], shape: Shape) -> list[tuple[str, str]]:
    """Return the engines that could take a shape and take nothing now, each with what is wrong."""
    found = [(row, said(row.capacity)) for row in engines]
    return [(row.name, of.trouble) for row, of in found if of.trouble and not failing(shape, Offer(of.total, row.site))]


def room(shape: Shape, total: Shape) -> int:
    """Return how many tasks of a shape find room in a total at the same time."""
    parts = [
        getattr(total, name) // getattr(shape, name)
        for name in ("cpu", "gpu", "memory", "disk")
        if getattr(shape, name)
    ]
    return int(min(parts, default=1))
