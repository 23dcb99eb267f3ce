"""Connections: how many, how long, under which name, and what is said when there are none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from nunatak.core.errors import Unavailable
from nunatak.db import migrate, outage
from nunatak.db.bounds import Bounds
from nunatak.db.database import Database
from nunatak.db.statement import Statement
from tests.services.postgres import Postgres


@pytest.fixture
def opened(postgres: Postgres) -> Iterator[Database]:
    """An empty database on PostgreSQL."""
    database = Database(postgres.new_database(), Bounds(statement=7.5, lock=0.2, idle=33.0), name="nunatak test")
    yield database
    database.close()


def test_each_connection_has_its_bounds_and_the_name_of_its_process(opened: Database) -> None:
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "application_name")
    for way in (opened.write, opened.read, opened.glance):
        with way() as tx:
            assert [tx.execute(text(f"SHOW {name}")).scalar() for name in names] == [
                "7500ms",
                "200ms",
                "33s",
                "nunatak test",
            ]


def ask(database: Database, way: str) -> None:
    """Ask for a connection in one of the ways."""
    if way == "run":
        database.run(lambda tx: tx.execute(text("SELECT 1")))
        return
    with getattr(database, way)() as tx:
        tx.execute(text("SELECT 1"))


@pytest.mark.parametrize("way", ["write", "read", "glance", "run"])
def test_whoever_finds_no_free_connection_is_told_so_after_a_moment(database_url: str, way: str) -> None:
    database = Database(database_url, Bounds(pool=1, wait=0.05))
    kind = "write" if way == "run" else way
    with getattr(database, kind)():
        begin = time.monotonic()
        with pytest.raises(Unavailable) as error:
            ask(database, way)
        assert time.monotonic() - begin < 30.0
    assert (error.value.code, error.value.status) == ("database-busy", 503)
    with getattr(database, kind)() as tx:
        assert tx.execute(text("SELECT 1")).scalar() == 1
    database.close()


def test_a_statement_that_takes_too_long_and_a_lock_held_for_long_are_said_to_be_slow(opened: Database) -> None:
    with opened.write() as tx:
        tx.execute(text("CREATE TABLE t (x int)"))
    with opened.write() as tx:
        tx.execute(text("SET LOCAL statement_timeout = 50"))
        with pytest.raises(DBAPIError, match="statement timeout"):
            tx.execute(text("SELECT pg_sleep(60)"))
        tx.rollback()
    with opened.write() as holder:
        holder.execute(text("LOCK TABLE t IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(Unavailable) as error, opened.read() as tx:
            tx.execute(text("SELECT * FROM t"))
    assert error.value.code == "database-slow"
    assert "tried again" in error.value.hint


def test_connections_that_the_server_ended_meanwhile_are_replaced_unnoticed(
    opened: Database, postgres: Postgres
) -> None:
    with ExitStack() as stack:
        for way in (opened.write, opened.read, opened.glance):
            stack.enter_context(way()).execute(text("SELECT 1"))
    with postgres.connect() as c:
        ended = "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE application_name = 'nunatak test'"
        assert c.execute(ended.encode()).fetchone() == (3,)
    for way in (opened.write, opened.read, opened.glance):
        with way() as tx:
            assert tx.execute(text("SELECT 1")).scalar() == 1


def test_statements_go_on_when_a_migration_gave_their_table_another_column(opened: Database) -> None:
    rows = Statement("SELECT * FROM t")
    with opened.write() as tx:
        tx.execute(text("CREATE TABLE t (x int)"))
        tx.execute(text("INSERT INTO t VALUES (1)"))
    for _ in range(8):  # until the driver has it prepared
        assert opened.run(rows)[0].x == 1
    migrator = Database(opened.url)
    migrator.run(lambda tx: tx.execute(text("ALTER TABLE t ADD COLUMN y int DEFAULT 2")))
    migrator.close()
    assert opened.run(rows)[0]._asdict() == {"x": 1, "y": 2}  # type: ignore[attr-defined]


def test_an_address_that_is_none_is_refused_without_its_password() -> None:
    with pytest.raises(Exception, match="no SQLite or PostgreSQL") as error:
        Database("mysql://root:secret@host/name")
    assert "secret" not in str(error.value)


def test_an_outage_is_said_once_for_each_kind_and_its_end_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    note = lambda event, **more: said.append(f"{event} {more.get('code', more.get('errors'))}")  # noqa: E731
    monkeypatch.setattr(outage, "log", SimpleNamespace(error=note, warning=note))
    now = [0.0]
    watch = outage.Outage(lambda: now[0])
    for _ in range(50):
        watch.failed(Unavailable("gone", code="database"))
    watch.failed(Unavailable("no changes", code="database-read-only"))
    assert said == ["database database", "database database-read-only"]
    watch.went_well(wrote=True)  # too soon to be sure
    now[0] = 4.0
    watch.went_well(wrote=False)  # reading says nothing about changes
    assert watch.on
    watch.went_well(wrote=True)
    assert not watch.on
    assert said[2:] == ["the database goes along again 51"]
    watch.failed(Unavailable("gone", code="database"))
    now[0] = 70.0
    watch.failed(Unavailable("gone", code="database"))
    assert said[3:] == ["database database"] * 2


def test_a_schema_of_another_version_stops_a_server_from_starting(database: Database) -> None:
    migrate.ready(database)
    for revision, code in (("0001", "older-database"), ("9999", "newer-database")):
        with database.write() as tx:
            tx.execute(text(f"UPDATE alembic_version SET version_num = '{revision}'"))
        with pytest.raises(Exception, match=f"the database is at {revision}, this version of Nunatak") as error:
            migrate.ready(database)
        assert getattr(error.value, "code", "") == code
    with pytest.raises(Exception, match="knows only"):
        migrate.upgrade(database)
