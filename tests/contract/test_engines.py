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
from nunatak.core.work import Command, Environment, Outcome, Reason, Series, Shape, TaskSpec
from nunatak.engines.behaviour import Behaviour
from nunatak.engines.local import LocalEngine
from nunatak.engines.protocol import Change, Engine, Handle, What
from nunatak.engines.simulated import SimulatedEngine
from nunatak.engines.world import World
from tests.services.workers import impatient

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
    deadline = 150.0

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
    deadline = 150.0

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
    return (sys.executable, "-I", "-S", str(impatient(tmp_path_factory.mktemp("worker"))))


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
    host.until(lambda: host.engine.capacity().free == TOTAL)  # a pool is told of an end before its node is free


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
    host.until(lambda: host.engine.capacity().free == TOTAL)


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


def names(n: int) -> list[str]:
    return [f"1/{job}/a#1" for job in range(n)]


def series(*members: TaskSpec, shape: Shape = SMALL) -> Series:
    return Series(members, shape)


def test_the_members_of_a_series_run_one_after_the_other_in_one_place(host: Host) -> None:
    handles = host.engine.submit([series(*map(spec, names(3))), long("1/9/b#1"), long("1/10/b#1")])
    assert [handle.address for handle in handles] == [*names(3), "1/9/b#1", "1/10/b#1"]
    assert host.engine.adopt() == handles
    host.until(lambda: all(host.ended(name) for name in names(3)))
    told = [(c.handle.address, c.what) for c in host.changes if "/a#" in c.handle.address]
    assert told == [(name, what) for name in names(3) for what in (What.RUNNING, What.ENDED)]
    assert {host.ended(name)[0].reason for name in names(3)} == {Reason.OK}
    assert [host.ended(name)[0].address for name in names(3)] == names(3)
    times = [c.at for c in host.changes if "/a#" in c.handle.address]
    assert times == sorted(times)
    host.until(lambda: host.begun("1/10/b#1"))


def test_a_series_counts_once_and_takes_its_own_shape(host: Host) -> None:
    room = host.engine.capacity().queue
    wide = Shape(cpu=2, memory=1500 * MB, disk=200 * MB, time=3600)
    host.engine.submit([series(*[long(f"1/{job}/a#1") for job in range(room + 5)], shape=wide), long("1/99/b#1")])
    host.until(lambda: host.begun("1/0/a#1"))
    capacity = host.engine.capacity()
    assert (capacity.free.cpu, capacity.free.memory, capacity.queue) == (0, 500 * MB, host.rig.queue - 1)
    host.engine.cancel(host.engine.adopt())
    host.until(lambda: all(host.ended(f"1/{job}/a#1") for job in range(room + 5)))
    host.until(lambda: host.engine.capacity().free == TOTAL)


def test_a_member_that_fails_does_not_take_the_others(host: Host) -> None:
    bad = spec("1/1/a#1", "false")
    host.engine.submit([series(spec("1/0/a#1"), bad, spec("1/2/a#1"))])
    host.until(lambda: host.ended("1/2/a#1"))
    reasons = [host.ended(name)[0].reason for name in names(3)]
    assert reasons == [Reason.OK, Reason.EXIT if isinstance(host.rig, LocalRig) else Reason.OK, Reason.OK]


def test_a_running_member_is_cancelled_alone(host: Host) -> None:
    handles = host.engine.submit([series(long("1/0/a#1"), spec("1/1/a#1"))])
    host.until(lambda: host.begun("1/0/a#1"))
    host.engine.cancel(handles[:1])
    host.engine.cancel(handles[:1])
    host.until(lambda: host.ended("1/1/a#1"))
    assert [host.ended(name)[0].reason for name in names(2)] == [Reason.TERMINATED, Reason.OK]


def test_a_member_is_cancelled_before_its_turn(host: Host) -> None:
    handles = host.engine.submit([series(long("1/0/a#1"), long("1/1/a#1"), spec("1/2/a#1"))])
    host.until(lambda: host.begun("1/0/a#1"))
    host.engine.cancel(handles[1:2])
    host.step()
    assert [outcome.reason for outcome in host.ended("1/1/a#1")] == [Reason.TERMINATED]
    host.step()  # which lets the engine forget it
    host.engine.cancel(handles[:1])
    host.until(lambda: host.ended("1/2/a#1"))
    assert not host.begun("1/1/a#1")
    assert host.ended("1/2/a#1")[0].reason is Reason.OK


