"""The suite every engine passes: what `nunatak.engines.protocol` promises, seen from the side of the engine host.

To put another engine to it, write a rig (below) and add its kind to `RIGS`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nunatak.core.clock import ManualClock
from nunatak.core.errors import Invalid, Unavailable
from nunatak.core.work import Command, Environment, Outcome, Reason, Shape, TaskSpec
from nunatak.engines.behaviour import Behaviour
from nunatak.engines.local import LocalEngine
from nunatak.engines.protocol import Change, Engine, Handle, What
from nunatak.engines.simulated import SimulatedEngine
from nunatak.engines.world import World
from nunatak.worker import build

MB = 1_000_000
TOTAL = Shape(
    cpu=2, gpu=0, memory=2000 * MB, disk=10_000 * MB, time=7200, platform="linux/x86_64", features=("scratch",)
)
SMALL = Shape(memory=200 * MB, disk=100 * MB, time=600)


def spec(address: str, *argv: str, shape: Shape = SMALL, lease: str = "a1", shell: bool = False) -> TaskSpec:
    return TaskSpec(address, lease, (Command(argv or ("true",), shell=shell),), Environment(), (), (), shape)


def long(address: str, shape: Shape = SMALL) -> TaskSpec:
    return spec(address, "sleep", "600", shape=shape)


class LocalRig:
    """A local engine with the real worker, in real time."""

    queue = 4
    deadline = 60.0

    def __init__(self, directory: Path, worker: tuple[str, ...]) -> None:
        self._directory, self._worker = directory, worker
        self.engine: Engine = self._make()

    def _make(self) -> LocalEngine:
        self._local = LocalEngine(
            self._directory / "engine",
            total=TOTAL,
            worker=self._worker,
            cache=self._directory / "cache",
            queue=self.queue,
        )
        return self._local

    def restart(self) -> None:
        self._local.close()
        self.engine = self._make()

    def pause(self) -> None:
        self._local.wait(0.02)

    def close(self) -> None:
        self._local.cancel(self._local.adopt())
        cursor = ""
        end = time.monotonic() + self.deadline
        while self._local.adopt() and time.monotonic() < end:
            cursor = self._local.poll(cursor).cursor
            self.pause()
        assert not self._local.adopt()
        self._local.close()


class SimulatedRig:
    """A simulated engine; a pause is a second of its own time, and every attempt takes ten."""

    queue = 4
    deadline = 10.0

    def __init__(self, _directory: Path, _worker: tuple[str, ...]) -> None:
        self._clock = ManualClock()
        self._world = World(TOTAL, seed=7, behaviour=Behaviour(duration=10.0))
        self.restart()

    def restart(self) -> None:
        self.engine: Engine = SimulatedEngine(clock=self._clock, world=self._world, queue=self.queue)

    def pause(self) -> None:
        self._clock.advance(1.0)

    def close(self) -> None:
        pass


Rig = LocalRig | SimulatedRig
RIGS = {"local": LocalRig, "simulated": SimulatedRig}


class Host:
    """A minimal engine host: polls, keeps the cursor, remembers every change."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.cursor = ""
        self.changes: list[Change] = []

    @property
    def engine(self) -> Engine:
        return self.rig.engine

    def step(self) -> None:
        news = self.engine.poll(self.cursor)
        self.cursor = news.cursor
        self.changes += news.changes

    def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + self.rig.deadline
        while not condition():
            assert time.monotonic() < end, f"not within {self.rig.deadline} s; seen: {self.changes}"
            self.rig.pause()
            self.step()

    def begun(self, address: str) -> list[Change]:
        return [c for c in self.changes if c.handle.address == address and c.what is What.RUNNING]

    def ended(self, address: str) -> list[Outcome]:
        ends = [c for c in self.changes if c.handle.address == address and c.what is What.ENDED]
        assert all(c.outcome is not None for c in ends)
        return [c.outcome for c in ends if c.outcome]


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", str(build.unpack(tmp_path_factory.mktemp("worker"))))


@pytest.fixture(params=sorted(RIGS))
def host(request: pytest.FixtureRequest, tmp_path: Path, worker: tuple[str, ...]) -> Iterator[Host]:
    rig: Rig = RIGS[request.param](tmp_path, worker)
    yield Host(rig)
    rig.close()


