"""A worker that runs a series: each attempt in its own sandbox, none taking another with it, nothing run twice."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nunatak.core.work import Command, Environment, Outcome, Reason, Shape, TaskSpec
from nunatak.worker.build import unpack
from tests.contract.test_worker import PYTHONS

PATIENCE = 150.0
SHAPE = Shape(cpu=1, memory=10**9, disk=10**9, time=600)
FINE = ("echo", "fine")
LONG = ("sleep", "600")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(tmp_path_factory.mktemp("worker"))


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


class Series:
    """Sandboxes, and a worker to run through them."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root, self.home = root, home
        self.python = sys.executable
        self.boxes: list[Path] = []
        self.workers: list[subprocess.Popen[str]] = []

    def order(self, *commands: tuple[str, ...], shape: Shape = SHAPE) -> None:
        """Write the order and a sandbox for each command."""
        for n, argv in enumerate(commands):
            box = self.root / f"box{n}"
            box.mkdir()
            task = TaskSpec(f"1/{n}/step#1", f"{n:x}f", (Command(argv),), Environment(), (), (), shape)
            (box / "task.json").write_text(json.dumps(task.to_plain()))
            self.boxes.append(box)
        members = [box.name for box in self.boxes]
        (self.root / "series.json").write_text(json.dumps({"format": 1, "members": members}))

    def start(self, grace: float = 5) -> subprocess.Popen[str]:
        order = str(self.root / "series.json")
        words = [self.python, "-I", "-S", str(self.home), "--series", order, "--grace", str(grace)]
        worker = subprocess.Popen(words, text=True, stderr=subprocess.PIPE, start_new_session=True)
        self.workers.append(worker)
        return worker

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.communicate()

    def run(self) -> int:
        worker = self.start()
        assert worker.communicate(timeout=PATIENCE)[1] == ""
        return worker.returncode

    def outcome(self, n: int) -> Outcome:
        return Outcome.from_plain(json.loads((self.boxes[n] / "outcome.json").read_text()))

    def reasons(self) -> list[Reason]:
        return [self.outcome(n).reason for n in range(len(self.boxes))]

    def begun(self, n: int) -> bool:
        return (self.boxes[n] / "begun").exists()

    def sleeping(self, n: int) -> None:
        """Wait until the payload of a member runs."""
        until(lambda: self.begun(n) and (self.boxes[n] / "stdout").exists() and self.payload(n))

    def payload(self, n: int) -> list[int]:
        tmp = f"TMPDIR={self.boxes[n]}/tmp".encode()
        return [pid for pid in _pids() if tmp in _environ(pid)]


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _environ(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


@pytest.fixture
def series(tmp_path: Path, home: Path) -> Iterator[Series]:
    made = Series(tmp_path, home)
    yield made
    made.close()


@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS)
def test_each_attempt_has_its_own_outcome_log_and_usage(series: Series, python: str) -> None:
    series.python = python
    series.order(FINE, ("sh", "-c", "echo two; exit 3"), ("/no/such/program",), FINE)
    assert series.run() == 0
    assert series.reasons() == [Reason.OK, Reason.EXIT, Reason.COMMAND, Reason.OK]
    assert [series.outcome(n).address for n in range(4)] == [f"1/{n}/step#1" for n in range(4)]
    assert [(box / "stdout").read_text() for box in series.boxes if (box / "stdout").exists()][:2] == [
        "fine\n",
        "two\n",
    ]
    assert all((box / "usage.json").exists() and not (box / "work").exists() for box in series.boxes)
    ends = [series.outcome(n).ended or 0 for n in range(4)]
    assert ends == sorted(ends)


def test_an_attempt_is_over_with_all_its_processes_before_the_next_begins(series: Series) -> None:
    left = ("sh", "-c", "setsid sleep 600 & echo gone")
    series.order(left, ("sh", "-c", f"ls -d {series.root}/box1/begun"))
    assert series.run() == 0
    assert series.reasons() == [Reason.OK, Reason.OK]
    assert not series.payload(0)


def test_each_attempt_is_held_to_its_own_limits(series: Series) -> None:
    series.order(("sleep", "600"), FINE, shape=Shape(memory=10**9, disk=10**9, time=1))
    assert series.run() == 0
    assert series.reasons() == [Reason.TIME, Reason.OK]


def test_a_killed_inner_process_loses_only_the_attempt_it_ran(series: Series) -> None:
    series.order(FINE, LONG, FINE)
    worker = series.start()
    series.sleeping(1)
    inner = int(Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()[0])
    os.kill(inner, signal.SIGKILL)
    assert worker.wait(PATIENCE) == 0
    assert series.reasons() == [Reason.OK, Reason.LOST, Reason.OK]
    assert not series.payload(1)


