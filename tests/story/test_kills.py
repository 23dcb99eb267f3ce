"""Any process may be killed at any moment: everything is done in the end, and nothing twice."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from nunatak.core.errors import Unavailable
from tests.services.postgres import Postgres
from tests.story.installation import Installation, installation, until

pytestmark = pytest.mark.slow

FIVE = """\
name: five tasks a job
jobs: {jobs}
needs: {{memory: 64 MB, disk: 64 MB, time: 10 min}}
retry: {{tries: 20, delay: 0.2 s}}
tasks:
  make:
    shell: true
    run: "sleep 0.03; echo {{job}} > a.txt"
    outputs: [a.txt]
  left:
    shell: true
    inputs: [make/a.txt]
    run: "sed s/^/left-/ a.txt > l.txt"
    outputs: [l.txt]
  right:
    shell: true
    inputs: [make/a.txt]
    run: "sleep 0.03; sed s/^/right-/ a.txt > r.txt"
    outputs: [r.txt]
  join:
    shell: true
    inputs: [left/l.txt, right/r.txt]
    run: "cat l.txt r.txt > j.txt"
    outputs: [j.txt]
  check:
    shell: true
    inputs: [join/j.txt]
    run: "sleep 0.03; grep -qx left-{{job}} j.txt"
"""
KILLED = ["api"] * 5 + ["engine"] * 5 + ["worker"] * 7 + ["inner"] * 6 + ["payload"] * 7


def assert_outputs(house: Installation, jobs: int, to: Path) -> None:
    """Bring every output and look at it."""
    with house.client() as client:
        fetched = client.get(1, to)
    assert len(fetched) == 4 * jobs
    joined = sorted(file.path.read_text() for file in fetched if file.path.name == "j.txt")
    assert joined == sorted(f"left-{job}\nright-{job}\n" for job in range(jobs))


@pytest.mark.timeout(600)
def test_thirty_kills_during_five_hundred_tasks_lose_nothing_and_repeat_nothing(
    tmp_path: Path, database_url: str
) -> None:
    random = Random(20261121)
    killed = random.sample(KILLED, len(KILLED))
    with installation(tmp_path / "data", database=database_url) as house:
        house.submit(FIVE.format(jobs=100))
        for number, role in enumerate(killed, 1):
            house.until_done(12 * number)  # enough are left for the last to be killed
            house.kill_one(role, random, lambda: keep_some(house))
        house.until_state("done")
        house.until_no_work()
        total = house.status().tasks.total
        assert total >= 500
        house.assert_each_done_once(total)
        assert_outputs(house, total // 5, tmp_path / "out")
        house.stop()
        house.until_none()
        found = house.doctor_command()
        assert (found["sound"], found["faults"], found["datasets"]) == (True, [], 1)


def keep_some(house: Installation) -> None:
    """Add jobs when few tasks are left: who looks for a process to kill may be slower than they are."""
    with house.client() as client:
        counts = client.dataset(1).tasks
        if counts.total - counts.done < 40:
            client.more(1, 10)


GATED = """\
name: tasks that wait for a sign
jobs: 6
needs: {{memory: 64 MB, disk: 64 MB, time: 10 min}}
retry: {{delay: 0.2 s}}
tasks:
  wait:
    shell: true
    run: "echo {{job}} >> {place}/begun; until [ -e {place}/go ]; do sleep 0.05; done; echo {{job}} > a.txt"
    outputs: [a.txt]
  after:
    shell: true
    inputs: [wait/a.txt]
    run: "grep -qx {{job}} a.txt"
"""


def lines(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


def test_after_the_server_engine_and_supervisor_are_killed_running_tasks_are_adopted_and_not_repeated(
    tmp_path: Path,
) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    with installation(tmp_path / "data") as house:
        house.submit(GATED.format(place=tmp_path))
        until(lambda: len(lines(begun)) == 4, "four tasks to run")
        workers = house.of("worker")
        house.kill_all("up", "api", "engine")
        assert {found.role for found in house.processes()} == {"worker", "inner", "payload"}
        house.start()
        assert house.of("worker") == workers
        until(lambda: house.status().tasks.running == 4, "the running tasks to be known again")
        go.touch()
        house.until_state("done")
        assert sorted(lines(begun)) == [str(job) for job in range(6)]  # each began once
        assert house.endings() == {("ok", "ok"): 12}
        house.assert_each_done_once(12)
        house.stop()
        house.until_none()


def test_tasks_that_end_while_nothing_else_runs_are_reported_after_the_next_start(tmp_path: Path) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    with installation(tmp_path / "data") as house:
        house.submit(GATED.format(place=tmp_path))
        until(lambda: len(lines(begun)) == 4, "four tasks to run")
        house.kill_all("up", "api", "engine")
        go.touch()
        house.until_none()
        house.start()
        house.until_state("done")
        assert sorted(lines(begun)) == [str(job) for job in range(6)]
        house.assert_each_done_once(12)


def test_after_a_power_cut_everything_is_done_again_that_was_running(tmp_path: Path) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    with installation(tmp_path / "data") as house:
        house.submit(GATED.format(place=tmp_path))
        until(lambda: len(lines(begun)) == 4, "four tasks to run")
        house.power_cut()
        go.touch()
        house.start()
        house.until_state("done")
        assert sorted(lines(begun)) == sorted([str(job) for job in range(6)] + [str(job) for job in range(4)])
        assert house.endings() == {("ok", "ok"): 12, ("lost", "lost"): 4}
        house.assert_each_done_once(12)


def test_a_stopped_installation_leaves_running_tasks_and_takes_them_up_again(tmp_path: Path) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    with installation(tmp_path / "data") as house:
        house.submit(GATED.format(place=tmp_path))
        until(lambda: house.status().tasks.running == 4, "four tasks to run")
        house.stop()
        assert {found.role for found in house.processes()} == {"worker", "inner", "payload"}
        assert house.endings() == {("terminated", "unbegun"): 2}  # what waited in the engine is for whoever comes first
        house.start()
        go.touch()
        house.until_state("done")
        assert house.endings() == {("ok", "ok"): 12, ("terminated", "unbegun"): 2}
        assert sorted(lines(begun)) == [str(job) for job in range(6)]


@pytest.mark.timeout(600)
def test_a_database_that_crashes_and_comes_back_loses_nothing(tmp_path: Path) -> None:
    server = Postgres.start(fsync=True)
    try:
        with installation(tmp_path / "data", database=server.new_database()) as house:
            house.submit(FIVE.format(jobs=10))
            for n in (12, 30):
                house.until_done(n)
                server.pg_ctl("stop", "-m", "immediate")
                with pytest.raises(Unavailable), house.client(patience=0.0) as client:
                    client.dataset(1)
                until(lambda: doctor_says(house, "the database does not answer"), "the doctor to say what is wrong")
                server.pg_ctl("start")
            house.until_state("done")
            house.assert_each_done_once(50)
            assert house.endings() == {("ok", "ok"): 50}  # also of claims whose answers were lost with the database
            assert_outputs(house, 10, tmp_path / "out")
    finally:
        server.stop()


def doctor_says(house: Installation, words: str) -> bool:
    return any(words in fault for fault in house.doctor().faults)