def test_an_attempt_runs_and_ends_with_an_outcome_that_is_its_own(host: Host) -> None:
    host.engine.submit([spec("1/0/a#1", lease="f00d")])
    host.until(lambda: host.ended("1/0/a#1"))
    assert [change.what for change in host.changes] == [What.RUNNING, What.ENDED]
    assert host.changes[0].host
    assert host.changes[0].at <= host.changes[1].at
    (outcome,) = host.ended("1/0/a#1")
    assert (outcome.address, outcome.lease, outcome.reason) == ("1/0/a#1", "f00d", Reason.OK)
    assert outcome.usage.wall is not None
    assert outcome.usage.wall >= 0


def test_handles_come_in_the_order_of_the_batch_and_carry_address_and_lease(host: Host) -> None:
    batch = [spec("1/2/a#1"), spec("1/b#3", lease="b2"), spec("1/0/a#2")]
    handles = host.engine.submit(batch)
    assert [(h.address, h.lease) for h in handles] == [(s.address, s.lease) for s in batch]
    assert len({h.external for h in handles}) == 3
    assert host.engine.adopt() == handles


def test_an_empty_batch_is_nothing(host: Host) -> None:
    assert host.engine.submit([]) == []
    assert host.engine.poll("").changes == ()


def test_a_spec_submitted_again_is_not_started_twice(host: Host) -> None:
    first = host.engine.submit([spec("1/0/a#1"), spec("1/0/a#1")])
    assert host.engine.submit([spec("1/0/a#1")]) == first[:1] == first[1:]
    host.until(lambda: host.ended("1/0/a#1"))
    assert host.engine.submit([spec("1/0/a#1")]) == first[:1]
    host.step()
    host.step()
    assert len(host.begun("1/0/a#1")) == len(host.ended("1/0/a#1")) == 1


def test_another_lease_is_another_attempt(host: Host) -> None:
    host.engine.submit([spec("1/0/a#1", lease="a1"), spec("1/0/a#1", lease="a2")])
    host.until(lambda: len(host.ended("1/0/a#1")) == 2)
    assert sorted(outcome.lease for outcome in host.ended("1/0/a#1")) == ["a1", "a2"]


@pytest.mark.parametrize("address", ["1/0/a", "1/0", "../x#1", "1/0/../../x#1", "", "01/0/a#1"])
def test_what_is_not_the_address_of_an_attempt_is_refused(host: Host, address: str) -> None:
    with pytest.raises(Invalid):
        host.engine.submit([spec("1/0/fine#1"), spec(address)])
    assert host.engine.adopt() == []


@pytest.mark.parametrize("lease", ["", "../../x", "G", "a" * 33])
def test_what_is_not_a_lease_is_refused(host: Host, lease: str) -> None:
    with pytest.raises(Invalid):
        host.engine.submit([spec("1/0/a#1", lease=lease)])
    assert host.engine.adopt() == []


def test_no_more_run_than_there_are_cores_and_the_rest_follows_in_order(host: Host) -> None:
    names = [f"1/{job}/a#1" for job in range(5)]
    host.engine.submit([long(name) for name in names])
    host.until(lambda: host.begun(names[1]))
    host.step()
    assert [change.handle.address for change in host.changes] == names[:2]
    assert host.engine.capacity().free.cpu == 0
    host.engine.cancel([host.changes[0].handle])
    host.until(lambda: host.begun(names[2]))
    assert not host.begun(names[3])
    assert host.ended(names[0])


def test_no_more_run_than_there_is_memory_for(host: Host) -> None:
    big = Shape(memory=1500 * MB, disk=MB, time=600)
    host.engine.submit([long("1/0/big#1", big), long("1/1/big#1", big), long("1/2/small#1")])
    host.until(lambda: host.begun("1/2/small#1"))
    assert not host.begun("1/1/big#1")
    assert host.engine.capacity().free.memory == 300 * MB


def test_capacity_says_what_is_there_and_free_and_how_many_more_are_wanted(host: Host) -> None:
    before = host.engine.capacity()
    assert before.total == before.free == TOTAL
    assert before.queue == host.rig.queue + 2
    host.engine.submit([long("1/0/a#1"), long("1/1/a#1"), long("1/2/a#1")])
    after = host.engine.capacity()
    assert (after.free.cpu, after.free.memory) == (0, 1600 * MB)
    assert after.queue == host.rig.queue - 1


