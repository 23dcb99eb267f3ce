"""What the local engine promises beyond the contract: its workers may lie, hang or die, and so may it itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nunatak.core.errors import Unavailable
from nunatak.core.work import Command, Environment, Reason, Series, Shape, TaskSpec
from nunatak.engines.local import LocalEngine, inherited
from nunatak.engines.processes import Table, since_boot
from nunatak.engines.protocol import Change, What
from nunatak.engines.workers import Limits
from nunatak.worker import build
from tests.services.workers import COURSE

MB = 1_000_000
SMALL = Shape(memory=100 * MB, disk=100 * MB, time=600)
NODE = Shape(cpu=2, gpu=3, memory=4000 * MB, disk=10_000 * MB, time=7200)
REAL = "real"


def spec(address: str, *argv: str, shape: Shape = SMALL) -> TaskSpec:
    return TaskSpec(address, "a1", (Command(argv or ("sleep", "600")),), Environment(), (), (), shape)


class BootClock:
    """Seconds since boot, and as many more as the test says."""

    more = 0.0
    still: float | None = None
    """The time that it is, and stays, if a test says so."""

    def __call__(self) -> float:
        return since_boot() + self.more if self.still is None else self.still


class Bench:
    """Makes engines on one directory, drives them, and sees to it that nothing is left running."""

    def __init__(self, directory: Path, real: tuple[str, ...]) -> None:
        self.directory = directory
        self.root = directory / "engine"
        self._real = real
        self._engines: list[LocalEngine] = []
        self.boot = BootClock()
        self.changes: list[Change] = []

    def engine(self, worker: str = REAL, *, keep: bool = False, environ: dict[str, str] | None = None) -> LocalEngine:
        """Make an engine with the real worker, or one whose worker is this Python text."""
        for old in self._engines:
            old.close()
        script = self.directory / "worker.py"
        text = PRELUDE + textwrap.dedent(worker)
        if not script.exists() or script.read_text() != text:  # a worker of the engine before may be reading it
            script.write_text(text)
        argv = self._real if worker == REAL else (sys.executable, "-I", "-S", str(script))
        made = LocalEngine(
            self.root,
            total=NODE,
            worker=argv,
            cache=self.directory / "cache",
            keep=keep,
            limits=Limits(margin=10, grace=5, memory_factor=1.0, memory_margin=0, look=0),
            environ=environ,
            boot_clock=self.boot,
        )
        self._engines = [made]
        self.changes = []
        return made

    def until(self, engine: LocalEngine, condition: Callable[[], object]) -> None:
        end = time.monotonic() + 150
        while not condition():
            assert time.monotonic() < end, f"not within 150 s; seen: {self.changes}"
            engine.wait(0.02)
            self.changes = list(engine.poll("").changes)

    def end(self, engine: LocalEngine, address: str) -> Change:
        """Wait for the end of an attempt."""
        self.until(engine, lambda: self._ends(address))
        (change,) = self._ends(address)
        return change

    def _ends(self, address: str) -> list[Change]:
        return [c for c in self.changes if c.what is What.ENDED and c.handle.address == address]

    def box(self, place: str) -> Path:
        return self.root / place

    def left(self) -> set[int]:
        """Return the processes that belong to any sandbox."""
        return {process.pid for process in Table.now().marked(self.root)}

    def close(self) -> None:
        for engine in self._engines:
            engine.cancel(engine.adopt())
            self.boot.more += 1000
            self._until_all_ended(engine)
            engine.close()
        self.until_none_left()

    def _until_all_ended(self, engine: LocalEngine) -> None:
        self.until(engine, lambda: all(c.what is What.ENDED for c in _latest(engine).values()))

    def until_none_left(self) -> None:
        end = time.monotonic() + 150
        while self.left():
            assert time.monotonic() < end, f"left behind: {self.left()}"
            time.sleep(0.01)


def _latest(engine: LocalEngine) -> dict[str, Change]:
    return {change.handle.address: change for change in engine.poll("").changes}


PRELUDE = f"COURSE = {COURSE!r}\n" + textwrap.dedent("""
    import json, os, signal, subprocess, sys, time
    sandbox = sys.argv[1]
    task = json.load(open(sandbox + "/task.json"))
    good = {"format": 1, "address": task["address"], "lease": task["lease"], "reason": "ok"}
    def leave(text, name="outcome.json"):
        open(sandbox + "/" + name, "w").write(text if isinstance(text, str) else json.dumps(text))
