"""What a database that does not go along means to people and programs: a code, a sentence, and what to do."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from nunatak.core.errors import Unavailable

AGAIN = frozenset({"40001", "40P01", "55P03"})  # serialization failure, deadlock, lock not available
STALE_PLAN = "cached plan must not change result type"
"""Said of a statement that was prepared before a migration gave its table another column."""


class Fault(NamedTuple):
    """One way in which a database does not go along."""

    code: str
    said: str
    hint: str


AWAY = Fault("database", "the database does not answer", "it is tried again; see nunatak doctor")
BUSY = Fault(
    "database-busy",
    "the database has no connection left",
    "it is tried again; see NUNATAK_DATABASE_POOL, and max_connections of PostgreSQL",
)
SLOW = Fault(
    "database-slow",
    "the database was too slow",
    "it is tried again; a lock that is held for long, or a busy disk, slows it down",
)
READ_ONLY = Fault(
    "database-read-only", "the database takes no changes", "it is tried again; it is a standby, or was made read-only"
)
FULL = Fault("database-full", "the database has no space left", "it is tried again; make room on the disk it is on")

BY_STATE = {
    "53300": BUSY, "53400": BUSY, "53100": FULL, "25006": READ_ONLY, "57014": SLOW, "55P03": SLOW, "40P01": SLOW, "40001": SLOW,
}  # fmt: skip
"""By SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html"""
BY_WORDS = (
    ("too many clients", BUSY),  # refused connections carry no SQLSTATE
    ("remaining connection slots", BUSY),
    ("too many connections", BUSY),
    ("disk is full", FULL),
    ("No space left", FULL),
    ("readonly database", READ_ONLY),
    ("is locked", SLOW),
)


def fault_of(error: Exception) -> Fault | None:
    """Return what an error of the driver or of the pool means; None for a mistake in what was asked."""
    if isinstance(error, PoolTimeout):
        return BUSY
    if not isinstance(error, DBAPIError):
        return None
    text = str(error.orig)
    known = BY_STATE.get(getattr(error.orig, "sqlstate", None) or "")
    known = known or next((fault for words, fault in BY_WORDS if words in text), None)
    if known or error.connection_invalidated or isinstance(error, OperationalError | InterfaceError):
        return known or AWAY
    return None


def unavailable(error: Exception) -> Unavailable | None:
    """Return what callers hear of an error; None for a mistake in what was asked."""
    fault = fault_of(error)
    if fault is None:
        return None
    orig = error.orig if isinstance(error, DBAPIError) else None
    detail = " ".join(str(orig).split()) if orig is not None else "all of this process are in use"
    return Unavailable(f"{fault.said}: {detail}", code=fault.code, hint=fault.hint)


def asks_again(error: BaseException) -> bool:
    """Tell whether the same work may go through when it is done again at once."""
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:  # the server went away and may be back: the pool opens new connections
        return True
    if isinstance(error.orig, sqlite3.OperationalError):
        return "locked" in str(error.orig) or "busy" in str(error.orig)
    return getattr(error.orig, "sqlstate", None) in AGAIN


def is_stale(error: BaseException | None) -> bool:
    """Tell whether a connection has to be given up because its prepared statements are older than the tables."""
    return getattr(error, "sqlstate", None) == "0A000" and STALE_PLAN in str(error)