def test_more_than_is_wanted_is_refused_whole(host: Host) -> None:
    room = host.engine.capacity().queue
    with pytest.raises(Unavailable):
        host.engine.submit([long(f"1/{job}/a#1") for job in range(room + 1)])
    assert host.engine.adopt() == []
    assert len(host.engine.submit([long(f"1/{job}/a#1") for job in range(room)])) == room
    assert host.engine.capacity().queue == 0


@pytest.mark.parametrize(
    ("shape", "word"),
    [
        (Shape(cpu=3, memory=MB, disk=MB), "cpu"),
        (Shape(gpu=1, memory=MB, disk=MB), "gpu"),
        (Shape(memory=3000 * MB, disk=MB), "memory"),
        (Shape(memory=MB, disk=20_000 * MB), "disk"),
        (Shape(memory=MB, disk=MB, time=7201), "time"),
        (Shape(memory=MB, disk=MB, platform="linux/aarch64"), "aarch64"),
        (Shape(memory=MB, disk=MB, features=("avx9",)), "avx9"),
    ],
)
def test_a_spec_that_can_never_run_ends_with_reason_submit_and_says_why(host: Host, shape: Shape, word: str) -> None:
    host.engine.submit([spec("1/0/a#1", shape=shape), spec("1/1/a#1")])
    host.until(lambda: host.ended("1/0/a#1") and host.ended("1/1/a#1"))
    assert host.ended("1/0/a#1")[0].reason is Reason.SUBMIT
    assert word in host.ended("1/0/a#1")[0].message
    assert not host.begun("1/0/a#1")
    assert host.ended("1/1/a#1")[0].reason is Reason.OK


def test_a_running_attempt_is_cancelled(host: Host) -> None:
    handles = host.engine.submit([long("1/0/a#1")])
    host.until(lambda: host.begun("1/0/a#1"))
    host.engine.cancel(handles)
    host.engine.cancel(handles)
    host.until(lambda: host.ended("1/0/a#1"))
    assert [outcome.reason for outcome in host.ended("1/0/a#1")] == [Reason.TERMINATED]
    assert host.engine.capacity().free == TOTAL


def test_a_waiting_attempt_is_cancelled_and_never_starts(host: Host) -> None:
    handles = host.engine.submit([long(f"1/{job}/a#1") for job in range(3)])
    host.engine.cancel(handles[2:])
    host.step()
    assert [outcome.reason for outcome in host.ended("1/2/a#1")] == [Reason.TERMINATED]
    host.engine.cancel(handles[:2])
    host.until(lambda: host.ended("1/0/a#1") and host.ended("1/1/a#1"))
    assert not host.begun("1/2/a#1")


def test_cancelling_the_unknown_is_nothing(host: Host) -> None:
    host.engine.cancel([Handle("9/9/nobody#1", "dead"), Handle("", "")])
    (handle,) = host.engine.submit([long("1/0/a#1")])
    host.engine.cancel([Handle(handle.address, "0b5e1e7e", handle.external)])
    host.until(lambda: host.begun("1/0/a#1"))
    assert not host.ended("1/0/a#1")


def test_the_same_cursor_gives_the_same_changes_or_more(host: Host) -> None:
    host.engine.submit([spec("1/0/a#1")])
    host.until(lambda: host.ended("1/0/a#1"))
    host.engine.submit([spec("1/1/a#1"), spec("1/2/a#1")])
    before = host.engine.poll(host.cursor)
    again = host.engine.poll(host.cursor)
    assert again.changes[: len(before.changes)] == before.changes


def test_an_end_is_told_until_its_cursor_comes_back_and_then_never_more(host: Host) -> None:
    host.engine.submit([spec("1/0/a#1")])
    cursor = host.cursor
    host.until(lambda: host.ended("1/0/a#1"))
    told = host.engine.poll(cursor)
    assert What.ENDED in [change.what for change in told.changes]
    assert host.engine.adopt()
    assert host.engine.poll(told.cursor).changes == ()
    assert host.engine.adopt() == []
    assert host.engine.poll("").changes == ()


