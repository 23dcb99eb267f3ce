"""An engine, or its server, is killed -9 at exact points of a round: nothing is lost, nothing begins twice."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.services import databases
from tests.services.postgres import Postgres
from tests.story.installation import Installation, installation, until

pytestmark = pytest.mark.slow

DYING = (sys.executable, "-m", "tests.story.dying")
ROOT = str(Path(__file__).parents[2])
HOST = (
    "nunatak.client.engine:EngineClient.register+",
    "nunatak.client.engine:EngineClient.leases+",
    "nunatak.client.engine:EngineClient.claim+",  # leased to it, and it does not know
    "nunatak.client.engine:EngineClient.logs",
    "nunatak.client.engine:EngineClient.logs+",
    "nunatak.client.engine:EngineClient.report",
    "nunatak.client.engine:EngineClient.report+",  # the server knows the end, the engine does not know that it does
    "nunatak.client.engine:EngineClient.heartbeat+",
)
LOCAL = (
    "nunatak.engines.local:LocalEngine.submit",
    "nunatak.engines.sandbox:Shelf.place+",  # in the middle of a set
    "nunatak.engines.processes:spawn",  # it is written down that a worker is to be started, and there is none
    "nunatak.engines.processes:spawn+",  # the worker is there, and it is not written down which process it is
    "nunatak.engines.local:LocalEngine.submit+",  # they run, and the host does not know
    "nunatak.engines.sandbox:Shelf.discard",
    "nunatak.engines.sandbox:Shelf.discard+",
)
SERVER = (
    "nunatak.api.shared:Shared._claim+",  # tasks are leased, and the engine never hears which
    "nunatak.api.shared:Shared.unheard+",  # nor when it asks for them again
)
SIMULATED = ("nunatak.engines.simulated:SimulatedEngine.submit", "nunatak.engines.simulated:SimulatedEngine.submit+")
WAITING = 16
TASKS = """\
name: tasks that leave a line
jobs: 1
needs: {{memory: 64 MB, disk: 64 MB, time: 10 min}}
retry: {{delay: 0.1 s, tries: 50}}
tasks:
  one: {{shell: true, run: "echo {{job}} >> {place}/begun; sleep 0.3; echo {{job}}"}}
"""


def die_at_each(house: Installation, points: tuple[str, ...], *options: str) -> None:
    """Start an engine that dies at a point, wait for its end, and go on with the next; the last one lives."""
    place = house.data / "node"
    place.mkdir()
    with house.client() as client:
        token = client.create_token("node", ["engine"], days=1).token or ""
    variables = {"NUNATAK_URL": house.url, "NUNATAK_TOKEN": token, "PYTHONPATH": ROOT}
    words = ("serve", "engine", "node", "--cores", "2", "--memory", "8 GB", *options)
    for point in points:
        with house.client() as client:
            client.more(1, max(1, WAITING - house.status().tasks.ready))  # enough for every engine to come to its point
        dying = house.spawn(point, "1", *words, log="dying.log", data=place, variables=variables, command=DYING)
        assert dying.wait(120) == -signal.SIGKILL, (point, house.talk("dying.log")[-2000:])
        assert house.doctor().faults == [], point
    house.spawn(*words, log="node.log", data=place, variables=variables)


def test_a_local_engine_killed_at_any_point_repeats_nothing(tmp_path: Path, postgres: Postgres) -> None:
    with installation(tmp_path / "data", start=False, database=databases.migrated(postgres)) as house:
        house.start_server()
        house.submit(TASKS.format(place=tmp_path))
        die_at_each(house, HOST + LOCAL, "--option", "queue=2")
        total = house.status().tasks.total
        house.until_state("done")
        house.until_no_work()
        begun = Counter((tmp_path / "begun").read_text().split())
        assert begun == {str(job): 1 for job in range(total)}
        assert {verdict for _, verdict in house.endings()} <= {"ok", "lost", "unbegun"}  # those that had no process yet
        house.assert_each_done_once(total)
        with house.client() as client:
            assert "".join(client.logs(f"1/{total - 1}/one")) == f"{total - 1}\n"
        house.kill_all("engine")


def test_an_engine_that_forgets_all_when_it_is_killed_starts_again_what_it_had(tmp_path: Path) -> None:
    with installation(tmp_path / "data", start=False) as house:
        house.start_server()
        house.submit(TASKS.format(place=tmp_path))
        options = ("--kind", "simulated", "--option", "duration=0.3", "--option", "cpu=2", "--option", "queue=2")
        die_at_each(house, HOST + SIMULATED, *options)
        until(lambda: house.status().state == "done", "the end")
        assert {verdict for _, verdict in house.endings()} == {"ok", "lost"}
        house.assert_each_done_once(house.status().tasks.total)
        house.kill_all("engine")


def test_what_a_server_leased_when_it_was_killed_begins_as_if_nothing_had_been(tmp_path: Path) -> None:
    with installation(tmp_path / "data", start=False) as house:
        house.variables["NUNATAK_HEARTBEAT"] = "2"  # so soon does the engine find a server that is back
        house.start_server()
        house.submit(TASKS.format(place=tmp_path).replace("jobs: 1", "jobs: 12"))
        with house.client() as client:
            token = client.create_token("node", ["engine"], days=1).token or ""
        house.end_server()
        place = house.data / "node"
        place.mkdir()
        words = ("serve", "engine", "node", "--cores", "2", "--memory", "8 GB", "--option", "queue=2")
        house.spawn(*words, log="node.log", data=place, variables={"NUNATAK_URL": house.url, "NUNATAK_TOKEN": token})
        for point in SERVER:
            options = ("serve", "api", "--with-loops", "--local", "--port", str(house.port))
            dying = house.spawn(point, "1", *options, log="dying.log", variables={"PYTHONPATH": ROOT}, command=DYING)
            assert dying.wait(120) == -signal.SIGKILL, (point, house.talk("dying.log")[-2000:])
        house.start_server()
        house.until_state("done")
        house.until_no_work()
        assert Counter((tmp_path / "begun").read_text().split()) == {str(job): 1 for job in range(12)}
        assert house.endings() == {("ok", "ok"): 12}  # no attempt but those that did the work
        house.assert_each_done_once(12)
        house.kill_all("engine")
