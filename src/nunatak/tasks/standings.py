"""How nodes, and features at sites, stand: read by the loop `health`, by the judge, and for the engines that get work."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from nunatak.tasks import nodes_store, store
from nunatak.tasks.health.drain import OUT, Health, Standing
from nunatak.tasks.health.events import Node
from nunatak.tasks.health.features import PLAIN, Pair, lacking


@dataclass(frozen=True, slots=True)
class Standings:
    """All that are not simply fine."""

    nodes: dict[Node, Standing] = field(default_factory=dict)
    pairs: dict[Pair, Standing] = field(default_factory=dict)


def standings(tx: Connection) -> Standings:
    """Read how nodes, and features at sites, stand."""
    found = Standings()
    for row in nodes_store.STANDINGS(tx):
        standing = Standing.from_plain(json.loads(row.standing))
        if row.kind == "node":
            found.nodes[Node(row.site, row.name)] = standing
        else:
            found.pairs[Pair(row.name, row.site)] = standing
    return found


@dataclass(frozen=True, slots=True)
class Excluded:
    """Who gets no new work, by site: nodes that are out, nodes that get one task at a time, features that fail.

    `live` counts the engines that are alive.
    """

    drained: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    probed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fails: Mapping[str, frozenset[str]] = field(default_factory=dict)
    live: int = 0

    def health(self, site: str, node: str) -> Health:
        """Return how an engine stands, as far as work is concerned; `node` is its only one, or "" if it has several."""
        if PLAIN in self.fails.get(site, ()) or (node and node in self.drained.get(site, ())):
            return Health.DRAINED
        return Health.PROBING if node and node in self.probed.get(site, ()) else Health.FINE


NOBODY = Excluded()


def excluded(tx: Connection, now: float, live: int | None = None) -> Excluded:
    """Read who gets no new work; `live` is how many engines are alive, if that is known already."""
    found = standings(tx)
    out = _names(node for node, standing in found.nodes.items() if standing.health in OUT)
    probed = _names(node for node, standing in found.nodes.items() if standing.health is Health.PROBING)
    fails = {site: frozenset(features) for site, features in lacking(found.pairs).items()}
    return Excluded(out, probed, fails, store.LIVE_ENGINES(tx, now=now)[0].n if live is None else live)


def idle_engines(tx: Connection, now: float) -> frozenset[int]:
    """Return the engines that are alive and get no work because of their only node, or of their site."""
    found = excluded(tx, now)
    if not found.drained and not found.fails:
        return frozenset()
    alive = [row for row in store.ENGINES(tx) if row.lease_until > now and row.node]
    return frozenset(row.engine for row in alive if found.health(row.site, row.node) is Health.DRAINED)


def _names(found: Iterable[Node]) -> dict[str, tuple[str, ...]]:
    by_site: dict[str, list[str]] = {}
    for node in sorted(found):
        by_site.setdefault(node.site, []).append(node.name)
    return {site: tuple(names) for site, names in by_site.items()}