""")
HANGS = """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    subprocess.run(["sh", "-c", "setsid sleep 600 & setsid sleep 600 &"])
    usage = {"wall": 1.5, "cpu": 0.5, "memory": 7, "disk": None, "gpu": None}
    leave({**usage, "course": COURSE}, "usage.json")
    leave("ready", "ready")
    block = bytearray(int(task["commands"][0]["argv"][0]) if task["commands"][0]["argv"][0].isdigit() else 1)
    while True: time.sleep(600)
"""


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", str(build.unpack(tmp_path_factory.mktemp("worker"))))


@pytest.fixture
def bench(tmp_path: Path, real: tuple[str, ...]) -> Iterator[Bench]:
    made = Bench(tmp_path, real)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("worker", "word"),
    [
        ('leave("")', "empty"),
        ('leave("<html>\\0\\x1b[31m")', "not JSON"),
        ('leave("[1, 2]")', "format 1"),
        ('leave("[" * 100000)', "nested"),
        ('leave({**good, "format": 2})', "format 1"),
        ('leave({**good, "address": "1/0/b#1"})', "1/0/b#1"),
        ('leave({**good, "lease": "b2"})', "b2"),
        ('leave({**good, "reason": "fine"})', "reason"),
        ('leave({**good, "exit": "0"})', "exit"),
        ('leave({**good, "exit": 2**70})', "too large"),
        ('leave({**good, "usage": {"wall": float("nan")}})', "not finite"),
        ('leave({**good, "usage": {"wall": -1.0}})', "below zero"),
        ('leave({**good, "message": "a\\0b"})', "characters"),
        ('leave({**good, "outputs": [{"name": "x", "url": "u", "size": -5, "sha256": ""}]})', "below zero"),
        ('leave({**good, "outputs": [{"name": "x", "url": "u", "size": 5, "sha256": "zz"}]})', "SHA-256"),
        ('leave({**good, "outputs": 5})', "outputs"),
        ('os.mkfifo(sandbox + "/outcome.json")', "empty"),
        ('os.symlink("/etc/passwd", sandbox + "/outcome.json")', "empty"),
    ],
)
def test_an_outcome_that_is_not_one_ends_with_reason_invalid(bench: Bench, worker: str, word: str) -> None:
    engine = bench.engine(worker)
    engine.submit([spec("1/0/a#1")])
    outcome = bench.end(engine, "1/0/a#1").outcome
    assert outcome
    assert (outcome.address, outcome.lease, outcome.reason) == ("1/0/a#1", "a1", Reason.INVALID)
    assert word in outcome.message
    assert outcome.message.isascii()
    assert outcome.message.isprintable()


def test_a_worker_that_leaves_no_outcome_is_lost_and_it_is_said_what_is_known(bench: Bench) -> None:
    engine = bench.engine('leave({"wall": 2.5, "memory": 9}, "usage.json"); print("no such library"); sys.exit(7)')
    engine.submit([spec("1/0/a#1")])
    outcome = bench.end(engine, "1/0/a#1").outcome
    assert outcome
    assert outcome.reason is Reason.LOST
    assert "code 7" in outcome.message
    assert "no such library" in outcome.message
    assert (outcome.usage.wall, outcome.usage.memory, outcome.usage.cpu) == (2.5, 9, None)


def test_a_killed_worker_is_lost_and_its_payload_is_gone(bench: Bench) -> None:
    engine = bench.engine(HANGS)
    (handle,) = engine.submit([spec("1/0/a#1")])
    bench.until(engine, (bench.box(handle.external) / "ready").exists)
    bench.until(engine, lambda: len(bench.left()) == 4)
    os.kill(json.loads((bench.box(handle.external) / "worker.json").read_text())["pid"], signal.SIGKILL)
    outcome = bench.end(engine, "1/0/a#1").outcome
    assert outcome
    assert outcome.reason is Reason.LOST
    assert "signal 9" in outcome.message
    assert outcome.usage.memory == 7
    assert outcome.detail["course"] == COURSE
    bench.until_none_left()


def test_the_real_worker_killed_leaves_no_payload(bench: Bench) -> None:
    engine = bench.engine()
    (handle,) = engine.submit([spec("1/0/a#1", "sh", "-c", "echo up; setsid sleep 600 & sleep 600")])
    bench.until(engine, lambda: engine.logs({("1/0/a#1", "a1", "stdout"): 0}))
    os.kill(json.loads((bench.box(handle.external) / "worker.json").read_text())["pid"], signal.SIGKILL)
    assert bench.end(engine, "1/0/a#1").outcome
    bench.until_none_left()


def test_a_hung_worker_is_ended_for_its_time_with_everything_it_started(bench: Bench) -> None:
    engine = bench.engine(HANGS)
    (handle,) = engine.submit([spec("1/0/a#1")])
    bench.until(engine, (bench.box(handle.external) / "ready").exists)
    began = json.loads((bench.box(handle.external) / "worker.json").read_text())["ticks"] / os.sysconf("SC_CLK_TCK")
    bench.boot.still = began + SMALL.time + 9.0
    assert all(change.what is What.RUNNING for change in engine.poll("").changes)
    assert not (bench.box(handle.external) / "stop.json").exists()
    bench.boot.still = began + SMALL.time + 11.0
    engine.poll("")
    assert bench.left()
    bench.boot.still += 6.0
    outcome = bench.end(engine, "1/0/a#1").outcome
    assert outcome
    assert outcome.reason is Reason.TIME
    assert "10 min" in outcome.message
    assert outcome.usage.cpu == 0.5
    assert outcome.detail["course"] == COURSE
    bench.until_none_left()
    assert engine.capacity().free == NODE


def test_a_hung_worker_is_ended_for_its_memory(bench: Bench) -> None:
    engine = bench.engine(HANGS)
    engine.submit([spec("1/0/a#1", "200000000")])
    handle = engine.adopt()[0]
    bench.until(engine, (bench.box(handle.external) / "stop.json").exists)
    bench.boot.more = 6.0
    outcome = bench.end(engine, "1/0/a#1").outcome
    assert outcome
    assert outcome.reason is Reason.MEMORY


def test_a_worker_ended_for_its_time_that_says_it_was_terminated_is_corrected(bench: Bench) -> None:
    engine = bench.engine("""
        signal.signal(signal.SIGTERM, lambda *_: (leave({**good, "reason": "terminated"}), os._exit(0)))
        leave("ready", "ready")
        while True: time.sleep(600)
    """)
    (handle,) = engine.submit([spec("1/0/a#1")])
    bench.until(engine, (bench.box(handle.external) / "ready").exists)
    bench.boot.more = SMALL.time + 60.0
    outcome = bench.end(engine, "1/0/a#1").outcome
    assert outcome
    assert outcome.reason is Reason.TIME


def test_a_cancelled_worker_that_does_not_react_is_killed_after_the_grace(bench: Bench) -> None:
    engine = bench.engine(HANGS)
    handles = engine.submit([spec("1/0/a#1")])
    bench.until(engine, (bench.box(handles[0].external) / "ready").exists)
    engine.cancel(handles)
    engine.poll("")
    engine = bench.engine(HANGS)  # the escalation survives a restart
    assert bench.left()
    bench.boot.more = 6.0
    outcome = bench.end(engine, "1/0/a#1").outcome
    assert outcome
    assert outcome.reason is Reason.TERMINATED
    bench.until_none_left()


def test_what_waits_is_handed_back_as_never_begun_and_what_runs_goes_on(bench: Bench) -> None:
    engine = bench.engine(HANGS)
    runs = NODE.cpu
    handles = engine.submit([spec(f"1/{job}/a#1") for job in range(runs + 3)])
    engine.hand_back()
    ends = [change for change in engine.poll("").changes if change.what is What.ENDED]
    assert [change.handle for change in ends] == handles[runs:]
    assert {change.outcome and change.outcome.reason for change in ends} == {Reason.UNBEGUN}
    assert engine.capacity().free.cpu == 0
    engine = bench.engine(HANGS)  # killed before that was told
    ends = [change for change in engine.poll("").changes if change.what is What.ENDED]
    assert {change.handle for change in ends} == set(handles[runs:])
    engine.cancel(handles)
    bench.boot.more = 6.0
    bench.until(engine, lambda: len([c for c in engine.poll("").changes if c.what is What.ENDED]) == len(handles))
    bench.until_none_left()


ENGINE = """
import sys
from pathlib import Path
from nunatak.core.work import Command, Environment, Shape, TaskSpec
from nunatak.engines.local import LocalEngine
root, cache, *worker = sys.argv[1:]
engine = LocalEngine(Path(root), total=Shape(cpu=2), worker=worker, cache=Path(cache), queue=4)
shape = Shape(memory=100_000_000, disk=100_000_000, time=600)
engine.submit([TaskSpec(f"1/{job}/a#1", "a1", (Command(("sleep", "600")),), Environment(), (), (), shape)
               for job in range(3)])
