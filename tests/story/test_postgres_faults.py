"""PostgreSQL fails in every way there is under two servers, two of loops and an engine: nothing is lost, nothing done twice.

Meanwhile everybody is told what is wrong in a problem document, once in each log, and it all goes on by itself.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from tests.services.postgres import Postgres
from tests.story.cluster import STEPS, Cluster, Said, cluster
from tests.story.installation import until
from tests.story.test_full_disk import small_disk

pytestmark = [pytest.mark.long, pytest.mark.slow, pytest.mark.timeout(420)]

JOBS = 24


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A PostgreSQL for this story alone, as in production: what it says is on the disk, is."""
    started = Postgres.start(fsync=True, settings={"max_connections": "40", "superuser_reserved_connections": "0"})
    yield started
    started.stop()


def begun(house: Cluster, place: Path) -> None:
    """Submit work and wait until some of it is done."""
    house.submit(STEPS.format(jobs=JOBS, place=place))
    house.until_done(6)


def goes_on(house: Cluster, place: Path) -> None:
    """Everything is done in the end, once, as the ledger and the tasks themselves say; both servers answer."""
    house.until_state("done")
    house.assert_each_done_once(2 * JOBS)
    assert set(house.endings()) == {("ok", "ok")}
    for file in ("begun", "ended"):
        assert sorted(map(int, (place / file).read_text().split())) == list(range(JOBS))
    assert [house.reads(number).status for number in (0, 1)] == [200, 200]
    for log in ("api0.log", "api1.log", "loops0.log", "loops1.log", "node.log"):
        assert "Traceback" not in house.talk(log)
        assert len(house.lines(log, "database")) <= 6, house.talk(log)  # one line for each kind a minute


def told(said: Said, *codes: str) -> bool:
    """Tell whether a request was refused for one of the reasons, in the form that programs and people can use."""
    if said.status == 503 and said.body["code"] in codes:
        assert said.headers["content-type"] == "application/problem+json"
        assert int(said.headers["retry-after"]) >= 1
        assert "tried again" in said.body["hint"]
        return True
    return False


def test_a_backend_is_killed(tmp_path: Path, server: Postgres) -> None:
    with cluster(tmp_path / "data", server.new_database()) as house:
        begun(house, tmp_path)
        with server.connect() as c:
            (pid,) = c.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'nunatak api'"
            ).fetchone() or (0,)
        os.kill(pid, signal.SIGKILL)  # the server ends all others, recovers, and goes on
        goes_on(house, tmp_path)


def test_the_server_crashes_and_stays_away_for_a_while(tmp_path: Path, server: Postgres) -> None:
    with cluster(tmp_path / "data", server.new_database()) as house:
        begun(house, tmp_path)
        server.pg_ctl("stop", "-m", "immediate")
        for number in (0, 1):
            until(lambda: told(house.reads(number), "database"), "the servers to say so")  # noqa: B023
            until(lambda: told(house.writes(number), "database"), "the servers to say so")  # noqa: B023
            until(lambda: house.lines(f"loops{number}.log", "database"), "the loops to notice")  # noqa: B023
        server.pg_ctl("start")
        goes_on(house, tmp_path)
        for log in ("loops0.log", "loops1.log"):
            until(lambda: house.lines(log, "the database goes along again"), "the loops to go on")  # noqa: B023


def test_others_take_all_connections(tmp_path: Path, server: Postgres) -> None:
    with cluster(tmp_path / "data", server.new_database(), database_pool="2") as house, ExitStack() as hog:
        begun(house, tmp_path)
        with server.connect() as c:
            names = {row[0] for row in c.execute("SELECT application_name FROM pg_stat_activity").fetchall()}
        assert {"nunatak api", "nunatak loops"} <= names

        control = hog.enter_context(server.connect())

        def take_all() -> None:
            control.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'nunatak %'"
            )
            while True:
                try:
                    hog.enter_context(server.connect(application_name="hog"))
                except psycopg.OperationalError as error:
                    if "too many clients" in str(error):
                        return
                    raise

        for number in (0, 1):
            take_all()
            until(lambda: told(house.reads(number), "database-busy"), "the servers to say so")  # noqa: B023
            take_all()
            until(lambda: told(house.writes(number), "database-busy"), "the servers to say so")  # noqa: B023
        hog.close()
        goes_on(house, tmp_path)


def test_somebody_holds_a_lock_for_long(tmp_path: Path, server: Postgres) -> None:
    url = server.new_database()
    with cluster(tmp_path / "data", url, lock_timeout="1") as house:
        begun(house, tmp_path)
        with server.connect(url.rsplit("/", 1)[1]) as c, c.transaction():
            c.execute("LOCK TABLE tokens, task_counts IN ACCESS EXCLUSIVE MODE")
            until(lambda: told(house.writes(0), "database-slow"), "a server to say so")
            until(lambda: told(house.writes(1), "database-slow"), "the other to say so")
        goes_on(house, tmp_path)


def test_the_database_takes_no_changes(tmp_path: Path, server: Postgres) -> None:
    with cluster(tmp_path / "data", server.new_database()) as house:
        begun(house, tmp_path)
        server.set("default_transaction_read_only", "on")
        for number in (0, 1):
            until(lambda: told(house.writes(number), "database-read-only"), "the servers to say so")  # noqa: B023
            assert house.reads(number).status == 200  # looking goes on
        server.set("default_transaction_read_only", "off")
        goes_on(house, tmp_path)


def test_the_disk_of_the_database_is_full(tmp_path: Path, server: Postgres) -> None:
    with small_disk(server.directory / "small", 40) as disk:
        if not disk.mounted:
            pytest.skip("needs a disk of its own: root may mount one")
        os.chown(disk.place, server.directory.stat().st_uid, -1)
        with server.connect() as c:
            c.execute(f"CREATE TABLESPACE small LOCATION '{disk.place}'".encode())
        with cluster(tmp_path / "data", server.new_database("small")) as house:
            begun(house, tmp_path)
            disk.fill()
            for number in (0, 1):
                until(lambda: told(house.writes(number), "database-full"), "the servers to say so")  # noqa: B023
                assert house.reads(number).status == 200
            disk.free()
            os.chown(disk.place, server.directory.stat().st_uid, -1)
            goes_on(house, tmp_path)
        server.pg_ctl("stop", "-m", "immediate")
        server.pg_ctl("start")
