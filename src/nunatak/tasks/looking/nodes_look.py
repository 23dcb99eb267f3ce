"""Read models of nodes, and of features at sites: how they stand, in words, and whose move it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection

from nunatak.core.clock import iso
from nunatak.db.statement import Row
from nunatak.tasks import nodes_store as store
from nunatak.tasks import speeds
from nunatak.tasks.health.drain import FINE, NEVER, POLICY, Health, Standing
from nunatak.tasks.health.events import Node
from nunatak.tasks.health.features import Pair
from nunatak.tasks.health.score import NONE, Score
from nunatak.tasks.health.words import move, node_sentence, pair_sentence, spared_sentence
from nunatak.tasks.looking.look import Page, Plain


def not_fine(tx: Connection, now: float) -> Page:
    """Return nodes, and features at sites, that get no work, get one task at a time, or were undrained a moment ago."""
    rows = _lines(tx, store.NOT_FINE(tx), now)
    return {
        "items": [row for row in rows if row["health"] != Health.FINE or row["by"]],
        "next": None,
        "spared": _spared(tx),
    }


def every(tx: Connection, now: float, after: str = "", limit: int = 100) -> Page:
    """Return all nodes that were heard of, in order of site and name."""
    site, _, name = after.rpartition("/")
    rows = store.PAGE(tx, kind="node", site=site, name=name, n=limit + 1)
    items = _lines(tx, rows[:limit], now)
    return {"items": items, "next": items[-1]["name"] if len(rows) > limit else None, "spared": _spared(tx)}


def line(tx: Connection, node: Node, now: float) -> Plain:
    """Return how one node stands."""
    return _lines(tx, store.ROW(tx, kind="node", site=node.site, name=node.name), now)[0]


def _lines(tx: Connection, rows: Sequence[Row], now: float) -> list[Plain]:
    known = speeds.of(tx, [Node(row.site, row.name) for row in rows if row.kind == "node"])
    return [_line(row, known.get(Node(row.site, row.name)) if row.kind == "node" else None, now) for row in rows]


def _line(row: Row, speed: float | None, now: float) -> Plain:
    standing = Standing.from_plain(orjson.loads(row.standing)) if row.standing else FINE
    whole = Score.from_plain(orjson.loads(row.score)).whole if row.score else NONE
    node = row.kind == "node"
    name = f"{row.site}/{row.name}"
    sentence = node_sentence(Node(row.site, row.name), standing, now)
    known: dict[str, Any] = {
        "kind": row.kind,
        "name": name,
        "site": row.site,
        "health": standing.health,
        "since": iso(standing.since) if standing.since else None,
        "until": iso(standing.until) if standing.until != NEVER else None,
        "by": standing.by,
        "reason": standing.reason,
        "sentence": sentence if node else pair_sentence(Pair(row.name, row.site), standing, now),
        "move": move(name, standing) if node else "",
        "attempts": round(whole.ok + whole.bad),
        "faults": round(whole.bad),
        "speed": speed,
        "seen": iso(row.seen),
    }
    return known


def _spared(tx: Connection) -> str:
    """Say which nodes stand out and still get work; "" if there are none."""
    rows = store.BOARD_SEEN(tx)
    spared = orjson.loads(rows[0].standing) if rows and rows[0].standing else []
    return spared_sentence(len(spared), POLICY.share) if spared else ""