print("submitted", flush=True)
while True:
    engine.poll("")
    engine.wait(1)
"""


def test_the_engine_process_is_killed_and_the_next_one_goes_on(bench: Bench, real: tuple[str, ...]) -> None:
    argv = [sys.executable, "-c", ENGINE, str(bench.root), str(bench.directory / "cache"), *real]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"submitted\n"
        process.kill()
    before = {path: path.read_text() for path in bench.root.glob("1/*/*/worker.json")}
    assert len(before) == 2
    engine = bench.engine()
    assert [handle.address for handle in engine.adopt()] == ["1/0/a#1", "1/1/a#1", "1/2/a#1"]
    assert [c.what for c in engine.poll("gone.3").changes] == [What.RUNNING, What.RUNNING]
    assert {path: path.read_text() for path in bench.root.glob("1/*/*/worker.json")} == before
    engine.cancel(engine.adopt()[:1])
    outcome = bench.end(engine, "1/0/a#1").outcome
    assert outcome
    assert outcome.reason is Reason.TERMINATED
    bench.until(engine, lambda: (bench.box("1/2/a.1.a1") / "worker.json").exists())


def test_a_worker_whose_start_was_not_recorded_is_found_and_not_started_twice(bench: Bench) -> None:
    engine = bench.engine()
    (handle,) = engine.submit([spec("1/0/a#1")])
    record = bench.box(handle.external) / "worker.json"
    pid = json.loads(record.read_text())["pid"]
    engine.close()
    record.unlink()
    engine = bench.engine()
    assert [change.what for change in engine.poll("").changes] == [What.RUNNING]
    engine.cancel([handle])
    assert bench.end(engine, "1/0/a#1").outcome
    assert not Path(f"/proc/{pid}").exists()


def test_a_start_that_was_intended_and_never_came_is_lost_and_not_tried_again(bench: Bench) -> None:
    engine = bench.engine()
    handles = engine.submit([spec(f"1/{job}/a#1") for job in range(3)])
    engine.close()
    (bench.box(handles[2].external) / "launch").touch()
    engine = bench.engine()
    outcome = bench.end(engine, "1/2/a#1").outcome
    assert outcome
    assert outcome.reason is Reason.LOST
    assert not (bench.box(handles[2].external) / "worker.json").exists()


def test_a_reused_process_id_is_not_taken_for_a_worker(bench: Bench) -> None:
    engine = bench.engine("leave(good)")
    (handle,) = engine.submit([spec("1/0/a#1")])
    bench.end(engine, "1/0/a#1")
    record = bench.box(handle.external) / "worker.json"
    (bench.box(handle.external) / "outcome.json").unlink()
    record.write_text(json.dumps({**json.loads(record.read_text()), "pid": os.getpid()}))
    engine = bench.engine("leave(good)")
    outcome = bench.end(engine, "1/0/a#1").outcome
    assert outcome
    assert outcome.reason is Reason.LOST


def test_ends_are_told_again_after_a_restart_until_acknowledged(bench: Bench) -> None:
    engine = bench.engine("leave(good) if task['address'] != '1/1/a#1' else sys.exit(3)")
    engine.submit([spec("1/0/a#1"), spec("1/1/a#1"), spec("1/2/a#1", shape=Shape(cpu=99))])
    bench.until(engine, lambda: len([c for c in bench.changes if c.outcome]) == 3)
    before = {c.handle.address: c.outcome for c in bench.changes if c.outcome}
    engine = bench.engine()
    told = engine.poll("")
    assert {c.handle.address: c.outcome for c in told.changes} == before
    assert {c.what for c in told.changes} == {What.ENDED}
    assert engine.poll(told.cursor).changes == ()
    assert bench.engine().poll("").changes == ()


def test_acknowledged_sandboxes_are_removed_even_where_the_task_forbade_it(bench: Bench) -> None:
    engine = bench.engine('os.makedirs(sandbox + "/work/deep"); os.chmod(sandbox + "/work", 0o500); leave(good)')
    engine.submit([spec("1/0/a#1"), spec("1/once#1")])
    bench.until(engine, lambda: len([c for c in bench.changes if c.outcome]) == 2)
    assert (bench.root / "1" / "once" / "once.1.a1").is_dir()
    engine.poll(engine.poll("").cursor)
    assert sorted(path.name for path in bench.root.iterdir()) == [".index", ".lock", ".series", ".trash"]
    assert not any((bench.root / ".trash").iterdir())
    assert not any((bench.root / ".index").iterdir())


def test_sandboxes_are_kept_on_demand_and_do_not_come_back(bench: Bench) -> None:
    engine = bench.engine("leave(good)", keep=True)
    (handle,) = engine.submit([spec("1/0/a#1")])
    bench.end(engine, "1/0/a#1")
    engine.poll(engine.poll("").cursor)
    assert engine.adopt() == []
    assert (bench.box(handle.external) / "outcome.json").exists()
    assert bench.engine(keep=True).adopt() == []


def test_what_a_crash_left_half_made_is_cleared_away(bench: Bench) -> None:
    engine = bench.engine()
    engine.close()
    (bench.root / ".index" / "000000000001").symlink_to("../1/0/a.1.a1")
    (bench.root / ".index" / "000000000002").symlink_to("../1/1/a.1.a1")
    bench.box("1/1/a.1.a1").mkdir(parents=True)
    (bench.root / ".trash" / "000000000003" / "work").mkdir(parents=True)
    engine = bench.engine()
    assert engine.adopt() == []
    assert sorted(path.name for path in bench.root.rglob("*")) == [".index", ".lock", ".series", ".trash"]
    (handle,) = engine.submit([spec("1/1/a#1", "true")])
    assert bench.end(engine, handle.address).outcome


def test_a_batch_that_cannot_be_stored_leaves_nothing(bench: Bench) -> None:
    engine = bench.engine()
    (bench.root / "7").write_text("in the way")
    with pytest.raises(Unavailable, match="sandboxes could not be made"):
        engine.submit([spec("1/0/a#1"), spec("7/0/a#1")])
    assert engine.adopt() == []
    assert not any((bench.root / ".index").iterdir())
    assert not (bench.root / "1").exists()


def test_a_worker_that_cannot_be_started_ends_with_reason_submit(tmp_path: Path) -> None:
    engine = LocalEngine(tmp_path / "e", total=NODE, worker=("/nonexistent/python",), cache=tmp_path / "c")
    engine.submit([spec("1/0/a#1")])
    (change,) = engine.poll("").changes
    assert change.outcome
    assert change.outcome.reason is Reason.SUBMIT
    assert "No such file" in change.outcome.message
    assert engine.capacity().free == NODE
    engine.close()


def test_two_engines_do_not_share_a_directory(bench: Bench, tmp_path: Path) -> None:
    bench.engine()
    with pytest.raises(Unavailable, match="another engine"):
        LocalEngine(bench.root, total=NODE, worker=("x",), cache=tmp_path / "c")


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="cannot use the directory"):
        LocalEngine(tmp_path / "file" / "engine", total=NODE, worker=("x",), cache=tmp_path / "c")


def test_each_attempt_sees_gpus_of_its_own(bench: Bench) -> None:
    worker = 'leave(os.environ["CUDA_VISIBLE_DEVICES"], "gpus"); leave("ready", "ready"); time.sleep(600)'
    engine = bench.engine(worker)
    shapes = [Shape(gpu=2, memory=100 * MB, disk=MB), Shape(gpu=1, memory=100 * MB, disk=MB)]
    handles = engine.submit([spec(f"1/{job}/a#1", shape=shape) for job, shape in enumerate(shapes)])
    bench.until(engine, lambda: all((bench.box(h.external) / "ready").exists() for h in handles))
    assert [(bench.box(handle.external) / "gpus").read_text() for handle in handles] == ["0,1", "2"]
    assert bench.engine(worker).capacity().free.gpu == 0


def test_workers_do_not_see_the_credentials_of_the_server(bench: Bench) -> None:
    environ = inherited(
        {
            "NUNATAK_TOKEN": "s",
            "NUNATAK_DATABASE": "s",
            "PGPASSWORD": "s",
            "NUNATAK_SPEED": "0",
            "PATH": "/bin",
            "LANG": "C",
        }
    )
    engine = bench.engine('leave(dict(os.environ), "environ"); leave(good)', environ=environ)
    (handle,) = engine.submit([spec("1/0/a#1")])
    bench.end(engine, "1/0/a#1")
    seen = json.loads((bench.box(handle.external) / "environ").read_text())
    assert "s" not in seen.values()
    assert seen["PATH"] == "/bin"


def test_logs_follow_no_link_and_wait_for_no_pipe(bench: Bench) -> None:
    engine = bench.engine("""
        os.symlink("/etc/passwd", sandbox + "/stdout"); os.mkfifo(sandbox + "/stderr"); leave(good)
    """)
    engine.submit([spec("1/0/a#1")])
    bench.end(engine, "1/0/a#1")
    assert engine.logs({("1/0/a#1", "a1", "stdout"): 0, ("1/0/a#1", "a1", "stderr"): 0}) == []


def test_a_call_of_logs_is_bounded_and_continues(bench: Bench) -> None:
    engine = bench.engine('leave("x" * 700_000, "stdout"); leave(good)')
    engine.submit([spec("1/0/a#1")])
    bench.end(engine, "1/0/a#1")
    key, got = ("1/0/a#1", "a1", "stdout"), 0
    sizes = []
    while parts := engine.logs({key: got}):
        sizes.append(len(parts[0].data))
        got += sizes[-1]
    assert got == 700_000
    assert max(sizes) < 300_000


def test_a_task_that_became_unreadable_while_it_waited_is_lost(bench: Bench) -> None:
    engine = bench.engine()
    handles = engine.submit([spec(f"1/{job}/a#1") for job in range(3)])
    engine.close()
    (bench.box(handles[2].external) / "task.json").write_text("")
    engine = bench.engine()
    outcome = bench.end(engine, "1/2/a#1").outcome
    assert outcome
    assert outcome.reason is Reason.LOST
    assert "task.json" in outcome.message


def in_a_row(*commands: tuple[str, ...], shape: Shape = SMALL) -> Series:
    return Series(tuple(spec(f"1/{n}/a#1", *argv, shape=shape) for n, argv in enumerate(commands)), SMALL)


FINE, LONG = ("true",), ("sleep", "600")


def reasons(bench: Bench) -> dict[str, Reason]:
    return {change.handle.address: change.outcome.reason for change in bench.changes if change.outcome}


def begun(bench: Bench, address: str) -> bool:
    return any(c.handle.address == address and c.what is What.RUNNING for c in bench.changes)


def workers_of_series(bench: Bench) -> tuple[int, int]:
    """Return the outer and the inner process of the only series."""
    table = Table.now()
    (record,) = (json.loads(path.read_text()) for path in bench.root.glob(".series/*/worker.json"))
    (inner,) = (pid for pid, seen in table.processes.items() if seen.parent == record["pid"])
    return record["pid"], inner


def test_a_killed_inner_process_loses_one_member_of_a_series(bench: Bench) -> None:
    engine = bench.engine()
    engine.submit([in_a_row(FINE, LONG, FINE)])
    bench.until(engine, lambda: begun(bench, "1/1/a#1"))
    os.kill(workers_of_series(bench)[1], signal.SIGKILL)
    bench.end(engine, "1/2/a#1")
    assert reasons(bench) == {"1/0/a#1": Reason.OK, "1/1/a#1": Reason.LOST, "1/2/a#1": Reason.OK}


@pytest.mark.parametrize("restart", [False, True])
def test_a_killed_outer_process_loses_one_member_and_leaves_the_rest_unbegun(bench: Bench, restart: bool) -> None:
    engine = bench.engine()
    engine.submit([in_a_row(FINE, LONG, FINE, FINE)])
    bench.until(engine, lambda: begun(bench, "1/1/a#1"))
    if restart:
        engine.close()
    os.kill(workers_of_series(bench)[0], signal.SIGKILL)
    if restart:
        engine = bench.engine()
    change = bench.end(engine, "1/3/a#1")
    assert list(reasons(bench).values()) == [Reason.OK, Reason.LOST, Reason.UNBEGUN, Reason.UNBEGUN]
    assert change.outcome
    assert change.outcome.message.startswith("its series ended before it began")
    assert not begun(bench, "1/2/a#1")
    bench.until_none_left()
    assert engine.capacity().free == NODE


def test_an_evicted_series_keeps_what_is_finished_and_returns_the_rest(bench: Bench) -> None:
    engine = bench.engine()
    engine.submit([in_a_row(FINE, LONG, FINE, FINE)])
    bench.until(engine, lambda: begun(bench, "1/1/a#1"))
    os.kill(workers_of_series(bench)[0], signal.SIGTERM)
    bench.end(engine, "1/3/a#1")
    assert list(reasons(bench).values()) == [Reason.OK, Reason.TERMINATED, Reason.UNBEGUN, Reason.UNBEGUN]
    assert not begun(bench, "1/3/a#1")
    engine.poll(engine.poll("").cursor)
    assert sorted(path.name for path in bench.root.iterdir()) == [".index", ".lock", ".series", ".trash"]
    assert not list(bench.root.glob(".series/*"))


def test_a_member_over_its_time_is_ended_alone_though_its_worker_does_nothing(bench: Bench) -> None:
    engine = bench.engine()
    engine.submit([in_a_row(LONG, FINE)])
    bench.until(engine, lambda: begun(bench, "1/0/a#1"))
    inner = workers_of_series(bench)[1]
    os.kill(inner, signal.SIGSTOP)  # it will not hear that it is to stop
    bench.boot.more += SMALL.time + 11
    bench.until(engine, lambda: (bench.box("1/0/a.1.a1") / "stop.json").exists())
    bench.boot.more += 6
    bench.end(engine, "1/1/a#1")
    assert reasons(bench) == {"1/0/a#1": Reason.TIME, "1/1/a#1": Reason.OK}


def test_a_series_that_does_not_go_on_is_ended(bench: Bench) -> None:
    engine = bench.engine("time.sleep(600)")
    engine.submit([in_a_row(FINE, FINE)])
    bench.boot.more += 11
    bench.end(engine, "1/1/a#1")
    assert set(reasons(bench).values()) == {Reason.UNBEGUN}


def test_two_hundred_members_run_and_are_adopted_at_any_moment(bench: Bench) -> None:
    engine = bench.engine()
    engine.submit([in_a_row(*[FINE] * 200)])
    for upto in (20, 90, 150):
        bench.until(engine, lambda upto=upto: len(reasons(bench)) >= upto)  # type: ignore[misc]
        engine = bench.engine()
    bench.end(engine, "1/199/a#1")
    assert len(reasons(bench)) == 200
    assert set(reasons(bench).values()) == {Reason.OK}
    lists = [bench.root / f"1/{n}/a.1.a1/worker.log" for n in range(200)]
    assert all(path.read_text().count("stage-in") == 1 for path in lists)


def test_a_series_that_a_crash_left_half_made_runs_with_what_is_there(bench: Bench) -> None:
    engine = bench.engine()
    engine.submit([in_a_row(LONG), in_a_row(LONG)])
    handles = engine.submit([Series((spec("2/0/a#1", *FINE), spec("2/1/a#1", *FINE)), SMALL)])
    engine.close()
    entry = next(path for path in (bench.root / ".index").iterdir() if "2/0/" in str(path.readlink()))
    entry.unlink()
    engine = bench.engine()
    assert [handle for handle in engine.adopt() if handle in handles] == handles[1:]
    bench.end(engine, "2/1/a#1")


def test_a_damaged_order_of_a_series_leaves_its_members_to_run_alone(bench: Bench) -> None:
    engine = bench.engine()
    engine.submit([spec("3/0/a#1"), spec("3/1/a#1"), in_a_row(FINE, FINE)])
    engine.close()
    (order,) = bench.root.glob(".series/*/series.json")
    order.write_text("no")
    engine = bench.engine()
    engine.cancel([handle for handle in engine.adopt() if handle.address.startswith("3/")])
    bench.until(engine, lambda: {"1/0/a#1", "1/1/a#1"} <= reasons(bench).keys())
    assert {reasons(bench)[name] for name in ("1/0/a#1", "1/1/a#1")} == {Reason.OK}
