"""The deciding parts of engines: who starts, what changed, what an outcome says, what a simulation does."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.core.clock import ManualClock
from nunatak.core.errors import Invalid, NotFound
from nunatak.core.work import (
    Checkpoint,
    Command,
    Environment,
    FileRecord,
    Outcome,
    Output,
    Reason,
    Shape,
    TaskSpec,
    Usage,
)
from nunatak.engines.behaviour import Behaviour, draw
from nunatak.engines.local import LocalEngine
from nunatak.engines.news import News
from nunatak.engines.outcomes import held_to_checkpoint, read_outcome, read_usage, shown
from nunatak.engines.plugins import GROUP, load_engine
from nunatak.engines.processes import Process, Seen, Table
from nunatak.engines.protocol import Change, Handle, What
from nunatak.engines.simulated import SimulatedEngine
from nunatak.engines.slots import PATIENCE, Line, Slots
from nunatak.engines.world import World

HANDLE = Handle("1/0/a#1", "a1")
TOTAL = Shape(cpu=8, gpu=2, memory=100, disk=100)
shapes = st.builds(
    Shape, cpu=st.integers(1, 8), gpu=st.integers(0, 2), memory=st.integers(1, 100), disk=st.integers(1, 100)
)


# ---- who starts


@given(st.lists(st.one_of(shapes, st.integers(0, 20)), max_size=60))
def test_what_runs_never_takes_more_than_there_is_and_everything_starts_in_the_end(
    moves: list[Shape | int],
) -> None:
    slots, line, running, seen = Slots(TOTAL), Line(), dict[tuple[str, str], Shape](), 0
    known: dict[tuple[str, str], Shape] = {}

    def start() -> None:
        for key in line.start(slots):
            running[key] = known[key]
        for name in ("cpu", "gpu", "memory", "disk"):
            taken = sum(getattr(shape, name) for shape in running.values())
            assert taken + getattr(slots.free(), name) == getattr(TOTAL, name)
            assert taken <= getattr(TOTAL, name)

    for move in moves:
        if isinstance(move, Shape):
            key = (str(seen), "a")
            known[key], seen = move, seen + 1
            line.add(key, move)
        elif running:
            slots.give(running.pop(list(running)[move % len(running)]))
        start()
    while running or len(line):
        assert running, "something waits and nothing runs"
        slots.give(running.pop(next(iter(running))))
        start()
    assert slots.free() == TOTAL


def test_equal_attempts_start_in_order() -> None:
    slots, line = Slots(Shape(cpu=3, memory=100, disk=100)), Line()
    for number in range(5):
        line.add((str(number), ""), Shape(memory=1, disk=1))
    assert line.start(slots) == [("0", ""), ("1", ""), ("2", "")]
    line.put_back(("2", ""), Shape(memory=1, disk=1))
    slots.give(Shape(memory=1, disk=1))
    assert line.start(slots) == [("2", "")]


def test_a_large_attempt_is_overtaken_only_so_often() -> None:
    slots, line, small = Slots(Shape(cpu=2, memory=100, disk=100)), Line(), Shape(memory=1, disk=1)
    slots.take(small)
    line.add(("large", ""), Shape(cpu=2, memory=1, disk=1))
    overtakers = 0
    for number in range(10 * PATIENCE):
        line.add((str(number), ""), small)
        for _ in line.start(slots):
            overtakers += 1
            slots.give(small)
    assert overtakers == PATIENCE
    slots.give(small)
    assert line.start(slots) == [("large", "")]


def test_adopted_attempts_may_take_more_than_there_is() -> None:
    slots = Slots(Shape(cpu=1, memory=10, disk=10))
    slots.take(Shape(cpu=4, memory=50, disk=50))
    assert (slots.free().cpu, slots.free().memory) == (0, 0)
    slots.give(Shape(cpu=4, memory=50, disk=50))
    assert slots.free() == Shape(cpu=1, memory=10, disk=10)


# ---- what changed


@given(st.lists(st.sampled_from(["begin", "end", "poll", "ack"]), max_size=60))
def test_every_end_is_told_until_acknowledged_and_nothing_is_left_out(moves: list[str]) -> None:
    news, cursor, told, count, open_ends = News("t"), "", list[Change](), 0, set[str]()
    running: list[str] = []
    for move in moves:
        if move == "begin":
            count += 1
            running.append(f"1/{count}/a#1")
            news.add(Change(Handle(running[-1], "a"), What.RUNNING, 0.0))
        elif move == "end" and running:
            name = running.pop(0)
            open_ends.add(name)
            news.add(Change(Handle(name, "a"), What.ENDED, 0.0, "", Outcome(name, "a", Reason.OK)))
        elif move == "poll":
            assert news.since(cursor) == news.since(cursor)
            assert {c.handle.address for c in news.since("").changes if c.outcome} == open_ends
        elif move == "ack":
            fresh = news.since(cursor)
            told += fresh.changes
            cursor = fresh.cursor
            acknowledged = {address for address, _ in news.acknowledge(cursor)}
            assert acknowledged == open_ends
            open_ends.clear()
            assert news.since(cursor).changes == ()
            assert [c.handle.address for c in news.since("").changes] == running
    told += news.since(cursor).changes
    assert [c.handle.address for c in told if c.what is What.RUNNING] == [f"1/{n}/a#1" for n in range(1, count + 1)]


@given(st.text(max_size=20))
def test_a_cursor_that_is_not_ours_acknowledges_nothing(cursor: str) -> None:
    news = News("token")
    news.add(Change(HANDLE, What.ENDED, 0.0, "", Outcome("1/0/a#1", "a1", Reason.OK)))
    assert news.acknowledge(cursor) == []
    assert news.since(cursor) == news.since("")


# ---- what an outcome says


@given(st.binary(max_size=300))
def test_any_bytes_are_an_outcome_of_the_attempt_they_are_read_for(data: bytes) -> None:
    outcome = read_outcome(data, HANDLE)
    assert (outcome.address, outcome.lease, outcome.reason) == ("1/0/a#1", "a1", Reason.INVALID)
    assert outcome.message.isprintable()
    assert read_usage(data) == Usage()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([*Outcome.__dataclass_fields__, "format"]), json_values)
def test_an_outcome_with_any_one_field_changed_is_storable_or_invalid(name: str, value: object) -> None:
    good = Outcome("1/0/a#1", "a1", Reason.OK, usage=Usage(wall=1.0), outputs=(FileRecord("x", "u", 1, "0" * 64),))
    outcome = read_outcome(json.dumps({**good.to_plain(), name: value}).encode(), HANDLE)
    assert (outcome.address, outcome.lease) == ("1/0/a#1", "a1")
    assert "\0" not in json.dumps(outcome.to_plain(), allow_nan=False)
    assert Outcome.from_plain(outcome.to_plain()) == outcome


@given(
    st.builds(
        Outcome,
        address=st.just("1/0/a#1"),
        lease=st.just("a1"),
        reason=st.sampled_from(Reason),
        message=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
        exit=st.none() | st.integers(0, 255),
        signal=st.none() | st.integers(1, 64),
        started=st.none() | st.floats(0, 1e10),
        ended=st.none() | st.floats(0, 1e10),
        usage=st.builds(Usage, wall=st.none() | st.floats(0, 1e6), memory=st.none() | st.integers(0, 2**50)),
        outputs=st.lists(
            st.builds(FileRecord, st.just("x"), st.just("u"), st.integers(0, 2**50), st.just("a" * 64))
        ).map(tuple),
    )
)
def test_a_good_outcome_is_read_as_it_was_written(outcome: Outcome) -> None:
    assert read_outcome(json.dumps(outcome.to_plain()).encode(), HANDLE) == outcome


def test_what_is_shown_of_garbage_is_short_and_harmless() -> None:
    text = shown(b"\x1b[31m\xff<script>" + b"x" * 1000)
    assert len(text) < 300
    assert text.isascii()
    assert "\x1b" not in text


# ---- whose processes


def seen(pid: int, parent: int, session: int = 0, ticks: int = 0, memory: int = 1) -> Seen:
    return Seen(Process(pid, ticks or pid), parent, session or pid, memory)


def test_a_family_is_the_session_all_descendants_and_members_seen_before() -> None:
    worker, payload, orphan = seen(10, 1), seen(11, 10), seen(13, 1)
    lines = [seen(1, 0), seen(2, 1), worker, payload, seen(12, 11), orphan, seen(14, 13), seen(15, 1, session=10)]
    family = Table(lines).family(worker.process, [orphan.process])
    assert {process.pid for process in family} == {10, 11, 12, 13, 14, 15}
    assert Table(lines).memory(family) == 6


def test_a_process_that_took_over_an_id_is_not_family() -> None:
    table = Table([seen(1, 0), seen(10, 1, ticks=99), seen(11, 10), seen(13, 1, ticks=77)])
    assert table.family(Process(10, 10), [Process(13, 13)]) == set()


def test_the_dead_are_not_family() -> None:
    assert Table([Seen(Process(10, 10), 1, 10, 0, over=True)]).family(Process(10, 10)) == set()


# ---- what becomes of a simulated attempt

MANY = [f"1/{job}/a#1" for job in range(4000)]


def test_a_fate_depends_on_seed_and_address_alone() -> None:
    behaviour = Behaviour(spread=1.0, failure_rate=0.5)
    assert draw(behaviour, 3, "1/0/a#1", Shape()) == draw(behaviour, 3, "1/0/a#1", Shape())
    assert draw(behaviour, 3, "1/0/a#1", Shape()) != draw(behaviour, 4, "1/0/a#1", Shape())
    assert draw(behaviour, 3, "1/0/a#1", Shape()) != draw(behaviour, 3, "1/0/a#2", Shape())


def test_fates_follow_the_rates_and_the_median() -> None:
    behaviour = Behaviour(duration=100, spread=1.0, failure_rate=0.1, eviction_rate=0.2, lost_rate=0.3)
    fates = [draw(behaviour, 1, address, Shape(time=10**6)) for address in MANY]
    share = {reason: sum(fate.reason is reason for fate in fates) / len(fates) for reason in Reason}
    assert share[Reason.TERMINATED] == pytest.approx(0.2, abs=0.03)
    assert share[Reason.EXIT] == pytest.approx(0.08, abs=0.03)
    assert sum(bool(fate.late or fate.again) for fate in fates) / len(fates) == pytest.approx(0.3, abs=0.03)
    good = sorted(fate.duration for fate in fates if fate.reason is Reason.OK)
    assert good[len(good) // 2] == pytest.approx(100, rel=0.1)
    assert good[-1] > 1000


def test_too_little_time_or_memory_ends_an_attempt() -> None:
    assert draw(Behaviour(duration=100), 1, MANY[0], Shape(time=50)).reason is Reason.TIME
    assert draw(Behaviour(memory=1.5), 1, MANY[0], Shape()).reason is Reason.MEMORY


def spec(address: str) -> TaskSpec:
    return TaskSpec(address, "a1", (Command(("true",)),), Environment(), (), (Output("x", "u/x"),), Shape())


def run(engine: SimulatedEngine, clock: ManualClock, step: float = 10.0) -> list[Change]:
    """Poll until nothing is out there and no report is on its way."""
    cursor, changes, quiet = "", list[Change](), 0
    while quiet < 20:
        clock.advance(step)
        news = engine.poll(cursor)
        cursor, changes = news.cursor, changes + list(news.changes)
        quiet = 0 if news.changes or engine.adopt() else quiet + 1
    return changes


def test_two_runs_with_one_seed_are_alike_whatever_the_order_of_submission() -> None:
    behaviour = Behaviour(spread=1.0, failure_rate=0.2, eviction_rate=0.1, submit_delay=30)
    ends = []
    for names in (MANY[:50], MANY[49::-1]):
        clock = ManualClock()
        engine = SimulatedEngine(clock=clock, seed=5, behaviour=behaviour)
        engine.submit([spec(name) for name in names])
        ends.append({c.handle.address: c.outcome for c in run(engine, clock) if c.outcome})
    assert ends[0] == ends[1]


def test_lost_reports_come_late_or_twice_but_none_is_missing() -> None:
    clock = ManualClock()
    engine = SimulatedEngine(clock=clock, seed=1, behaviour=Behaviour(duration=10, lost_rate=1.0, late=100))
    engine.submit([spec(name) for name in MANY[:100]])
    told = [c.handle.address for c in run(engine, clock) if c.what is What.ENDED]
    assert set(told) == set(MANY[:100])
    assert 20 < len(told) - 100 < 80
    assert engine.capacity().free == engine.capacity().total


def test_submitted_attempts_start_with_the_delay_asked_for() -> None:
    clock = ManualClock()
    engine = SimulatedEngine(clock=clock, behaviour=Behaviour(submit_delay=1000))
    engine.submit([spec(name) for name in MANY[:100]])
    begun = [c.at - 1_800_000_000 for c in run(engine, clock, 1.0) if c.what is What.RUNNING]
    assert len(begun) == 100
    assert 300 < sum(begun) / 100 < 700


def test_a_clock_set_back_stops_time_and_loses_nothing() -> None:
    clock = ManualClock()
    engine = SimulatedEngine(clock=clock, behaviour=Behaviour(duration=10))
    engine.submit([spec(MANY[0])])
    clock.advance(-3600)
    assert [c.what for c in engine.poll("").changes] == [What.RUNNING]
    clock.advance(3600)
    assert [c.handle.address for c in run(engine, clock) if c.outcome] == MANY[:1]


@pytest.mark.slow
def test_a_hundred_thousand_attempts_go_through_a_world_that_changes_engines() -> None:
    clock, world = ManualClock(), World(Shape(cpu=20_000, memory=10**15, disk=10**15), behaviour=Behaviour(duration=5))
    engine = SimulatedEngine(clock=clock, world=world, queue=100_000)
    names = [f"1/{job}/a#1" for job in range(100_000)]
    engine.submit([TaskSpec(name, "a1", (), Environment(), (), (), Shape()) for name in names])
    clock.advance(12)
    engine = SimulatedEngine(clock=clock, world=world, queue=100_000)
    assert {c.handle.address for c in run(engine, clock) if c.outcome} == set(names)
    assert not world.attempts


# ---- settings and plugins

INSTALLED = EntryPoints(
    EntryPoint(name, f"nunatak.engines.{name}:from_settings", GROUP) for name in ("local", "simulated")
)


def test_engines_are_made_from_settings_with_units(tmp_path: Path) -> None:
    settings = {"directory": tmp_path / "e", "worker": ["python3"], "cpu": 3, "memory": "8 GB", "time": "2 d", "gpu": 1}
    engine = load_engine("local", settings, installed=INSTALLED)
    assert isinstance(engine, LocalEngine)
    total = engine.capacity().total
    assert (total.cpu, total.gpu, total.memory, total.time) == (3, 1, 8_000_000_000, 172_800)
    engine.close()
    simulated = load_engine("simulated", {"cpu": 5, "queue": 7, "duration": "1 h"}, installed=INSTALLED)
    assert simulated.capacity().queue == 12


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (
            "local",
            {"directory": "/d", "worker": ["w"], "memroy": "1 GB"},
            ["memroy", "no such option", "did you mean 'memory'"],
        ),
        ("local", {"directory": "/d"}, ["worker", "needed"]),
        ("local", {"directory": "/d", "worker": []}, ["worker"]),
        ("local", {"directory": "/d", "worker": ["w"], "cpu": 0}, ["cpu", "1"]),
        ("local", {"directory": "/d", "worker": ["w"], "memory": "2 GX"}, ["memory", "2 GX", "did you mean"]),
        ("simulated", {"failure_rate": 1.5, "hots": []}, ["failure_rate", "hots", "'hosts'"]),
        ("simulated", {"hosts": []}, ["hosts"]),
    ],
)
def test_wrong_settings_are_named_all_at_once(kind: str, settings: dict[str, object], words: list[str]) -> None:
    with pytest.raises(Invalid) as caught:
        load_engine(kind, settings, installed=INSTALLED)
    for word in words:
        assert word in caught.value.message


def test_an_unknown_kind_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFound) as caught:
        load_engine("lokal", {}, installed=INSTALLED)
    assert "'local'" in caught.value.hint


# ---- what a worker kept


KEPT = {"url": "file:///s/1/.checkpoints/a/1/x", "size": 3, "sha256": "ab" * 32, "saved": 5.0}


@pytest.mark.parametrize(
    "change",
    [{"url": "file:///etc/passwd"}, {"size": -1}, {"size": "3"}, {"sha256": ""}, {"saved": -1.0}, {"saved": None}],
)
def test_a_worker_chooses_neither_where_a_checkpoint_is_nor_what_it_is(change: dict[str, object]) -> None:
    promised = Checkpoint("x", "file:///s/1/.checkpoints/a/1/x")
    good = Outcome("1/0/a#1", "a1", Reason.TERMINATED, detail={"checkpoint": KEPT, "python": "3"})
    bad = Outcome("1/0/a#1", "a1", Reason.TERMINATED, detail={"checkpoint": {**KEPT, **change}, "python": "3"})
    assert held_to_checkpoint(good, promised) is good
    assert held_to_checkpoint(bad, promised).detail == {"python": "3"}
    assert held_to_checkpoint(good, None).detail == {"python": "3"}