def test_a_waiting_series_is_cancelled_by_and_by(host: Host) -> None:
    running = host.engine.submit([long("2/0/b#1"), long("2/1/b#1")])
    host.until(lambda: host.begun("2/0/b#1") and host.begun("2/1/b#1"))
    room = host.engine.capacity().queue
    handles = host.engine.submit([series(*map(spec, names(3)))])
    assert host.engine.capacity().queue == room - 1
    host.engine.cancel(handles[:1])
    assert host.engine.capacity().queue == room - 1
    host.engine.cancel(handles[1:])
    assert host.engine.capacity().queue == room
    host.engine.cancel(running)
    host.until(lambda: host.ended("2/0/b#1") and host.ended("2/1/b#1"))
    assert [host.ended(name)[0].reason for name in names(3)] == [Reason.TERMINATED] * 3
    assert not any(host.begun(name) for name in names(3))


def test_a_series_submitted_again_is_not_started_twice(host: Host) -> None:
    one = series(*map(spec, names(3)))
    handles = host.engine.submit([one])
    assert host.engine.submit([one]) == handles
    host.until(lambda: host.ended("1/0/a#1"))
    assert host.engine.submit([one, spec("1/9/b#1")])[1:3] == handles[1:]
    host.until(lambda: all(host.ended(name) for name in [*names(3), "1/9/b#1"]))
    assert [len(host.begun(name)) for name in names(3)] == [1, 1, 1]


def test_a_restarted_engine_adopts_a_series_whole(host: Host) -> None:
    first = series(spec("1/0/a#1"), long("1/1/a#1"), spec("1/2/a#1"), spec("1/3/a#1"))
    host.engine.submit([first, long("2/0/b#1"), series(spec("3/0/c#1"), spec("3/1/c#1"))])
    host.until(lambda: host.begun("1/1/a#1"))
    host.step()  # the end of the first is acknowledged
    handles = {handle.address: handle for handle in host.engine.adopt()}
    assert "1/0/a#1" not in handles
    host.rig.restart()
    host.cursor, host.changes = "", []
    assert {handle.address for handle in host.engine.adopt()} == handles.keys()
    host.step()
    assert host.begun("1/1/a#1")
    assert host.engine.capacity().free.cpu == 0
    host.engine.cancel([handle for handle in handles.values() if handle.address in ("1/1/a#1", "2/0/b#1")])
    others = ("1/2/a#1", "1/3/a#1", "3/0/c#1", "3/1/c#1")
    host.until(lambda: all(host.ended(name) for name in ("1/1/a#1", *others)))
    assert [host.ended(name)[0].reason for name in others] == [Reason.OK] * 4
    assert host.ended("1/1/a#1")[0].reason is Reason.TERMINATED
    host.until(lambda: host.engine.capacity().free == TOTAL)


def test_a_series_that_can_never_run_ends_with_reason_submit(host: Host) -> None:
    host.engine.submit([series(*map(spec, names(2)), shape=Shape(memory=MB, disk=MB, time=7201))])
    host.until(lambda: all(host.ended(name) for name in names(2)))
    assert {host.ended(name)[0].reason for name in names(2)} == {Reason.SUBMIT}
    assert host.engine.capacity().queue == host.rig.queue + 2


def test_members_have_logs_of_their_own(host: Host) -> None:
    host.engine.submit([series(*(spec(name, "echo", name) for name in names(2)), shape=SMALL)])
    cursor = ""
    end = time.monotonic() + host.rig.deadline
    while sum(c.what is What.ENDED for c in host.engine.poll(cursor).changes) < 2:
        assert time.monotonic() < end
        host.rig.pause()
    parts = host.engine.logs({(name, "a1", "stdout"): 0 for name in names(2)})
    assert [part.handle.address for part in parts] == names(2)
    assert all(name.encode() in part.data for name, part in zip(names(2), parts, strict=True))


def test_the_log_of_a_later_member_is_there_while_it_runs(host: Host) -> None:
    later = spec("1/1/a#1", "echo said; exec sleep 600", shell=True)
    handles = host.engine.submit([series(spec("1/0/a#1"), later, shape=SMALL)])
    host.until(lambda: host.begun("1/1/a#1") and host.engine.logs({("1/1/a#1", "a1", "stdout"): 0}))
    assert not host.ended("1/1/a#1")
    host.engine.cancel(handles)
