"""Nodes and their health: what reports say of them is noted, and people drain them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import TypeVar

from sqlalchemy import Connection

from nunatak.core.errors import NotFound
from nunatak.core.work import Outcome
from nunatak.db.statement import Row
from nunatak.tasks import nodes_store as store
from nunatak.tasks import speeds
from nunatak.tasks import store as tasks_store
from nunatak.tasks.health.drain import FINE, NEVER, Standing, drain_by_hand, undrain_by_hand
from nunatak.tasks.health.events import Node
from nunatak.tasks.health.features import Pair
from nunatak.tasks.health.news import Later, Measured, News
from nunatak.tasks.health.score import Score
from nunatak.tasks.health.window import EMPTY
from nunatak.tasks.judging import Key
from nunatak.tasks.verdicts.kinds import Kind
from nunatak.tasks.verdicts.model import Verdict

MOST_NEWS = 100_000
"""Rows of news that are kept where nobody looks at them; those who do have fewer than a thousand."""
LOOKED = 1000
"""Every so many rows it is seen to that there are no more."""

K = TypeVar("K", bound=Node | Pair)


def note(news: News, verdicts: Mapping[Key, Verdict], closed: Mapping[Key, Row], ended: Mapping[Key, Outcome]) -> None:
    """Add what attempts that were closed say of the nodes they ran on; those without a host say nothing."""
    for key, row in closed.items():
        outcome = ended[key]
        host = outcome.host or row.host
        if host:
            kind, began = verdicts[key].kind, row.claimed if row.started is None else row.started
            news.ended(row.engine, host, key[0], key[2], row.shape, kind, began, outcome.usage.wall or 0.0)
            if outcome.detail and (speed := speeds.told(outcome.detail)) is not None:
                news.measured(Measured(row.engine, host, speed))
            if kind is Kind.OK and key[3] > 1:
                news.later(Later(*key[:4], row.engine, host))


def tell(tx: Connection, news: News) -> None:
    """Write news down for whoever leads the loop `health`: one row, if there is anything.

    Where nobody leads it, only the latest are kept: those of last week would drain nodes that are fine by now.
    """
    text = news.text()
    if text:
        number = int(store.ADD_NEWS(tx, events=text)[0].news)
        if number % LOOKED == 0:
            store.FORGET_NEWS(tx, last=number - MOST_NEWS)


def drain(tx: Connection, node: Node, who: str, reason: str, now: float, seconds: float | None = None) -> Standing:
    """Give a node no new work, for good or for some seconds.

    Raises `NotFound` for a node nobody has heard of, `Conflict` if a person has drained it already.
    """
    lock(tx, now)
    row = _row(tx, node)
    until = NEVER if seconds is None else now + seconds
    standing = drain_by_hand(_standing(row), who, reason, now, until)
    save_standings(tx, {node: standing}, now)
    return standing


def undrain(tx: Connection, node: Node, who: str, now: float) -> Standing:
    """Give a node work again; what was held against it is over. Raises `NotFound`, or `Conflict` if it gets work as it is."""
    board = lock(tx, now)
    row = _row(tx, node)
    standing = undrain_by_hand(_standing(row), who, now)
    save_standings(tx, {node: standing}, now)
    if row is not None and row.score:
        score = Score.from_plain(json.loads(row.score))._replace(window=EMPTY)
        store.SET_SCORES(tx, v=[("node", *node, row.seen, row.at, json.dumps(score.to_plain()))])
    store.SET_BOARD(tx, holder="", spared=board.standing, now=now)  # who has the scores in memory has to read them anew
    return standing


def lock(tx: Connection, now: float) -> Row:
    """Keep all others from changing scores and standings until the transaction ends; returns the row of the board."""
    rows = store.BOARD(tx)
    if not rows:
        store.ADD_BOARD(tx, now=now)
        rows = store.BOARD(tx)
    return rows[0]


def save_standings(tx: Connection, changed: Mapping[K, Standing], now: float) -> None:
    """Write standings down."""
    rows = [
        (*key_of(key), None if standing == FINE else json.dumps(standing.to_plain()))
        for key, standing in changed.items()
    ]
    if rows:
        store.SET_STANDINGS(tx, v=sorted(rows, key=lambda row: row[:3]), now=now)


def key_of(key: Node | Pair) -> tuple[str, str, str]:
    """Return the key of a node or pair in the table."""
    return ("node", key.site, key.name) if isinstance(key, Node) else ("feature", key.site, key.feature)


def _standing(row: Row | None) -> Standing:
    return Standing.from_plain(json.loads(row.standing)) if row is not None and row.standing else FINE


def _row(tx: Connection, node: Node) -> Row | None:
    """Return what is kept of a node; None for the only node of an engine that was not heard of yet. Raises `NotFound`."""
    rows = store.ROW(tx, kind="node", site=node.site, name=node.name)
    if rows:
        return rows[0]
    engines = tasks_store.ENGINES(tx)
    if any(row.node == node.name and row.site == node.site for row in engines):
        return None
    names = [row.name for row in store.NAMES_AT(tx, site=node.site)]
    near = difflib.get_close_matches(node.name, names, 1, 0.6)
    sites = {row.site for row in engines}
    hint = f"did you mean {node.site}/{near[0]}?" if near else "nunatak node ls --all shows all nodes"
    where = "" if node.site in sites else f", nor a site {node.site}"
    raise NotFound(f"there is no node {node.site}/{node.name}{where}", code="no-node", hint=hint)
