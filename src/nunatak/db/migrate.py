"""Brings a database to the schema of this version. Runs under a lock, so that several processes may start at once."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from nunatak.db.database import Database

LOCK = 7_401_961  # any number: the advisory lock of migrations


def _config(tx: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = tx
    return config


def upgrade(database: Database) -> list[str]:
    """Bring the database to the newest revision; returns the revisions that were applied, oldest first."""
    with database.write() as tx:
        if database.dialect == "postgresql":
            tx.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        before = current(tx)
        newest = head()
        if before == newest:
            return []
        command.upgrade(_config(tx), "head")
        steps = ScriptDirectory.from_config(_config()).iterate_revisions(newest, before or "base")
        return [step.revision for step in steps][::-1]


def current(tx: Connection) -> str | None:
    """Return the revision the database is at; None if it is empty."""
    return MigrationContext.configure(tx).get_current_revision()


def head() -> str:
    """Return the newest revision."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    assert newest is not None
    return newest
