"""Physical limits, measured in the same run as what is compared with them."""

from __future__ import annotations

import time

from sqlalchemy import text

from nunatak.db.database import Database
from nunatak.db.statement import Addition, Statement

TABLES = (
    "CREATE TABLE floor_tasks (job INTEGER PRIMARY KEY, state VARCHAR(8) NOT NULL, lease BIGINT, at FLOAT)",
    "CREATE TABLE floor_attempts (job INTEGER PRIMARY KEY, wall FLOAT, cpu FLOAT, memory BIGINT, host VARCHAR(64))",
)
ADD = Addition("floor_tasks", "job int, state text, at real")
CLAIM = Statement(
    "UPDATE floor_tasks SET state = 'queued', lease = 5 FROM {v} WHERE floor_tasks.job = v.job", v="job int"
)
START = Statement(
    "UPDATE floor_tasks SET state = 'running', at = 2.0 FROM {v} WHERE floor_tasks.job = v.job", v="job int"
)
END = Statement("UPDATE floor_tasks SET state = 'done', at = 3.0 FROM {v} WHERE floor_tasks.job = v.job", v="job int")
KEEP = Addition("floor_attempts", "job int, wall real, cpu real, memory big, host text")


def floor(url: str, tasks: int, batch: int) -> float:
    """Return lives a second of bare rows: an insert, three updates, one more insert, in batches of one transaction each."""
    database = Database(url)
    with database.write() as tx:
        for statement in TABLES:
            tx.execute(text(statement))
    begin = time.perf_counter()
    for first in range(0, tasks, batch):
        jobs = range(first, first + batch)
        keys = [(job,) for job in jobs]
        database.run(lambda tx: ADD(tx, [(job, "ready", 1.0) for job in jobs]))  # noqa: B023 - run at once
        for step in (CLAIM, START):
            database.run(lambda tx: step(tx, v=keys))  # noqa: B023
        database.run(lambda tx: END(tx, v=keys))  # noqa: B023
        database.run(lambda tx: KEEP(tx, [(job, 1.0, 1.0, 10**8, "node1") for job in jobs]))  # noqa: B023
    rate = tasks / (time.perf_counter() - begin)
    with database.write() as tx:
        for name in ("floor_tasks", "floor_attempts"):
            tx.execute(text(f"DROP TABLE {name}"))
    database.close()
    return rate