def test_no_cursor_gives_everything_still_known(host: Host) -> None:
    host.engine.submit([long("1/0/a#1")])
    host.until(lambda: host.begun("1/0/a#1"))
    host.step()
    assert [(c.handle.address, c.what) for c in host.engine.poll("").changes] == [("1/0/a#1", What.RUNNING)]


@pytest.mark.parametrize("cursor", ["0.99", "nonsense", "a.b.c", ".", "-1", "é.³", "0." + "9" * 400])
def test_a_foreign_cursor_acknowledges_nothing(host: Host, cursor: str) -> None:
    host.engine.submit([spec("1/0/a#1")])
    end = time.monotonic() + host.rig.deadline
    while What.ENDED not in [change.what for change in host.engine.poll("").changes]:
        assert time.monotonic() < end
        host.rig.pause()
    assert host.engine.poll(cursor).changes == host.engine.poll("").changes
    assert len(host.engine.adopt()) == 1


def test_a_restarted_engine_adopts_what_waits_and_runs_and_ended(host: Host) -> None:
    host.engine.submit([spec("1/0/a#1")])
    host.until(lambda: host.ended("1/0/a#1"))
    known = host.engine.submit([long("1/1/a#1"), long("1/2/a#1"), long("1/3/a#1")])
    handles = host.engine.adopt()
    host.rig.restart()
    assert host.engine.adopt() == handles
    old, host.cursor, host.changes = host.cursor, "", []
    told = host.engine.poll(old)
    assert [(c.handle.address, c.what) for c in told.changes] == [
        ("1/0/a#1", What.ENDED),
        ("1/1/a#1", What.RUNNING),
        ("1/2/a#1", What.RUNNING),
    ] or [c.what for c in told.changes].count(What.RUNNING) == 3
    assert host.engine.submit([long("1/1/a#1"), long("1/2/a#1"), long("1/3/a#1")]) == known
    assert host.engine.capacity().free.cpu == 0
    host.engine.cancel(known)
    host.until(lambda: all(host.ended(f"1/{job}/a#1") for job in (1, 2, 3)))
    assert {outcome.reason for job in (1, 2, 3) for outcome in host.ended(f"1/{job}/a#1")} == {Reason.TERMINATED}
    assert host.engine.capacity().free == TOTAL


def test_the_order_of_the_line_survives_a_restart(host: Host) -> None:
    names = [f"1/{job}/a#1" for job in (5, 3, 4, 1)]
    host.engine.submit([long(name) for name in names])
    host.rig.restart()
    host.cursor = ""
    host.until(lambda: host.begun(names[1]))
    host.engine.cancel([h for h in host.engine.adopt() if h.address == names[0]])
    host.until(lambda: host.begun(names[2]))
    assert not host.begun(names[3])


def test_logs_come_in_increments_that_add_up(host: Host) -> None:
    key = ("1/0/a#1", "a1", "stdout")
    host.engine.submit([spec("1/0/a#1", "echo one; echo two; exec sleep 600", shell=True)])
    parts: list[bytes] = []

    def read() -> bool:
        for part in host.engine.logs({key: sum(map(len, parts))}):
            assert (part.handle.address, part.stream, part.offset) == ("1/0/a#1", "stdout", sum(map(len, parts)))
            parts.append(part.data)
        return b"".join(parts).count(b"\n") >= 2

    host.until(read)
    host.engine.cancel(host.engine.adopt())
    host.until(lambda: host.ended("1/0/a#1"))
    read()
    (whole,) = host.engine.logs({key: 0})
    assert whole.data == b"".join(parts)
    assert host.engine.logs({key: len(whole.data)}) == []
    host.step()
    assert host.engine.logs({key: 0}) == []


def test_logs_of_the_unknown_are_nothing(host: Host) -> None:
    host.engine.submit([long("1/0/a#1")])
    asked = {("9/9/x#1", "a1", "stdout"): 0, ("1/0/a#1", "ffff", "stdout"): 0, ("1/0/a#1", "a1", "task.json"): 0}
    assert host.engine.logs({**asked, ("1/0/a#1", "a1", "stdout"): -1}) == []
