"""Leases of loops: among all server processes one leads each loop, until its lease runs out or it resigns."""

from __future__ import annotations

from sqlalchemy import Connection

from nunatak.db.statement import Statement

ELECT = Statement(
    "INSERT INTO leaders (loop, holder, until) VALUES (:loop, :holder, :until) ON CONFLICT (loop) DO UPDATE"
    " SET holder = excluded.holder, until = excluded.until WHERE leaders.holder = excluded.holder"
    " OR leaders.until <= :now OR leaders.until > :horizon RETURNING holder"
)
RESIGN = Statement("DELETE FROM leaders WHERE loop = :loop AND holder = :holder")


def elect(tx: Connection, loop: str, holder: str, seconds: float, now: float) -> bool:
    """Take or renew the lead of a loop for `seconds`; tells whether `holder` leads.

    A lease from further in the future than any could be was written before the clock was set back, and does not count.
    """
    rows = ELECT(tx, loop=loop, holder=holder, until=now + seconds, now=now, horizon=now + 2 * seconds)
    return bool(rows)


def resign(tx: Connection, loop: str, holder: str) -> None:
    """Give up the lead, so that another need not wait."""
    RESIGN(tx, loop=loop, holder=holder)
