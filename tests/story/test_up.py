"""`nunatak up` with real processes: from a recipe to done, through kills and restarts, and to a clean end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from nunatak import Client
from nunatak.client.statuses import DatasetStatus
from nunatak.core.errors import Unavailable
from nunatak.loops.signals import forward_signals
from tests.story.installation import started_up

pytestmark = pytest.mark.slow

NAPS = """\
name: naps
jobs: 12
needs: {memory: 100 MB, disk: 10 MB, time: 1 min}
tasks:
  nap:
    run:
      - sleep 0.3
      - sh -c "echo {job} > n.txt"
    outputs: [n.txt]
  count: {once: true, inputs: [nap/n.txt], run: "cat {inputs}"}
"""


def processes() -> list[str]:
    return [path.name for path in Path("/proc").iterdir() if path.name.isdigit()]


class Up:
    """One `nunatak up` on a directory."""

    started: ClassVar[list[Up]] = []

    def __init__(self, data: Path, *words: str) -> None:
        self.data = data
        self.process = started_up(data, "--json", *words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.started.append(self)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "it did not come up"
        self.url = json.loads(line)["url"]

    def client(self) -> Client:
        return Client(self.url, (self.data / "token").read_text().strip(), patience=30.0)

    def child(self, words: str) -> int:
        """Return the process of a child by its command line."""
        for pid in processes():
            try:
                stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
            if int(stat[1]) == self.process.pid and words in command:
                return int(pid)
        raise AssertionError(f"there is no child {words}")

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(120)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def until(so: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def sessions(data: Path) -> list[int]:
    """Return the workers that run below a data directory."""
    found = []
    for pid in processes():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:
            continue
        if f"{data}/engines" in command:
            found.append(int(pid))
    return found


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "data"
    while Up.started:
        up = Up.started.pop()
        if up.process.poll() is None:
            up.end()
    for pid in sessions(tmp_path / "data"):
        os.kill(pid, signal.SIGTERM)


def recipe(tmp_path: Path, text: str = NAPS) -> Path:
    (tmp_path / "r.yaml").write_text(text)
    return tmp_path / "r.yaml"


def watched(client: Client, number: int) -> DatasetStatus:
    *_, last = client.watch(number)
    assert isinstance(last, DatasetStatus)
    return last


def test_a_signal_in_the_middle_of_a_wait_is_heard() -> None:
    stop, before = threading.Event(), signal.getsignal(signal.SIGUSR1)
    try:
        forward_signals(stop, signal.SIGUSR1)
        with stop._cond:  # as `stop.wait` has it for a moment
            signal.raise_signal(signal.SIGUSR1)
        assert stop.wait(60)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_from_a_recipe_to_done_while_every_child_is_killed(data: Path, tmp_path: Path) -> None:
    up = Up(data)
    with up.client() as client:
        number = client.submit(recipe(tmp_path)).dataset
        until(lambda: (counts := client.dataset(number).tasks).running + counts.done > 0)
        os.kill(up.child("serve engine"), signal.SIGKILL)
        until(lambda: client.dataset(number).tasks.done > 3)
        os.kill(up.child("serve api"), signal.SIGKILL)
        last = watched(client, number)
        assert last.state == "done"
        assert last.tasks.done == 13
        assert sorted("".join(client.logs(f"{number}/count")).split()) == sorted(str(job) for job in range(12))
    assert up.end() == 0
    until(lambda: not sessions(data))


def test_tasks_that_run_outlive_a_restart(data: Path, tmp_path: Path) -> None:
    text = NAPS.replace("jobs: 12", "jobs: 2").replace(
        "sleep 0.3", f"sh -c 'until [ -e {tmp_path}/go ]; do sleep 0.1; done'"
    )
    up = Up(data)
    with up.client() as client:
        number = client.submit(recipe(tmp_path, text)).dataset
        until(lambda: client.dataset(number).tasks.running == 2)
    assert up.end(signal.SIGINT) == 0
    assert sessions(data)
    again = Up(data)
    (tmp_path / "go").touch()
    with again.client() as client:
        assert watched(client, number).state == "done"
        attempts = client.status(f"{number}/0/nap").plain["attempts"]
        assert len(attempts) == 1
    assert again.end() == 0


def test_stop_tasks_leaves_nothing_running(data: Path, tmp_path: Path) -> None:
    up = Up(data, "--stop-tasks")
    with up.client() as client:
        number = client.submit(recipe(tmp_path, NAPS.replace("sleep 0.3", "sleep 100"))).dataset
        until(lambda: client.dataset(number).tasks.running == 2)
    assert up.end() == 0
    assert not sessions(data)


def test_children_do_not_outlive_a_killed_supervisor(data: Path) -> None:
    up = Up(data)
    children = [up.child("serve engine"), up.child("serve api")]
    up.end(signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in children))
    with Client(up.url, "any", patience=0.0) as client, pytest.raises(Unavailable):
        client.whoami()
    assert Up(data).end() == 0


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def refused(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "nunatak.cli", "up", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)


def test_one_directory_has_one_owner_and_its_secrets_are_closed(data: Path) -> None:
    up = Up(data)
    second = refused("--data", str(data), "--port", "0")
    assert second.returncode == 4
    assert f"process {up.process.pid} at {up.url}" in second.stderr
    assert data.stat().st_mode & 0o777 == 0o700
    for name in ("token", "engine.token", "up.json"):
        assert (data / name).stat().st_mode & 0o777 == 0o600
    command = " ".join(Path(f"/proc/{pid}/cmdline").read_text() for pid in (up.process.pid, up.child("serve api")))
    assert (data / "token").read_text().strip() not in command
    assert up.end() == 0
    assert not (data / "up.json").exists()


def test_a_port_that_is_taken_is_named(data: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        found = refused("--data", str(data), "--port", str(taken.getsockname()[1]))
    assert found.returncode == 4
    assert "--port 0" in found.stderr
