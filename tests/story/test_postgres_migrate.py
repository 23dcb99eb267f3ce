"""A migration while everything runs: nobody waits for long, the processes of the old version go on until they are started anew."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from nunatak.db import migrate
from nunatak.db.database import Database
from tests.services.postgres import Postgres
from tests.story.cluster import STEPS, cluster
from tests.story.installation import until
from tests.story.revisions import made_up

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]
JOBS = 24


def test_a_database_is_migrated_by_two_at_once_while_tasks_are_claimed_and_reported(
    tmp_path: Path, postgres: Postgres
) -> None:
    url, places, said = postgres.new_database(), made_up(tmp_path / "revisions"), list[str]()
    name = url.rsplit("/", 1)[1]
    with cluster(tmp_path / "data", url) as house:
        house.submit(STEPS.format(jobs=JOBS, place=tmp_path))
        house.until_done(4)
        applied: list[list[str]] = []

        def migrator() -> None:
            database = Database(url)
            try:
                applied.append(migrate.upgrade(database, places=places, tell=said.append))
            finally:
                database.close()

        two = [threading.Thread(target=migrator) for _ in range(2)]
        with postgres.connect(name) as reader:
            with reader.transaction():  # a long look at a table that has to be changed
                reader.execute("SELECT count(*) FROM datasets")
                for thread in two:
                    thread.start()
                until(lambda: any("9001 waits for a lock" in line for line in said), "the migration to step back")
                until(lambda: any("another migration" in line for line in said), "the second migrator to wait")
                assert house.writes(0).status == 201  # nobody else is kept waiting by that
            for thread in two:
                thread.join(120)
            assert sorted(applied) == [[], ["9001", "9002"]]
            valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_attempts_made_up'::regclass"
            assert reader.execute(valid.encode()).fetchone() == (True,)
        for number in (0, 1):  # of the old version, and good for what they did before
            assert house.raw(number, "/readyz").status == 200
            assert house.reads(number).status == 200
        late = house.spawn("serve", "loops", log="late.log")
        assert late.wait(60) == 4
        assert "the database is at 9002, this version of Nunatak knows only" in house.talk("late.log")
        assert "Traceback" not in house.talk("late.log")
        house.until_state("done")
        with postgres.connect(name) as c:  # so that the doctor of this version looks at it
            c.execute(f"UPDATE alembic_version SET version_num = '{migrate.head()}'".encode())
        house.assert_each_done_once(2 * JOBS)
        assert set(house.endings()) == {("ok", "ok")}
        assert len((tmp_path / "ended").read_text().split()) == JOBS


def test_an_index_that_was_broken_off_is_made_anew(tmp_path: Path, postgres: Postgres) -> None:
    url = postgres.new_database()
    places, database = made_up(tmp_path / "revisions"), Database(url)
    migrate.upgrade(database, places=places[:1])
    with postgres.connect(url.rsplit("/", 1)[1]) as c:
        c.execute("CREATE INDEX ix_attempts_made_up ON attempts (ended)")
        c.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_attempts_made_up'::regclass")
        assert migrate.upgrade(database, places=places) == ["9001", "9002"]
        row = c.execute("SELECT indisvalid, indnatts FROM pg_index WHERE indexrelid = 'ix_attempts_made_up'::regclass")
        assert row.fetchone() == (True, 2)
    database.close()


def test_the_same_revisions_bring_sqlite_to_the_same_schema(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/nunatak.db")
    places = made_up(tmp_path / "revisions")
    assert migrate.upgrade(database, places=places)[-2:] == ["9001", "9002"]
    assert migrate.upgrade(database, places=places) == []
    with database.read() as tx:
        assert tx.execute(
            text("SELECT count(*) FROM pragma_index_list('attempts') WHERE name = 'ix_attempts_made_up'")
        ).scalar()
    database.close()


def test_locks_that_are_never_to_be_had_end_a_migration_which_changed_nothing(
    tmp_path: Path, postgres: Postgres
) -> None:
    url = postgres.new_database()
    places, database = made_up(tmp_path / "revisions"), Database(url)
    migrate.upgrade(database, places=places[:1])
    pace = migrate.Pace(lock=0.01, pause=0.0, pause_most=0.0, patience=0.0)
    with postgres.connect(url.rsplit("/", 1)[1]) as c, c.transaction():
        c.execute("SELECT count(*) FROM tasks")
        with pytest.raises(Exception, match="9001 waits for a lock") as error:
            migrate.upgrade(database, places=places, pace=pace)
    assert getattr(error.value, "code", "") == "migrate-locked"
    with database.read() as tx:
        assert migrate.current(tx) == migrate.head()
    database.close()
