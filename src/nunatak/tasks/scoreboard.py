"""The scores of nodes and of features at sites: folds the news, decides who gets no work, and writes both down at once.

The scores are in the memory of one process. A row in the table says whose they are: who finds another name there, or was
interrupted, reads them anew; so it does not matter who leads, for how long, or where it is killed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection

from nunatak.core.clock import Clock
from nunatak.db.database import Database
from nunatak.db.statement import Row
from nunatak.tasks import nodes, speeds, store
from nunatak.tasks import nodes_store as kept
from nunatak.tasks.context import Contexts
from nunatak.tasks.health.board import RECENT, Board, nodes_board
from nunatak.tasks.health.drain import FINE, Standing, when_due
from nunatak.tasks.health.events import Event, Node
from nunatak.tasks.health.features import FEATURE_RULES, Pair, pairs_board
from nunatak.tasks.health.heard import Known, Try, heard, in_hindsight, of_nodes, of_pairs
from nunatak.tasks.health.news import Read, read
from nunatak.tasks.health.review import RULES, Rules, review
from nunatak.tasks.judging import KEPT
from nunatak.tasks.standings import Standings, standings
from nunatak.tasks.verdicts.kinds import Kind

ROWS = 1000
"""Rows of news, of one transaction of reports each, that one tick takes at most."""
FORGOTTEN = 7 * 86400.0
"""Seconds after which a node that nobody heard of is forgotten, unless a person drained it."""
EVERY = 3600.0
"""Seconds between two looks for such nodes."""

K = TypeVar("K", bound=Node | Pair)
Heard = tuple[Node, Event, tuple[str, ...]]


class Scoreboard:
    """What this process has in memory of it. `name` is that of this process among all, `chance` spreads probes."""

    def __init__(
        self, database: Database, contexts: Contexts, clock: Clock, chance: Callable[[], float], name: str
    ) -> None:
        """Begin with nothing read."""
        self._database, self._contexts, self._clock = database, contexts, clock
        self._chance, self._name = chance, name
        self._nodes, self._pairs = nodes_board(clock()), pairs_board(clock())
        self._true = False  # what is in memory is what was written last, if nobody else wrote since
        self._spared: dict[Node, float] = {}
        self._looked = clock()

    def tick(self) -> bool:
        """Take what is new and decide; tells whether there is more."""
        now = self._clock()
        with self._database.read() as tx:
            if not _anything(tx, now):
                return False
        more = self._database.run(lambda tx: self._look(tx, now))
        self._true = True
        return more

    def _look(self, tx: Connection, now: float) -> bool:
        holder = nodes.lock(tx, now).score
        if not self._true or holder != self._name:
            self._load(tx, now)
        self._true = False  # until this transaction is known to be committed
        found = standings(tx)
        rows = kept.NEWS(tx, n=ROWS)
        news = [read(row.events) for row in rows]
        events = self._heard(tx, news, now)
        self._measured(tx, news, now)
        node_news, pair_news = of_nodes(events, found.nodes), of_pairs(events, found.pairs)
        spared = self._review(tx, self._nodes, found.nodes, node_news, RULES, now)
        self._review(tx, self._pairs, found.pairs, pair_news, FEATURE_RULES, now)
        if rows:
            kept.DROP_NEWS(tx, v=[(row.news,) for row in rows])
        if now - self._looked > EVERY or now < self._looked:
            self._forget(tx, found, now)
        self._spare(spared, node_news, now)
        kept.SET_BOARD(
            tx, holder=self._name, spared=json.dumps(sorted(self._spared)) if self._spared else None, now=now
        )
        return len(rows) == ROWS

    def _load(self, tx: Connection, now: float) -> None:
        """Read all scores."""
        self._nodes, self._pairs, self._spared = nodes_board(now), pairs_board(now), {}
        of_node, of_pair = list[tuple[Node, float, float, list[Any]]](), list[tuple[Pair, float, float, list[Any]]]()
        for row in kept.SCORES(tx):
            plain = json.loads(row.score)
            if row.kind == "node":
                of_node.append((Node(row.site, row.name), row.seen, row.at, plain))
            else:
                of_pair.append((Pair(row.name, row.site), row.seen, row.at, plain))
        self._nodes.load(of_node)
        self._pairs.load(of_pair)

    def _heard(self, tx: Connection, news: Sequence[Read], now: float) -> list[Heard]:
        """Return what the news come to, hindsight included."""
        if not news:
            return []
        later = [item for told in news for item in told.later]
        tries = kept.BEFORE(tx, v=later, most=KEPT) if later else ()
        sites = _sites(tx, news, tries)
        numbers = {line.shape for told in news for line in told.lines} | {row.shape for row in tries}
        shapes = self._contexts.book.shapes(tx, numbers)
        known = Known(sites, {number: shape.features for number, shape in shapes.items()})
        blamed = in_hindsight([_try(row, sites) for row in tries], known.features, now)
        return [*heard(news, known), *blamed]

    def _measured(self, tx: Connection, news: Sequence[Read], now: float) -> None:
        """Keep how fast nodes were, if anybody measured that."""
        told = [item for one in news for item in one.measured]
        if told:
            sites = {row.engine: row.site for row in store.SITES(tx, v=sorted({(item.engine,) for item in told}))}
            speeds.keep(tx, [(Node(sites.get(item.engine, ""), item.host), item.speed) for item in told], now)

    def _review(
        self,
        tx: Connection,
        board: Board[K],
        standings: Mapping[K, Standing],
        news: Sequence[tuple[K, Event]],
        rules: Rules,
        now: float,
    ) -> Iterable[K]:
        """Fold, decide and write; returns those that stand out and still get work."""
        seen = review(board, standings, news, now, self._chance, rules)
        dirty = sorted(({key for key, _ in news} | seen.changed.keys()) & board.seen.keys())
        rows = [(*nodes.key_of(item[0]), item[1], item[2], json.dumps(item[3])) for item in board.saved(dirty)]
        if rows:
            kept.SET_SCORES(tx, v=rows)
        nodes.save_standings(tx, seen.changed, now)
        return seen.spared

    def _spare(self, spared: Iterable[Node], news: Iterable[tuple[Node, Event]], now: float) -> None:
        """Note who stands out and still gets work, for as long as that is news."""
        heard_of = {node for node, _ in news}
        self._spared = {
            node: at for node, at in self._spared.items() if node not in heard_of and 0 <= now - at < RECENT
        } | dict.fromkeys(spared, now)

    def _forget(self, tx: Connection, found: Standings, now: float) -> None:
        """Drop what was not heard of for long."""
        self._looked = now
        self._nodes.forget(now - FORGOTTEN)
        self._pairs.forget(now - FORGOTTEN)
        nodes.save_standings(tx, dict.fromkeys(_idle(found.nodes, self._nodes), FINE), now)
        nodes.save_standings(tx, dict.fromkeys(_idle(found.pairs, self._pairs), FINE), now)
        kept.FORGET(tx, before=now - FORGOTTEN)


def _anything(tx: Connection, now: float) -> bool:
    """Tell whether there are news, or standings whose time is over."""
    if kept.NEWS(tx, n=1):
        return True
    found = standings(tx)
    return _due(found.nodes, now, RULES) or _due(found.pairs, now, FEATURE_RULES)


def _due(standings: Mapping[K, Standing], now: float, rules: Rules) -> bool:
    return any(when_due(standing, now, rules.policy) is not standing for standing in standings.values())


def _sites(tx: Connection, news: Sequence[Read], tries: Sequence[Row]) -> dict[int, str]:
    """Return the sites of the engines that are spoken of: there may be thousands of others."""
    engines = {engine for told in news for engine, _ in told.begun} | {
        line.engine for told in news for line in told.lines
    }
    engines |= {engine for row in tries for engine in (row.engine, row.well_engine)}
    return {row.engine: row.site for row in store.SITES(tx, v=[(engine,) for engine in sorted(engines)])}


def _idle(standings: Mapping[K, Standing], board: Board[K]) -> list[K]:
    return [key for key, standing in standings.items() if not standing.by and key not in board.seen]


def _try(row: Row, sites: Mapping[int, str]) -> Try:
    wall = row.wall if row.wall is not None else max(0.0, row.ended - (row.started or row.ended))
    return Try(
        Node(sites.get(row.well_engine, ""), row.well_host),
        Node(sites.get(row.engine, ""), row.host or ""),
        (row.dataset, row.task),
        row.shape,
        Kind(row.verdict),
        row.claimed if row.started is None else row.started,
        wall,
    )