def test_a_killed_outer_process_leaves_nothing_running_and_says_nothing(series: Series) -> None:
    series.order(FINE, LONG, FINE)
    worker = series.start()
    series.sleeping(1)
    worker.kill()
    worker.wait(PATIENCE)
    until(lambda: not series.payload(1))
    assert series.outcome(0).reason is Reason.OK
    assert [series.begun(n) for n in range(3)] == [True, True, False]
    assert [(box / "outcome.json").exists() for box in series.boxes] == [True, False, False]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_told_to_stop_it_ends_the_running_attempt_and_leaves_the_rest_unbegun(series: Series, signum: int) -> None:
    series.order(FINE, LONG, FINE, FINE)
    worker = series.start()
    series.sleeping(1)
    worker.send_signal(signum)
    assert worker.wait(PATIENCE) == 0
    assert series.reasons() == [Reason.OK, Reason.TERMINATED, Reason.UNBEGUN, Reason.UNBEGUN]
    assert (series.outcome(2).started, series.begun(2)) == (None, False)


def test_a_second_signal_hurries(series: Series) -> None:
    heard = series.root / "heard"
    series.order(("sh", "-c", f"trap 'touch {heard}' TERM; while :; do sleep 1; done"), FINE)
    worker = series.start(grace=10 * PATIENCE)
    series.sleeping(0)
    worker.terminate()
    until(heard.exists)
    worker.terminate()
    assert worker.wait(PATIENCE) == 0  # which is less than the grace
    assert series.reasons() == [Reason.TERMINATED, Reason.UNBEGUN]


def test_one_attempt_is_ended_and_the_next_goes_on(series: Series) -> None:
    series.order(LONG, FINE)
    worker = series.start()
    series.sleeping(0)
    worker.send_signal(signal.SIGUSR1)  # one that came too late for another, and finds no stop here
    (series.boxes[0] / "stop.json").write_text("{}")
    worker.send_signal(signal.SIGUSR1)
    assert worker.wait(PATIENCE) == 0
    assert series.reasons() == [Reason.TERMINATED, Reason.OK]


def test_a_signal_for_one_that_has_ended_does_not_end_the_next(series: Series) -> None:
    series.order(FINE, ("sleep", "1"))
    worker = series.start()
    series.sleeping(1)
    (series.boxes[0] / "stop.json").write_text("{}")
    worker.send_signal(signal.SIGUSR1)
    assert worker.wait(PATIENCE) == 0
    assert series.reasons() == [Reason.OK, Reason.OK]


def test_a_waiting_attempt_that_is_to_stop_never_runs(series: Series) -> None:
    series.order(LONG, FINE)
    (series.boxes[0] / "stop.json").write_text("{}")
    assert series.run() == 0
    assert series.reasons() == [Reason.TERMINATED, Reason.OK]
    assert not (series.boxes[0] / "worker.log").exists()


def test_what_was_begun_before_or_is_gone_is_left_alone(series: Series) -> None:
    series.order(LONG, LONG, FINE)
    (series.boxes[0] / "begun").touch()
    (series.boxes[1] / "task.json").unlink()
    series.boxes[1].rmdir()
    assert series.run() == 0
    assert not (series.boxes[0] / "outcome.json").exists()
    assert series.outcome(2).reason is Reason.OK
    assert series.run() == 0  # again: everything was begun


def test_an_order_that_cannot_be_read_is_refused(series: Series) -> None:
    series.order(FINE)
    for text in ("", "[]", '{"format": 2, "members": []}', '{"format": 1, "members": [""]}', '{"format": 1}'):
        (series.root / "series.json").write_text(text)
        worker = series.start()
        assert "series.json cannot be used" in worker.communicate(timeout=PATIENCE)[1]
        assert worker.returncode == 2
    assert not series.begun(0)


def spent(series: Series) -> float:
    """Run a series; return the seconds of processors that its worker took with all that it began."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert series.run() == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def test_an_attempt_costs_milliseconds_and_no_new_interpreter(tmp_path: Path, home: Path) -> None:
    alone, many = (Series(tmp_path / name, home) for name in ("alone", "many"))
    for made, members in ((alone, 1), (many, 201)):
        made.root.mkdir()
        made.order(*[("true",)] * members)
    first = spent(alone)
    each = (spent(many) - first) / 200
    assert set(many.reasons()) == {Reason.OK}
    assert each < 0.7 * first, f"the first took {first:.3f} s, each more {each:.4f} s"
