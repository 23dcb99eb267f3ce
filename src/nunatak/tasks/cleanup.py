"""What is over and has to go: files of jobs that are done, attempts of engines that fell silent."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from nunatak.core.address import ONCE, Address
from nunatak.db.statement import Statement
from nunatak.tasks import store
from nunatak.tasks.context import Contexts

EXPIRED = Statement("SELECT url, dataset FROM expired_files WHERE NOT given_up ORDER BY url LIMIT :n")
FORGET_FILES = Statement("DELETE FROM expired_files WHERE url IN (SELECT url FROM {v})", v="url text")
GIVE_UP_FILES = Statement("UPDATE expired_files SET given_up = true WHERE url IN (SELECT url FROM {v})", v="url text")


def expired(tx: Connection, limit: int) -> list[tuple[str, int]]:
    """Return (URL, dataset) of temporary files that are to be deleted, at most `limit`."""
    return [(row.url, row.dataset) for row in EXPIRED(tx, n=limit)]


def settle(tx: Connection, gone: Sequence[str], hopeless: Sequence[str]) -> None:
    """Forget files that are deleted; keep a record of those that never can be."""
    if gone:
        FORGET_FILES(tx, v=[(url,) for url in gone])
    if hopeless:
        GIVE_UP_FILES(tx, v=[(url,) for url in hopeless])


def late_attempts(tx: Connection, contexts: Contexts, now: float, limit: int) -> list[Address]:
    """Return open attempts of engines that were not heard of in time, at most `limit`."""
    found: list[Address] = []
    late = store.LATE_ENGINES(tx, now=now)
    for leasing in store.LEASING_DATASETS(tx) if late else ():
        context = contexts.one(tx, leasing.dataset)
        for engine in late:
            rows = store.LEASES_SEEN(tx, dataset=leasing.dataset, engine=engine.engine, n=limit - len(found))
            for row in rows:
                name = context.plan.tasks[row.task].name
                found.append(Address(row.dataset, None if row.job == ONCE else row.job, name, row.attempt))
            if len(found) >= limit:
                return found
    return found
