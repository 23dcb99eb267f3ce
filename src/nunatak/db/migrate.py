"""Brings a database to the schema of this version. Runs under a lock, so that several processes may start at once.

Alembic is imported only when there is something to do: every server process comes by here when it starts.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from nunatak.core.errors import Conflict
from nunatak.db.database import Database

if TYPE_CHECKING:
    from alembic.config import Config

LOCK = 7_401_961  # any number: the advisory lock of migrations
PLACE = Path(__file__).parent / "migrations"


def upgrade(database: Database) -> list[str]:
    """Bring the database to the newest revision; returns the revisions that were applied, oldest first.

    Raises `Conflict` if a later version was here.
    """
    with database.write() as tx:
        if database.dialect == "postgresql":
            tx.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        before = current(tx)
        if before == head():
            return []
        if before is not None and before > head():
            raise Conflict(
                f"the database is at {before}, this version of Nunatak knows only {head()}",
                code="newer-database",
                hint="start the version that migrated it, or restore the backup made before that",
            )
        return _apply(tx, before)


def _apply(tx: Connection, before: str | None) -> list[str]:
    from alembic import command
    from alembic.script import ScriptDirectory

    command.upgrade(_config(tx), "head")
    steps = ScriptDirectory.from_config(_config()).iterate_revisions(head(), before or "base")
    return [step.revision for step in steps][::-1]


def _config(tx: Connection | None = None) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(PLACE))
    config.attributes["connection"] = tx
    return config


def current(tx: Connection) -> str | None:
    """Return the revision the database is at; None if it is empty."""
    if not inspect(tx).has_table("alembic_version"):
        return None
    return tx.execute(text("SELECT version_num FROM alembic_version")).scalar()


def head() -> str:
    """Return the newest revision: files of revisions begin with their number."""
    return max(path.name.split("_")[0] for path in PLACE.glob("versions/[0-9]*_*.py"))
