"""Steps of migrations that keep nobody waiting: what revisions do to tables that are in use.

A revision may add columns that are null or have a constant default, tables, and indexes by `add_index`. Processes of the
version before go on with the tables as they are then, so that nothing they name may change or go: a column is dropped by
the version after the one that stopped using it.
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op
from sqlalchemy import text


def add_index(name: str, table: str, columns: Sequence[str], *, unique: bool = False, where: str = "") -> None:
    """Add an index while the table is read and written, however large it is. Has to be the last step of its revision.

    PostgreSQL makes it outside a transaction; where that is broken off, it leaves a stump, which is removed by the next try.
    """
    condition = text(where) if where else None
    if op.get_context().dialect.name == "sqlite":
        op.create_index(name, table, list(columns), unique=unique, sqlite_where=condition)
        return
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")  # it waits for transactions under way, and nobody for it
        op.drop_index(name, table, postgresql_concurrently=True, if_exists=True)
        op.create_index(
            name, table, list(columns), unique=unique, postgresql_concurrently=True, postgresql_where=condition
        )


def drop_index(name: str, table: str) -> None:
    """Drop an index without keeping anybody waiting. Has to be the last step of its revision."""
    if op.get_context().dialect.name == "sqlite":
        op.drop_index(name, table, if_exists=True)
        return
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.drop_index(name, table, postgresql_concurrently=True, if_exists=True)
