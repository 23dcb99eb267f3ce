"""How fast nodes are: workers measure now and then, the latest few are kept for each node, and their median is what is shown.

One measurement says little: the core is shared, its clock goes up and down, and a node may tell what it likes.
"""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection

from nunatak.db.kept import Kept
from nunatak.tasks import nodes_store as store
from nunatak.tasks.health.events import Node

KEPT = 9
"""Measurements of a node that are kept."""
SLOWEST, FASTEST = 0.01, 100.0
"""What is told beyond these is no speed of a core."""
MOST_NODES = 5000
"""Nodes that are looked at for the speeds of sites."""
AGE = 60.0
"""Seconds for which those are remembered."""


def told(detail: Mapping[str, Any]) -> float | None:
    """Return the speed in what a worker says of an attempt; None if it says none that can be."""
    speed = detail.get("speed")
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not math.isfinite(speed):
        return None
    return float(speed) if SLOWEST <= speed <= FASTEST else None


def keep(tx: Connection, measured: Iterable[tuple[Node, float]], now: float) -> None:
    """Add measurements to what is kept of their nodes; the caller has locked the scores."""
    found: dict[Node, list[float]] = defaultdict(list)
    for node, speed in measured:
        found[node].append(speed)
    for node, before in _kept(tx, found).items():
        found[node] = [*before, *found[node]]
    rows = [("speed", *node, now, now, json.dumps(latest[-KEPT:])) for node, latest in sorted(found.items())]
    store.SET_SCORES(tx, v=rows)


def of(tx: Connection, nodes: Iterable[Node]) -> dict[Node, float]:
    """Return the median of what is kept of some nodes, for those that were measured."""
    return {node: middle(latest) for node, latest in _kept(tx, nodes).items()}


def middle(latest: Iterable[float]) -> float:
    """Return the median, to a hundredth: there is no more in it."""
    return round(statistics.median(latest), 2)


def _kept(tx: Connection, nodes: Iterable[Node]) -> dict[Node, list[float]]:
    wanted = sorted(set(nodes))
    rows = store.SPEEDS(tx, v=wanted) if wanted else ()
    return {Node(row.site, row.name): json.loads(row.score) for row in rows}


def at_sites(tx: Connection, kept: Kept, now: float) -> Mapping[str, float]:
    """Return the median speed of the nodes of each site of which one was measured, as of a minute or so ago."""
    return kept.of("speeds", _at_sites, tx, now)


def _at_sites(tx: Connection) -> tuple[Mapping[str, float], float]:
    found: dict[str, list[float]] = defaultdict(list)
    for row in store.SPEEDS_AT_SITES(tx, n=MOST_NODES):
        found[row.site].append(middle(json.loads(row.score)))
    return {site: middle(latest) for site, latest in found.items()}, AGE
