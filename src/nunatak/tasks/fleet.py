"""Engines as the server sees them: registration, heartbeat, the leases they hold, and what happens when one falls silent."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from nunatak.core.errors import Conflict
from nunatak.core.states import TaskState
from nunatak.datasets.progress import Moves
from nunatak.db.statement import Row
from nunatak.tasks import ledger, store
from nunatak.tasks.context import Contexts
from nunatak.tasks.judging import Key
from nunatak.tasks.ledger import Stop
from nunatak.tasks.verdicts.kinds import Action, Kind

S = TaskState
PAGE = 5000
NOBODY = ""
"""The session of an engine whose name is free."""


@dataclass(frozen=True, slots=True)
class Registration:
    """An engine's number and until when its leases hold unless it is heard of again (seconds since the epoch)."""

    engine: int
    until: float


def register(
    tx: Connection,
    name: str,
    kind: str,
    site: str,
    session: str,
    capacity: dict[str, Any],
    lease: float,
    now: float,
    node: str = "",
) -> Registration:
    """Enter an engine process; `node` is its only one, or "" if it has several.

    Raises `Conflict` while another process of the same name has a lease: what that one runs is void only after it.
    """
    rows = store.ENGINE(tx, name=name)
    values = {"kind": kind, "site": site, "node": node, "session": session, "capacity": json.dumps(capacity)}
    if not rows:
        number = store.ADD_ENGINE(tx, name=name, now=now, until=now + lease, **values)[0].engine
        return Registration(number, now + lease)
    row = rows[0]
    if session != row.session != NOBODY and now < row.lease_until:
        raise Conflict(
            f"engine {name} is already running: another process of this name was heard of"
            f" {max(0.0, now - row.seen):.0f} s ago",
            code="engine-running",
            hint=f"give this one another name; else it takes over when the lease is over, in {row.lease_until - now:.0f} s",
        )
    store.RENEW_ENGINE(tx, engine=row.engine, now=now, until=now + lease, **values)
    return Registration(row.engine, now + lease)


def leave(tx: Connection, name: str, session: str, now: float) -> bool:
    """Free the name of an engine that holds nothing, so that another process need not wait; tells whether it did.

    Raises `Conflict` if it is not registered with this session.
    """
    engine = number_of(tx, name, session)
    return not holds(tx, engine) and bool(store.FREE_ENGINE(tx, engine=engine, session=session, nobody=NOBODY, now=now))


def beat(tx: Connection, name: str, session: str, capacity: dict[str, Any], lease: float, now: float) -> Row:
    """Renew all leases of an engine; returns its number (`engine`), site and node.

    Raises `Conflict` if another process took its name.
    """
    rows = store.BEAT(tx, name=name, session=session, capacity=json.dumps(capacity), now=now, until=now + lease)
    if not rows:
        raise Conflict(f"engine {name} has another session", code="engine-session", hint="register again")
    return rows[0]


def number_of(tx: Connection, name: str, session: str) -> int:
    """Return an engine's number. Raises `Conflict` if it is not registered with this session."""
    rows = store.ENGINE_NUMBER(tx, name=name, session=session)
    if not rows:
        raise Conflict(f"engine {name} has another session, or none", code="engine-session", hint="register again")
    return int(rows[0].engine)


def known(tx: Connection, sessions: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Row]:
    """Return number (`engine`), `site` and `node` of engines by (name, session); those that have another session are left out."""
    return {(row.name, row.session): row for row in store.ENGINE_NUMBERS(tx, v=sorted(set(sessions)))}


def attempts_of(tx: Connection, engine: int, attempts: Iterable[tuple[int, int, int, int]]) -> set[Key]:
    """Return those of some attempts, open or ended, that are this engine's, with their keys."""
    wanted = sorted(set(attempts))
    rows = store.ATTEMPTS_OF(tx, engine=engine, v=wanted) if wanted else ()
    return {(row.dataset, row.job, row.task, row.attempt, row.lease) for row in rows}


