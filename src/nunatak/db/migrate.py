"""Brings a database to the schema of this version, one migrator at a time, while the processes of the old version work.

Alembic is imported only when there is something to do: every server process comes by here when it starts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from nunatak.core.clock import Clock
from nunatak.core.errors import Conflict, Unavailable
from nunatak.db.bounds import PLANS, milliseconds
from nunatak.db.database import Database
from nunatak.db.faults import AGAIN

if TYPE_CHECKING:
    from alembic.config import Config

LOCK = 7_401_961  # any number: the advisory lock of migrations
PLACE = Path(__file__).parent / "migrations"
PLACES = (PLACE / "versions",)


@dataclass(frozen=True, slots=True)
class Pace:
    """How a migration waits for others, in seconds."""

    lock: float = 1.0  # for a lock: whoever comes after us in the queue for it waits as long
    pause: float = 0.5  # before it is tried again; doubles up to `pause_most`
    pause_most: float = 10.0
    patience: float = 600.0  # in all, for each revision and for another migrator


def upgrade(
    database: Database,
    *,
    places: Sequence[Path] = PLACES,
    pace: Pace | None = None,
    tell: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Clock = time.monotonic,
) -> list[str]:
    """Bring the database to the newest revision; returns the revisions that were applied, oldest first.

    `places` are the directories of the revisions. Raises `Conflict` if the database is newer, `Unavailable` if the locks
    were not to be had.
    """
    if database.dialect == "sqlite":  # the writer is alone, and all is one transaction
        with database.write() as tx:
            pending = _pending(tx, places)
            if pending:
                _apply(tx, places, pending[-1])
        return pending
    waiting = Waiting(pace or Pace(), tell, sleep, monotonic)
    with database.read() as look:
        if not _pending(look, places):
            return []
    with _alone(database, waiting):
        return _step_by_step(database, places, waiting)


class Waiting:
    """Tries again and again, a little later each time, and says why."""

    def __init__(
        self, pace: Pace, tell: Callable[[str], None], sleep: Callable[[float], None], monotonic: Clock
    ) -> None:
        self.pace, self.tell, self._sleep, self._monotonic = pace, tell, sleep, monotonic

    def until(self, done: Callable[[], bool], why: str) -> None:
        """Call `done` until it is true. Raises `Unavailable` when patience is at its end."""
        pause, end = self.pace.pause, self._monotonic() + self.pace.patience
        while not done():
            if self._monotonic() >= end:
                raise Unavailable(
                    f"gave up: {why}", code="migrate-locked", hint="see pg_stat_activity; then migrate again"
                )
            self.tell(f"{why}; tried again in {pause:g} s")
            self._sleep(pause)
            pause = min(2 * pause, self.pace.pause_most)


@contextmanager
def _alone(database: Database, waiting: Waiting) -> Iterator[None]:
    """Hold the lock of migrations for the time being.

    It is asked for again and again: a statement that waits for it would be a snapshot that an index made concurrently, by
    the one who has it, waits for.
    """
    with database.glancer.connect() as connection:
        waiting.until(
            lambda: bool(connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}).scalar()),
            "another migration is under way",
        )
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})


def _step_by_step(database: Database, places: Sequence[Path], waiting: Waiting) -> list[str]:
    """Apply each revision in a transaction of its own; where a lock is not to be had soon, nobody is kept waiting."""
    with database.write() as tx:
        pending = _pending(tx, places)
    for revision in pending:
        waiting.until(
            lambda: _applied(database, places, revision, waiting.pace.lock),  # noqa: B023 - called at once
            f"revision {revision} waits for a lock that others hold",
        )
    return pending


def _applied(database: Database, places: Sequence[Path], revision: str, lock: float) -> bool:
    """Apply one revision; tell whether it could get its locks."""
    with database.writer.connect() as connection:
        try:
            connection.execute(text(f"SET lock_timeout = {milliseconds(lock)}"))
            for plan in PLANS:  # what a revision does to rows, it does to all
                connection.execute(text(f"SET {plan} = on"))
            connection.commit()
            _apply(connection, places, revision)
        except DBAPIError as error:
            connection.rollback()
            if getattr(error.orig, "sqlstate", None) not in AGAIN:
                raise
            return False
        finally:
            connection.invalidate()  # with its settings
    return True


def _apply(connection: Connection, places: Sequence[Path], revision: str) -> None:
    from alembic import command

    command.upgrade(_config(places, connection), revision)


def _config(places: Sequence[Path], connection: Connection | None = None) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(PLACE))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(map(str, places)))
    config.attributes["connection"] = connection
    return config


def _pending(tx: Connection, places: Sequence[Path]) -> list[str]:
    """Return the revisions to be applied, oldest first. Raises `Conflict` if the database is newer than all of them."""
    present, known = current(tx), revisions(places)
    if present is not None and present > known[-1]:
        raise too_new(present, known[-1])
    return [revision for revision in known if present is None or revision > present]


def ready(database: Database) -> None:
    """See to it that a server may start: an empty database is made ready.

    Raises `Conflict` for one of an older version, since others may still work with it, and for one of a newer version.
    """
    with database.read() as tx:
        present = current(tx)
    if present is None:
        upgrade(database)
    elif present > head():
        raise too_new(present, head())
    elif present < head():
        raise Conflict(
            f"the database is at {present}, this version of Nunatak needs {head()}", code="older-database",
            hint="run nunatak migrate first: servers of the old version may go on meanwhile",
        )  # fmt: skip


def too_new(present: str, known: str) -> Conflict:
    """Return what to say of a database that a newer version has migrated."""
    return Conflict(
        f"the database is at {present}, this version of Nunatak knows only {known}", code="newer-database",
        hint="start the version that migrated it, or restore the backup made before that",
    )  # fmt: skip


def current(tx: Connection) -> str | None:
    """Return the revision the database is at; None if it is empty."""
    if not inspect(tx).has_table("alembic_version"):
        return None
    return tx.execute(text("SELECT version_num FROM alembic_version")).scalar()


def head() -> str:
    """Return the newest revision."""
    return revisions(PLACES)[-1]


def revisions(places: Sequence[Path]) -> list[str]:
    """Return all revisions, oldest first: files of revisions begin with their number, and follow each other."""
    return sorted(path.name.split("_")[0] for place in places for path in place.glob("[0-9]*_*.py"))
