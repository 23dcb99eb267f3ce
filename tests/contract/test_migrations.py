"""Migrations bring an empty database to exactly the schema that the tables declare, on both databases."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

import nunatak.accounts.tables
import nunatak.datasets.tables
import nunatak.tasks.tables  # noqa: F401 - tables join the metadata when they are imported
from nunatak.core.errors import Conflict
from nunatak.db import migrate
from nunatak.db.database import Database
from nunatak.db.schema import metadata


def test_the_newest_revision_is_what_the_tables_declare(database: Database) -> None:
    with database.read() as tx:
        assert compare_metadata(MigrationContext.configure(tx, opts={"compare_type": True}), metadata) == []
        assert migrate.current(tx) == migrate.head()


def test_upgrading_again_changes_nothing(database: Database) -> None:
    assert migrate.upgrade(database) == []


def test_a_database_that_a_later_version_migrated_is_left_alone(database: Database) -> None:
    with database.write() as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Conflict, match="the database is at 9999, this version of Nunatak knows only"):
        migrate.upgrade(database)


def test_every_partial_index_is_there(database: Database) -> None:
    with database.read() as tx:
        found = {index["name"] for index in inspect(tx).get_indexes("tasks")}
    assert {"ix_tasks_ready", "ix_tasks_unfinished"} <= found


def test_the_newest_revision_is_known_without_reading_any() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.PLACE))
    assert ScriptDirectory.from_config(config).get_current_head() == migrate.head()
