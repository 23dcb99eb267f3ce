"""Datasets that follow others, with real processes: the loops are killed again and again, and every job goes on once, in time."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import delete

from nunatak.tasks.tables import leaders
from tests.services import databases
from tests.services.ports import free_port
from tests.services.postgres import Postgres
from tests.story.installation import Installation, installation, until

pytestmark = pytest.mark.slow

FIRST = """\
name: made
jobs: 12
needs: {memory: 64 MB, disk: 64 MB, time: 10 min}
tasks:
  make:
    shell: true
    run: "sleep 0.1; echo {job} > a.txt"
    outputs: [a.txt]
"""
SECOND = """\
name: looked at, job by job
jobs: 12
needs: {memory: 64 MB, disk: 64 MB, time: 10 min}
retry: {tries: 1}
tasks:
  look:
    after: "1/{job}/make"
    shell: true
    inputs: ["1/{job}/make/a.txt"]
    run: "grep -qx {job} a.txt"
"""
THIRD = """\
name: gathered
jobs: 12
needs: {memory: 64 MB, disk: 64 MB, time: 10 min}
retry: {tries: 1}
after: [1/make, 2]
tasks:
  all:
    once: true
    shell: true
    inputs: ["1/11/make/a.txt"]
    run: "grep -qx 11 a.txt"
  every:
    shell: true
    inputs: ["1/{(job + 1) % jobs}/make/a.txt -> a.txt"]
    run: "test -s a.txt"
"""


@pytest.mark.timeout(300)
def test_loops_that_are_killed_let_every_job_go_on_once(tmp_path: Path, postgres: Postgres) -> None:
    with installation(tmp_path / "data", start=False, database=databases.migrated(postgres)) as house:
        serve(house)
        house.engine("node", "node")
        for recipe in (FIRST, SECOND, THIRD):
            house.submit(recipe)
        house.until_done(3)
        assert house.status(2).tasks.done == 0  # nobody has let anything go on
        for done in (1, 4, 8):
            house.spawn("serve", "loops", log="loops.log")
            house.until_done(done, 2)
            kill_loops(house)
        house.spawn("serve", "loops", log="loops.log")
        for number in (1, 2, 3):
            house.until_state("done", number)
        house.assert_each_done_once(12 + 12 + 13)
        assert house.endings() == {("ok", "ok"): 12 + 12 + 13}  # what began too early would not have found its input


def serve(house: Installation) -> None:
    """Start a server without loops."""
    house.port = free_port()
    house.server = house.spawn("serve", "api", "--local", "--port", str(house.port), log="api.log")
    until(house._answers, "the server")


def kill_loops(house: Installation) -> None:
    """Kill the loops, and let their leases be over at once: another process would wait half a minute for that."""
    house.kill_all("loops")
    with house.database() as opened:
        opened.run(lambda tx: tx.execute(delete(leaders)))
