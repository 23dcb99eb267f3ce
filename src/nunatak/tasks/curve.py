"""How a dataset went on over time: kept counts at moments ever further apart, written by a loop; and their read model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection

from nunatak.core.clock import iso
from nunatak.datasets.store import STATES
from nunatak.tasks import curve_store as store

FINEST = 15.0
"""Seconds between two points at least."""
SHARE = 0.01
"""Of a dataset's age is between two points: about 70 for each doubling of its age, 500 in a week."""
PAGE = 1000
DRAWN = 200
"""Points that are shown of a curve."""
Plain = dict[str, Any]
T = TypeVar("T")


def due(tx: Connection, now: float, after: int = 0) -> list[int]:
    """Return up to `PAGE` open datasets, from `after` on, whose last point is long enough ago."""
    return [row.dataset for row in store.DUE(tx, after=after, now=now, share=SHARE, finest=FINEST, n=PAGE)]


def keep(tx: Connection, now: float, after: int = 0) -> int:
    """Note the counts of up to `PAGE` datasets that are due; returns the last one, 0 if that was all."""
    found = due(tx, now, after)
    if found:
        store.ADD(tx, v=[(dataset,) for dataset in found], now=now)
    return found[-1] if len(found) == PAGE else 0


def curve(tx: Connection, plain: Plain, now: float) -> list[Plain]:
    """Return the counts by state of a dataset over time, oldest first, given its status: from when it came until it ended.

    The last point is the present one. Where nothing was noted, as while no server ran, there is a straight line.
    """
    rows = thinned(store.POINTS(tx, dataset=plain["dataset"]), DRAWN)
    found = [{"at": iso(row.at), **{state: getattr(row, state) for state in STATES}} for row in rows]
    total = {state: plain["tasks"][state] for state in STATES}
    begin = {**dict.fromkeys(STATES, 0), "waiting": plain["tasks"]["total"]}
    end = plain["ended"] or (iso(now) if plain["state"] == "open" else plain["changed"])
    if not found or found[0]["at"] > plain["created"]:
        found.insert(0, {"at": plain["created"], **begin})
    return [*(point for point in found if point["at"] < end), {"at": end, **total}]


def thinned(items: Sequence[T], most: int) -> list[T]:
    """Return at most `most` of them, evenly, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[i * (len(items) - 1) // (most - 1)] for i in range(most)]
