"""PostgreSQL fails in every way there is under two servers, two of loops and an engine: nothing is lost, nothing done twice.

Meanwhile everybody is told what is wrong in a problem document, once in each log, and it all goes on by itself. The stories
share an installation, which each leaves as it found it, and have a dataset each.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import select

from nunatak.tasks.tables import attempts
from tests.services.databases import migrated
from tests.services.postgres import Postgres
from tests.services.relay import Relay
from tests.story.cluster import STEPS, Cluster, Said, cluster
from tests.story.installation import Installation, installation, until
from tests.story.test_full_disk import SmallDisk, small_disk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

JOBS = 12
TWO = (0, 1)
LOGS = ("api0.log", "api1.log", "loops0.log", "loops1.log")
WRONG, WELL = "database", "the database goes along again"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A PostgreSQL for these stories alone. What it says is done outlives it, though not the machine, which goes on here."""
    few = {"max_connections": "40", "superuser_reserved_connections": "0"}
    started = Postgres.start(settings={**few, "synchronous_commit": "on"})
    yield started
    started.stop()


@pytest.fixture(scope="module")
def disk(server: Postgres) -> Iterator[SmallDisk]:
    """Where the tables are; the log of PostgreSQL is elsewhere."""
    with small_disk(server.directory / "small", 40) as made:
        given_to(server, made)
        with server.connect() as c:
            c.execute(f"CREATE TABLESPACE small LOCATION '{made.place}'".encode())
        yield made
        server.pg_ctl("stop", "-m", "immediate")  # so that it lets go of the disk
        server.pg_ctl("start")


def given_to(server: Postgres, disk: SmallDisk) -> None:
    os.chown(disk.place, server.directory.stat().st_uid, -1)


