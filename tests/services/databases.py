"""Databases at this version's schema: one is migrated, all others are copies of it, as to migrate takes longer than most tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from nunatak.db import migrate
from nunatak.db.database import Database
from tests.services.postgres import Postgres


def migrated_file(path: Path) -> str:
    """Put a migrated SQLite database at a path and return its address."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_content())
    return f"sqlite:///{path}"


@cache
def _content() -> bytes:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "nunatak.db"
        _migrate(f"sqlite:///{path}")
        assert [left.name for left in path.parent.iterdir()] == [path.name]  # else something is missing in the file
        return path.read_bytes()


def migrated(server: Postgres) -> str:
    """Create a migrated database on a server of PostgreSQL and return its address."""
    if not server.template:
        url = server.new_database()
        _migrate(url)
        server.template = url.rpartition("/")[2]
    return server.new_database(template=server.template)


def _migrate(url: str) -> None:
    database = Database(url)
    migrate.upgrade(database)
    database.close()
