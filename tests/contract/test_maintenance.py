"""The loops that keep house, and who leads them, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nunatak.core.address import parse
from nunatak.core.clock import ManualClock
from nunatak.core.errors import Unavailable
from nunatak.db.database import Database
from nunatak.loops.maintenance import FileCleaner, Loop, Maintenance, Reaper, Runner, loops_of
from nunatak.storage.posix import PosixStorage
from nunatak.storage.protocol import Put
from nunatak.tasks import cleanup, leaders, store
from nunatak.tasks.logs.keeping import LogStore
from tests.contract.world import World, chain


def elect(database: Database, holder: str, clock: ManualClock) -> bool:
    return database.run(lambda tx: leaders.elect(tx, "reap", holder, 30.0, clock()))


def test_one_leads_until_its_lease_runs_out_or_it_resigns(database: Database, clock: ManualClock) -> None:
    assert elect(database, "a", clock)
    assert not elect(database, "b", clock)
    clock.advance(29)
    assert elect(database, "a", clock)
    clock.advance(29)
    assert not elect(database, "b", clock)
    clock.advance(1)
    assert elect(database, "b", clock)
    database.run(lambda tx: leaders.resign(tx, "reap", "a"))
    assert not elect(database, "a", clock)
    database.run(lambda tx: leaders.resign(tx, "reap", "b"))
    assert elect(database, "a", clock)


def test_a_lead_taken_before_the_clock_was_set_back_does_not_last(database: Database, clock: ManualClock) -> None:
    assert elect(database, "a", clock)
    clock.advance(-3600)
    assert elect(database, "b", clock)


def test_a_silent_engine_loses_its_leases_and_its_logs_are_closed(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    world = World(database, clock)
    world.submit(chain(3))
    claimed = world.claim(2)
    world.start(claimed[:1])
    logs = LogStore(tmp_path / "logs", clock=clock)
    attempt = parse("1/0/t0#1")
    logs.append([(attempt, "stdout", 0, b"hello")])
    reaper = Reaper(database, world.contexts, logs, clock)
    assert reaper.tick() is False
    assert world.status("1")["tasks"]["queued"] == 1
    clock.advance(301)
    assert reaper.tick() is False
    assert world.status("1")["tasks"]["ready"] == 3
    assert logs.read(attempt, "stdout").complete
    assert world.faults() == []


def test_engines_that_could_not_be_heard_get_a_moment_before_their_leases_are_taken_back(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    world = World(database, clock)
    world.submit(chain(3))
    world.claim(2)
    look = looks(world, tmp_path)
    assert look(100, "other") == 0
    clock.advance(400)  # as if the server or its database had been away
    assert look(70, "other") == 0
    assert look(1, "local") == 0
    assert look(280, "other") == 0
    assert look(30, "other") == 2
    assert world.faults() == []


def looks(world: World, tmp_path: Path, lease: float = 300.0) -> Callable[..., int]:
    """Return what looks every thirtieth of a lease for a while, with some engines heard each time; how many tasks it took."""
    clock = world.clock
    reaper = Reaper(world.database, world.contexts, LogStore(tmp_path / "logs", clock=clock), clock, lease)

    def look(seconds: float, *heard: str) -> int:
        for _ in range(max(1, round(30 * seconds / lease))):
            clock.advance(min(seconds, lease / 30))
            for name in heard:
                world.register(name)
            reaper.tick()
        return int(world.status("1")["tasks"]["ready"]) - 1

    return look


def test_while_nobody_is_heard_it_may_be_the_way_that_is_cut_and_all_have_a_moment_when_it_is_mended(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    world = World(database, clock)
    world.submit(chain(3))
    world.claim(2)
    look = looks(world, tmp_path)
    assert look(100, "local", "other") == 0
    assert look(390) == 0  # more than a lease
    assert look(70, "other") == 0
    assert look(200, "local", "other") == 0
    assert look(290, "other") == 0
    assert look(20, "other") == 2
    assert world.faults() == []


def test_the_only_engine_loses_its_leases_when_two_of_them_are_over(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    world = World(database, clock)
    world.submit(chain(3))
    world.claim(2)
    look = looks(world, tmp_path)
    assert look(590) == 0
    assert look(20) == 2
    assert world.faults() == []


def test_leases_that_ran_out_while_nothing_could_be_written_are_not_taken_back_at_once(
    database: Database, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(database, clock)
    world.submit(chain(3))
    world.claim(2)
    reaper = Reaper(database, world.contexts, LogStore(tmp_path / "logs", clock=clock), clock, 300.0)
    for _ in range(29):
        clock.advance(10.0)
        world.register("other")
        assert reaper.tick() is False

    def full(_work: object) -> None:
        raise Unavailable("no space left", code="database-full")

    with monkeypatch.context() as patched:
        patched.setattr(database, "run", full)
        clock.advance(20.0)
        with pytest.raises(Unavailable):
            reaper.tick()
        clock.advance(10.0)
    assert reaper.tick() is False
    clock.advance(50.0)
    assert reaper.tick() is False
    assert world.status("1")["tasks"]["queued"] == 2
    world.register("local")  # it was alive all the time
    clock.advance(50.0)
    assert reaper.tick() is False
    assert world.status("1")["tasks"]["queued"] == 2
    assert world.faults() == []


def test_temporary_files_go_and_those_elsewhere_are_given_up(database: Database, tmp_path: Path) -> None:
    storage = PosixStorage([tmp_path / "store"])
    url = f"file://{tmp_path}/store/1/a.txt"
    storage.put([Put(url, b"x")])
    elsewhere = f"file://{tmp_path}/kept.txt"
    (tmp_path / "kept.txt").write_text("x")
    other = f"file://{tmp_path}/store/2/b.txt"
    storage.put([Put(other, b"x")])
    rows = [(url, 1), (elsewhere, 1), ("nonsense", 1), (f"file://{tmp_path}/store/1/gone.txt", 1), (other, 1)]
    database.run(lambda tx: store.EXPIRE_FILES(tx, v=rows, now=0.0))
    cleaner = FileCleaner(database, storage, f"file://{tmp_path}/store")
    assert cleaner.tick() is False
    assert storage.stat([url]) == [None]
    assert storage.stat([other]) != [None]
    assert (tmp_path / "kept.txt").exists()
    with database.read() as tx:
        assert cleanup.expired(tx, 10) == []
        left = tx.exec_driver_sql("SELECT url FROM expired_files ORDER BY url").fetchall()
    assert sorted(row.url for row in left) == sorted([elsewhere, "nonsense", other])


def test_files_that_cannot_be_deleted_now_are_kept_for_later(database: Database, tmp_path: Path) -> None:
    class Away(PosixStorage):
        def delete(self, urls: Any) -> None:
            raise Unavailable("the disk is away")

    database.run(lambda tx: store.EXPIRE_FILES(tx, v=[("file:///s/1/x", 1)], now=0.0))
    with pytest.raises(Unavailable):
        FileCleaner(database, Away([tmp_path]), "file:///s").tick()
    with database.read() as tx:
        assert cleanup.expired(tx, 10) == [("file:///s/1/x", 1)]


def runner(database: Database, clock: ManualClock, tick: Callable[[], bool], holder: str = "a") -> Runner:
    return Runner(Loop("test", 1.0, tick), database, clock, holder)


def test_a_loop_goes_on_at_once_while_there_is_more_to_do(database: Database, clock: ManualClock) -> None:
    more = iter([True, True, False])
    one = runner(database, clock, lambda: next(more))
    assert [one.step() for _ in range(3)] == [0.0, 0.0, 1.0]


def test_only_the_leader_ticks(database: Database, clock: ManualClock) -> None:
    ticks = []
    one = runner(database, clock, lambda: bool(ticks.append("a")), "a")
    two = runner(database, clock, lambda: bool(ticks.append("b")), "b")
    for _ in range(3):
        one.step()
        two.step()
        clock.advance(10)
    assert ticks == ["a", "a", "a"]
    clock.advance(60)
    two.step()
    one.step()
    assert ticks == ["a", "a", "a", "b"]


def test_a_loop_that_fails_waits_longer_each_time_and_recovers(database: Database, clock: ManualClock) -> None:
    fails = [True] * 10

    def tick() -> bool:
        if fails:
            raise ValueError("broken") if fails.pop() else AssertionError
        return False

    one = runner(database, clock, tick)
    pauses = [one.step() for _ in range(10)]
    assert pauses[:4] == [2.0, 4.0, 8.0, 16.0]
    assert pauses[-1] == 60.0
    assert one.step() == 1.0


def test_a_round_that_does_not_end_is_known(database: Database, clock: ManualClock) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def tick() -> bool:
        inside.set()
        return not go_on.wait(60)

    house = Maintenance([Loop("stuck", 60.0, tick)], database, clock, "me")
    assert house.longest() == 0.0
    house.start()
    assert inside.wait(30)
    assert house.longest() > 0.0
    go_on.set()
    assert house.stop(30)
    assert house.longest() == 0.0


def test_all_loops_start_tick_and_stop_promptly(database: Database, clock: ManualClock, tmp_path: Path) -> None:
    world = World(database, clock)
    storage, logs = PosixStorage([tmp_path]), LogStore(tmp_path / "logs", clock=clock)
    loops = loops_of(database, world.contexts, storage, logs, clock, store="file:///s", interval=0.01, lease=300.0)
    assert {loop.name for loop in loops} == {
        "reap",
        "stops",
        "withdraw",
        "follow",
        "health",
        "progress",
        "sites",
        "usage",
        "files",
        "logs",
        "answers",
    }
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "architecture.md").read_text("utf-8")
    assert [loop.name for loop in loops if f"\n| `{loop.name}` | " not in page] == []
    ticked = {loop.name: threading.Event() for loop in loops}

    def watched(loop: Loop) -> Loop:
        def tick() -> bool:
            more = loop.tick()
            ticked[loop.name].set()
            return more

        return Loop(loop.name, loop.interval, tick)

    house = Maintenance([watched(loop) for loop in loops], database, clock, "me")
    house.start()
    assert all(event.wait(30) for event in ticked.values())
    assert house.stop(30)
    with database.read() as tx:
        assert tx.exec_driver_sql("SELECT loop FROM leaders").fetchall() == []