def holds(tx: Connection, engine: int) -> bool:
    """Tell whether any attempt is leased to an engine. It goes over all datasets with leases: not for every claim."""
    return any(store.LEASES_SEEN(tx, dataset=row.dataset, engine=engine, n=1) for row in store.LEASING_DATASETS(tx))


def stops(tx: Connection, engine: int, limit: int = 1000) -> list[Key]:
    """Return attempts the engine has to end; they are repeated until it reports their end or no longer has them."""
    return [tuple(row) for row in store.STOPS(tx, engine=engine, n=limit)]


def clear_stops(tx: Connection, engine: int, keys: Sequence[Key]) -> None:
    """Forget stops that the engine has carried out or never had."""
    if keys:
        store.CLEAR_STOPS(tx, v=[(engine, *key[:4]) for key in sorted(set(keys))])


def leases(tx: Connection, engine: int, after: int = 0, limit: int = PAGE) -> list[Row]:
    """Return attempts that the server believes the engine holds, of datasets after a number: whole datasets at a time."""
    rows: list[Row] = []
    for row in store.LEASING_DATASETS(tx):
        if row.dataset > after:
            rows += store.LEASES_SEEN(tx, dataset=row.dataset, engine=engine, n=10_000_000)
            if len(rows) >= limit:
                break
    return rows


def give_back(
    tx: Connection,
    contexts: Contexts,
    engine: int,
    keys: Sequence[Key],
    reason: str,
    now: float,
    kind: Kind = Kind.LOST,
) -> int:
    """Take back attempts that the engine never started or that vanished: ready again, free of charge. Returns how many."""
    rows = store.OPEN_ATTEMPTS(tx, v=sorted(set(keys))) if keys else ()
    rows = [row for row in rows if row.engine == engine]
    moves = Moves()
    release(tx, contexts, rows, kind, reason or "the engine does not have it", moves, now)
    moves.apply(tx, now)
    clear_stops(tx, engine, keys)
    return len(rows)


def heard(tx: Connection) -> float:
    """Return when any engine was heard of last, in seconds since the epoch; minus infinity if none ever was."""
    (row,) = store.HEARD(tx)
    return float("-inf") if row.seen is None else float(row.seen)


def reap(tx: Connection, contexts: Contexts, now: float, limit: int = PAGE) -> int:
    """Take back the leases of engines that fell silent: their tasks are ready again, free of charge. Returns how many."""
    taken, moves = 0, Moves()
    for engine in store.LOCK_LATE_ENGINES(tx, now=now):
        for row in store.LEASING_DATASETS(tx):
            if taken < limit:
                held = store.LEASES_OF(tx, dataset=row.dataset, engine=engine.engine, n=limit - taken)
                said = f"engine {engine.name} was not heard of in time"
                release(tx, contexts, held, Kind.LEASE_EXPIRED, said, moves, now)
                taken += len(held)
    moves.apply(tx, now)
    return taken


def withdraw(tx: Connection, contexts: Contexts, engines: Collection[int], now: float, limit: int = PAGE) -> int:
    """Take back what waits at engines whose only node gets no work, so that others can have it. Returns how many."""
    taken, moves = 0, Moves()
    for row in store.LEASING_DATASETS(tx) if engines else ():
        for engine in sorted(engines):
            if taken < limit:
                waiting = store.QUEUED_AT(tx, dataset=row.dataset, engine=engine, n=limit - taken)
                release(tx, contexts, waiting, Kind.UNBEGUN, "the node gets no work for now", moves, now)
                taken += len(waiting)
    moves.apply(tx, now)
    return taken


def release(
    tx: Connection, contexts: Contexts, rows: Sequence[Row], kind: Kind, message: str, moves: Moves, now: float
) -> None:
    """Make leased tasks ready again, free of charge; their keys become void. The caller applies the moves, last of all."""
    if not rows:
        return
    ledger.close_open(tx, contexts, rows, Stop(kind, Action.AGAIN, message), moves, now)
    store.CHANGE(
        tx, v=[(row.dataset, row.job, row.task, S.READY, row.pending, row.tries, message) for row in rows], now=now
    )
    for row in rows:
        moves.task(row.dataset, row.task, row.shape, TaskState(row.state), S.READY)
