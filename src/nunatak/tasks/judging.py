"""Outcomes to verdicts, a batch at a time: reads what judging needs of those that did not go well, and writes down why."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Connection

from nunatak.core.work import Outcome, Reason, Shape
from nunatak.datasets.plan import Retry
from nunatak.db.statement import Row
from nunatak.tasks import store
from nunatak.tasks.asking import Learnt
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.standings import standings
from nunatak.tasks.verdicts.judge import judge
from nunatak.tasks.verdicts.kinds import Kind
from nunatak.tasks.verdicts.model import DEFAULT, WELL, History, Past, Policy, Raise, Verdict

Key = tuple[int, int, int, int, int]  # dataset, job, task, attempt, lease
Chance = Callable[[], float]
KEPT = 20
"""Attempts of a task that are looked at."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict of each open attempt; `rows` and `before` of those that did not end well."""

    verdicts: dict[Key, Verdict]
    rows: dict[Key, Row] = field(default_factory=dict)
    before: dict[Key, History] = field(default_factory=dict)
    pool: Pool | None = None


class Place(NamedTuple):
    """What one engine that is alive has; `node` is its only one, or ""."""

    site: str
    node: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Pool:
    """The engines that are alive: where each is, what it has at most, how many nodes there are (None: not known)."""

    sites: Mapping[int, str]
    offers: tuple[Shape, ...]
    nodes: int | None
    places: tuple[Place, ...] = ()
    suspects: frozenset[tuple[str, str]] = frozenset()  # (site, node) that stand out


def judge_all(
    tx: Connection,
    contexts: Contexts,
    known: Mapping[int, Context],
    ended: Mapping[Key, Outcome],
    now: float,
    chance: Chance,
) -> Judged:
    """Judge outcomes; those that did not go well and whose key is not open are left out.

    `chance` returns random numbers from 0 to 1, which spread the delays of retries.
    """
    verdicts = {key: WELL for key, outcome in ended.items() if outcome.reason is Reason.OK}
    if len(verdicts) == len(ended):
        return Judged(verdicts)
    bad = sorted(key for key in ended if key not in verdicts)
    rows = {tuple(row[:5]): row for row in store.OPEN_ATTEMPTS(tx, v=bad)}
    newer = {row.dataset: row.revision for row in rows.values() if (row.revision or 1) > known[row.dataset].revision}
    known = {**known, **contexts.at(tx, newer)}
    pool = pool_of(tx, now)
    before = histories(tx, contexts, rows, pool)
    for key, history in before.items():
        policy = policy_of(known[key[0]].plan.tasks[key[2]].retry, pool)
        verdicts[key] = judge(ended[key], history, policy, chance=chance())
    return Judged(verdicts, rows, before, pool)


def pool_of(tx: Connection, now: float) -> Pool:
    """Return what engines there are. A local engine is one node; how many others have is not known."""
    engines = store.ENGINES(tx)
    alive = [row for row in engines if row.lease_until > now]
    offers = tuple(_total(row.capacity) for row in alive)
    local = all(row.kind == "local" for row in alive)
    places = tuple(Place(row.site, row.node, shape) for row, shape in zip(alive, offers, strict=True))
    suspects = frozenset((node.site, node.name) for node, found in standings(tx).nodes.items() if found.proven)
    nodes = len(alive) if alive and local else None
    return Pool({row.engine: row.site for row in engines}, offers, nodes, places, suspects)


@lru_cache(maxsize=10_000)
def _total(capacity: str) -> Shape:
    """Return what an engine has in total; thousands of pilots say the same, and failing tasks have it looked at."""
    return Shape.from_plain(json.loads(capacity)["total"])


def policy_of(retry: Retry, pool: Pool) -> Policy:
    """Return what may be done for a task."""
    return Policy(
        tries=retry.tries,
        delay=retry.delay,
        different=retry.tries if retry.insist else DEFAULT.different,
        repeats=retry.tries if retry.insist else DEFAULT.repeats,
        memory=Raise(retry.memory.factor, retry.memory.most),
        time=Raise(retry.time.factor, retry.time.most),
        disk=Raise(retry.disk.factor, retry.disk.most),
        offers=pool.offers,
        nodes=pool.nodes,
    )


def histories(tx: Connection, contexts: Contexts, rows: Mapping[Key, Row], pool: Pool) -> dict[Key, History]:
    """Return what came before each open attempt, since a person last let its task go on."""
    wanted = {key[:3]: key[3] - min(row.tries + row.free, KEPT) for key, row in rows.items() if row.tries + row.free}
    past: dict[tuple[int, ...], list[Row]] = defaultdict(list)
    for row in store.PAST(tx, v=[(*place, first) for place, first in sorted(wanted.items())]) if wanted else ():
        past[tuple(row[:3])].append(row)
    numbers = {n for row in rows.values() for n in (row.asked, row.shape)} | {
        row.shape for of in past.values() for row in of
    }
    shapes = contexts.book.shapes(tx, numbers)
    written = _written(tx, rows, shapes)
    return {key: _history(row, past[key[:3]], shapes, pool, written[key]) for key, row in rows.items()}


def _written(tx: Connection, rows: Mapping[Key, Row], shapes: Mapping[int, Shape]) -> dict[Key, Shape | None]:
    """Return what was written for each open attempt that asked for something else; more is read only for edited recipes."""
    pairs = {key: (shapes[row.shape], shapes[row.asked]) for key, row in rows.items()}
    found = {key: shape if shape != asked else None for key, (shape, asked) in pairs.items()}
    edited = {key[:1] + key[2:3] for key, row in rows.items() if found[key] is not None and (row.revision or 1) > 1}
    for told in store.NEEDS(tx, v=sorted(edited)) if edited else ():
        if told.needs:
            learnt = Learnt.from_text(told.needs)
            for key, shape in found.items():
                if shape is not None and key[:1] + key[2:3] == (told.dataset, told.task):
                    now = learnt.present(rows[key].shape, shape)
                    found[key] = now if now != shapes[rows[key].asked] else None
    return found


def _history(row: Row, past: Sequence[Row], shapes: Mapping[int, Shape], pool: Pool, written: Shape | None) -> History:
    attempts = tuple(
        Past(
            kind=Kind(item.verdict),
            signature=item.signature or "",
            node=item.host or "",
            site=pool.sites.get(item.engine, ""),
            shape=shapes[item.shape],
            counted=bool(item.counted),
            sentence=item.message or "",
        )
        for item in past
    )
    return History(
        tries=row.tries,
        free=row.free,
        shape=shapes[row.asked],
        node=row.host or "",
        site=pool.sites.get(row.engine, ""),
        attempts=attempts,
        suspect=(pool.sites.get(row.engine, ""), row.host or "") in pool.suspects,
        first=next((item for item in attempts if item.counted), None),
        written=written,
    )