@pytest.fixture(scope="module")
def house(server: Postgres, disk: SmallDisk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The installation; it has few connections, and soon gives up waiting for a lock."""
    data = tmp_path_factory.mktemp("postgres-faults") / "data"
    migrated(server)
    with cluster(data, server.new_database("small", server.template), database_pool="2", lock_timeout="0.5") as started:
        yield started


class Story:
    """One dataset of which some is done, and what each log says from then on."""

    def __init__(self, house: Cluster, place: Path) -> None:
        self.house, self.place = house, place
        self.dataset = house.submit(STEPS.format(jobs=JOBS, place=place))
        house.until_done(4, self.dataset)
        self._before = {log: len(house.lines(log, WRONG, WELL)) for log in LOGS}

    def said(self, log: str) -> list[str]:
        """Return what a log says of the database."""
        return [line["event"] for line in self.house.lines(log, WRONG, WELL)[self._before[log] :]]

    def goes_on(self, *, cut: bool = False) -> None:
        """Everything is done in the end, once, as the ledger and the tasks themselves say; all is well again.

        Where connections were `cut` the answer to a claim may have been lost: what it gave out was begun by nobody, and is given
        out again, free of charge.
        """
        self.house.until_state("done", self.dataset)
        self.house.assert_each_done_once(2 * JOBS, self.dataset)
        for file in ("begun", "ended"):
            assert sorted(map(int, (self.place / file).read_text().split())) == list(range(JOBS))
        others = self._other_ends()
        assert all((row.verdict, row.started) == ("lost", None) for row in others), others
        assert cut or not others
        until(self._all_is_well, "each log to say that all is well again")
        assert [self.house.reads(number).status for number in TWO] == [200, 200]
        for log in LOGS:
            assert len([event for event in self.said(log) if event == WRONG]) <= 6  # one line for each kind a minute
        for log in (*LOGS, "node.log"):
            assert "Traceback" not in self.house.talk(log)

    def _other_ends(self) -> list[Any]:
        mine = (attempts.c.dataset == self.dataset, attempts.c.verdict != "ok")
        with self.house.database() as opened, opened.read() as tx:
            return list(tx.execute(select(attempts).where(*mine)))

    def _all_is_well(self) -> bool:
        """Tell whether each log that said that something is wrong has said that it is over; a server has to be asked for that."""
        written = [self.house.writes(number).status for number in TWO]
        return written == [201, 201] and all((self.said(log) or [WELL])[-1] == WELL for log in LOGS)


def told(said: Said, *codes: str) -> bool:
    """Tell whether a request was refused for one of the reasons, in the form that programs and people can use."""
    if said.status == 503 and said.body["code"] in codes:
        assert said.headers["content-type"] == "application/problem+json"
        assert int(said.headers["retry-after"]) >= 1
        assert "tried again" in said.body["hint"]
        return True
    return False


def test_a_backend_is_killed(tmp_path: Path, server: Postgres, house: Cluster) -> None:
    story = Story(house, tmp_path)
    with server.connect() as c:
        (pid,) = c.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'nunatak api'").fetchone() or (0,)
    os.kill(pid, signal.SIGKILL)  # the server ends all others, recovers, and goes on
    story.goes_on(cut=True)


def test_the_server_crashes_and_stays_away_for_a_while(tmp_path: Path, server: Postgres, house: Cluster) -> None:
    story = Story(house, tmp_path)
    server.pg_ctl("stop", "-m", "immediate")
    try:
        for number in TWO:
            until(lambda: told(house.reads(number), "database"), "the servers to say so")  # noqa: B023
            until(lambda: told(house.writes(number), "database"), "the servers to say so")  # noqa: B023
            until(lambda: WRONG in story.said(f"loops{number}.log"), "the loops to notice")  # noqa: B023
    finally:
        server.pg_ctl("start")
    story.goes_on(cut=True)
    assert all(WELL in story.said(f"loops{number}.log") for number in TWO)


def test_others_take_all_connections(tmp_path: Path, server: Postgres, house: Cluster) -> None:
    story = Story(house, tmp_path)
    with ExitStack() as hog:
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

        def busy(ask: Callable[[int], Said], number: int) -> bool:
            take_all()  # once more: a server may have been faster than the hog
            return told(ask(number), "database-busy")

        for number in TWO:
            until(lambda: busy(house.reads, number), "the servers to say so")  # noqa: B023
            until(lambda: busy(house.writes, number), "the servers to say so")  # noqa: B023
    story.goes_on(cut=True)


def test_somebody_holds_a_lock_for_long(tmp_path: Path, server: Postgres, house: Cluster) -> None:
    story = Story(house, tmp_path)
    with server.connect(house.database_url.rsplit("/", 1)[1]) as c, c.transaction():
        c.execute("LOCK TABLE tokens, task_counts IN ACCESS EXCLUSIVE MODE")
        for number in TWO:
            until(lambda: told(house.writes(number), "database-slow"), "the servers to say so")  # noqa: B023
    story.goes_on()


def test_the_database_takes_no_changes(tmp_path: Path, server: Postgres, house: Cluster) -> None:
    story = Story(house, tmp_path)
    server.set("default_transaction_read_only", "on")
    try:
        for number in TWO:
            until(lambda: told(house.writes(number), "database-read-only"), "the servers to say so")  # noqa: B023
            assert house.reads(number).status == 200  # looking goes on
    finally:
        server.set("default_transaction_read_only", "off")
    story.goes_on()


def test_the_disk_of_the_database_is_full(tmp_path: Path, server: Postgres, disk: SmallDisk, house: Cluster) -> None:
    if not disk.mounted:
        pytest.skip("needs a disk of its own: root may mount one")
    story = Story(house, tmp_path)
    disk.fill()
    try:
        for number in TWO:
            until(lambda: told(house.writes(number), "database-full"), "the servers to say so")  # noqa: B023
            assert house.reads(number).status == 200
    finally:
        disk.free()
        given_to(server, disk)
    story.goes_on()


def test_the_network_to_the_database_is_slow_and_stalls(tmp_path: Path, server: Postgres) -> None:
    """Each way takes 40 to 80 ms, and for some seconds nothing comes through."""
    jobs, direct = 4, migrated(server)
    gate = tmp_path / "gate"  # for which the last job waits
    relay = Relay(server.port, seed=3, delay=0.0, chance=0.0)
    through = direct.replace(f":{server.port}/", f":{relay.port}/")
    with installation(tmp_path / "data", start=False, database=through) as house:
        house.start_server()
        house.engine("node", "node")
        recipe = STEPS.format(jobs=jobs, place=tmp_path)
        waits = f"until [ {{job}} -lt {jobs - 1} ] || [ -e {gate} ]; do sleep 0.05; done; "
        house.submit(recipe.replace('one: {shell: true, run: "', f'one: {{shell: true, run: "{waits}'))
        house.until_done(2)
        relay.least, relay.delay = 0.04, 0.08
        house.until_done(4)
        with relay.stalled():
            asked = Asked(house)
            assert not asked.answered.wait(3.0)
        assert asked.answered.wait(60.0)
        assert asked.state == "open"
        gate.touch()
        house.until_done(2 * jobs - 2)
        relay.least = relay.delay = 0.0
        house.until_state("done")
        house.assert_each_done_once(2 * jobs)
        assert house.endings() == {("ok", "ok"): 2 * jobs}
        for file in ("begun", "ended"):
            assert sorted(map(int, (tmp_path / file).read_text().split())) == list(range(jobs))
        for log in ("api.log", "node.log"):
            assert '"level": "error"' not in house.talk(log)
            assert "Traceback" not in house.talk(log)
    relay.close()


class Asked:
    """Somebody asks for the state of the dataset and is patient."""

    def __init__(self, house: Installation) -> None:
        self.answered, self.state, self._house = threading.Event(), "", house
        threading.Thread(target=self._ask, daemon=True).start()

    def _ask(self) -> None:
        self.state = self._house.status().state
        self.answered.set()
