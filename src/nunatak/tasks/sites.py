"""Sites with their engines: capacity against use, what they hold, which caps bind them. The read model of the page of sites."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection

from nunatak.core.clock import iso
from nunatak.core.work import Shape
from nunatak.db.kept import Kept
from nunatak.db.statement import Row, Statement
from nunatak.tasks import choosing_store, store

FEW = 2000
"""Tasks under way that are counted whenever somebody asks."""
EACH = 0.0002
"""Seconds for which the count of more is kept, for each of them: that of 50,000 for ten seconds."""
NODES = Statement(
    "SELECT site, COUNT(*) AS n, SUM(CASE WHEN standing IS NULL THEN 0 ELSE 1 END) AS standing FROM health"
    " WHERE kind = 'node' GROUP BY site ORDER BY site"
)
AMOUNTS = ("cpu", "gpu", "memory", "disk")

Load = Mapping[tuple[int, str], int]
"""How many tasks there are by engine and state."""


def held(tx: Connection, kept: Kept, now: float) -> Load:
    """Return how many tasks each engine holds by state; where they are many, as of some seconds ago: counting goes over all."""
    return kept.of("held", _count, tx, now)


def _count(tx: Connection) -> tuple[Load, float]:
    load: Load = {(row.engine, row.state): row.n for row in choosing_store.ENGINE_LOAD(tx)}
    many = sum(load.values())
    return load, EACH * many if many > FEW else 0.0


def sites(tx: Connection, kept: Kept, now: float) -> list[dict[str, Any]]:
    """Return every site that has an engine, a node or a cap, in order of names; amounts as shapes have them.

    `total` and `used` are sums over engines that are alive; what is used is what they last said is not free.
    """
    engines = engines_by_site(tx, now, held(tx, kept, now))
    nodes = {row.site: (int(row.n), int(row.standing)) for row in NODES(tx)}
    caps = {row.name: row for row in store.SHARES(tx) if row.kind == "site"}
    names = sorted(engines.keys() | nodes.keys() | caps.keys() - {""})
    return [_site(name, engines[name], nodes.get(name, (0, 0)), caps.get(name) or caps.get("")) for name in names]


def engines_by_site(tx: Connection, now: float, load: Load = MappingProxyType({})) -> dict[str, list[dict[str, Any]]]:
    """Return every engine with what it said last, by site; `load` is how many tasks each holds by state."""
    engines: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in choosing_store.ENGINES(tx):
        engines[row.site].append(_engine(row, load, now))
    return engines


def _engine(row: Row, load: Load, now: float) -> dict[str, Any]:
    capacity = json.loads(row.capacity)
    total, free = (Shape.from_plain(capacity[name]) for name in ("total", "free"))
    return {
        "name": row.name,
        "kind": row.kind,
        "node": row.node,
        "alive": row.lease_until > now,
        "seen": iso(row.seen),
        "trouble": str(capacity.get("trouble") or ""),
        "total": {name: getattr(total, name) for name in AMOUNTS},
        "used": {name: max(0, getattr(total, name) - getattr(free, name)) for name in AMOUNTS},
        "features": sorted(capacity["total"].get("features") or ()),
        "platform": total.platform,
        "queued": load.get((row.engine, "queued"), 0),
        "running": load.get((row.engine, "running"), 0),
    }


def _site(name: str, engines: Sequence[dict[str, Any]], nodes: tuple[int, int], cap: Row | None) -> dict[str, Any]:
    alive = [engine for engine in engines if engine["alive"]]
    return {
        "site": name,
        "engines": list(engines),
        "alive": len(alive),
        "total": {what: sum(engine["total"][what] for engine in alive) for what in AMOUNTS},
        "used": {what: sum(engine["used"][what] for engine in alive) for what in AMOUNTS},
        "queued": sum(engine["queued"] for engine in engines),
        "running": sum(engine["running"] for engine in engines),
        "nodes": nodes[0],
        "nodes_standing": nodes[1],
        "most_running": cap.running if cap else None,
        "most_queued": cap.queued if cap else None,
    }
