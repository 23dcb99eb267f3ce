"""The way between an engine and its server is cut for a while: tasks go on, and are reported when it is open again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nunatak.client.statuses import TaskStatus
from tests.story.installation import Installation, installation, until

pytestmark = pytest.mark.slow

STEPS = """\
name: tasks that leave a line
jobs: 16
needs: {{memory: 64 MB, disk: 64 MB, time: 10 min}}
tasks:
  one: {{shell: true, run: "echo {{job}} >> {place}/begun; echo {{job}} > a.txt", outputs: [a.txt]}}
  two: {{shell: true, run: "grep -qx {{job}} a.txt", inputs: [one/a.txt]}}
"""


@contextmanager
def frozen(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def begun(place: Path) -> int:
    file = place / "begun"
    return len(file.read_text().split()) if file.exists() else 0


def test_while_the_server_does_not_answer_tasks_that_were_given_out_are_done_and_reported_later(tmp_path: Path) -> None:
    with installation(tmp_path / "data", cores=2) as house:
        house.submit(STEPS.format(place=tmp_path))
        until(lambda: begun(tmp_path) >= 4, "four tasks to begin")
        with frozen(house.of("api")):
            until(lambda: begun(tmp_path) > 4, "more to begin")
            house.until_no_work()
        house.until_state("done")
        assert begun(tmp_path) == 16
        assert house.endings() == {("ok", "ok"): 32}
        house.assert_each_done_once(32)


def test_while_the_port_of_the_server_is_closed_tasks_go_on_and_are_reported_to_the_next_server(
    tmp_path: Path,
) -> None:
    with installation(tmp_path / "data", start=False) as house:
        house.start_server()
        house.engine("node", "node")
        house.submit(STEPS.format(place=tmp_path))
        until(lambda: begun(tmp_path) >= 4, "four tasks to begin")
        house.end_server()
        until(lambda: begun(tmp_path) > 4, "more to begin")
        house.until_no_work()
        house.start_server()
        house.until_state("done")
        assert begun(tmp_path) == 16
        assert house.endings() == {("ok", "ok"): 32}
        house.assert_each_done_once(32)


ONE = """\
name: one that waits
jobs: 1
needs: {{memory: 64 MB, disk: 64 MB, time: 10 min}}
tasks:
  one: {{shell: true, run: "echo x >> {place}/begun; until [ -e {place}/go ]; do sleep 0.05; done"}}
"""


def test_an_engine_silent_for_longer_than_its_lease_loses_its_tasks_and_its_late_report_changes_nothing(
    tmp_path: Path,
) -> None:
    with installation(tmp_path / "data", start=False, lease="6", heartbeat="1") as house:
        house.start_server()
        house.engine("far", "far")
        house.submit(ONE.format(place=tmp_path))
        until(lambda: begun(tmp_path) == 1, "the task to begin")
        with frozen(house.of("engine")):
            until(lambda: house.status().tasks.ready == 1, "the lease to run out")
            (tmp_path / "go").touch()
            house.until_no_work()
        house.until_state("done")
        with house.client() as client:
            task = client.status("1/0/one")
        assert isinstance(task, TaskStatus)
        assert [(a.verdict, a.action) for a in task.attempts] == [("lease-expired", "again"), ("ok", "done")]
        assert begun(tmp_path) == 2
        house.assert_each_done_once(1)


def test_a_second_engine_of_the_same_name_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    with installation(tmp_path / "data", start=False, lease="8", heartbeat="0.5") as house:
        house.start_server()
        house.engine("twin", "first")
        until(lambda: registered(house, "first"), "the first engine")
        house.engine("twin", "second")
        until(lambda: "engine twin is already running" in house.talk("second.log"), "the second engine to be refused")
        assert not registered(house, "second")
        house.submit(ONE.format(place=tmp_path))
        (tmp_path / "go").touch()
        house.until_state("done")
        assert list((tmp_path / "data" / "first").glob("engines/twin/attempts/*"))
        house.kill_all("engine")


def registered(house: Installation, which: str) -> bool:
    return '"event": "registered"' in house.talk(f"{which}.log")


def test_a_second_engine_on_the_same_directory_ends_and_says_why(tmp_path: Path) -> None:
    with installation(tmp_path / "data") as house:
        second = house.spawn("serve", "engine", "local", log="second.log")
        assert second.wait(60) == 6
        said = house.talk("second.log")
        assert "another engine works in" in said
        assert "Traceback" not in said
        house.submit(ONE.format(place=tmp_path))
        (tmp_path / "go").touch()
        house.until_state("done")
