"""What is kept for a moment: it is read once for many who ask, anew when it is old, and aside where that can be."""

import threading

import pytest

from nunatak.core.address import parse
from nunatak.core.clock import ManualClock
from nunatak.datasets.plan import Plan
from nunatak.db.aside import Aside
from nunatak.db.kept import LATE, Kept
from nunatak.tasks.looking import ahead, explain, scenes
from tests.contract.world import World, task

HOLDS = 2.0


class Later:
    """Reads aside when the test says so."""

    def __init__(self):
        self.due = {}

    def soon(self, what, read):
        self.due.setdefault(what, read)


class Source:
    """Counts how often it was read."""

    def __init__(self, holds=HOLDS):
        self.read, self.holds = 0, holds

    def __call__(self, tx):
        self.read += 1
        return self.read, self.holds


def test_what_holds_is_read_once_and_what_is_old_anew():
    kept, source = Kept(), Source()
    assert [kept.of("x", source, None, now) for now in (0.0, 0.0, HOLDS - 0.1)] == [1, 1, 1]
    assert kept.of("x", source, None, HOLDS) == 2  # nobody reads aside
    assert kept.of("y", source, None, HOLDS) == 3  # another thing


def test_what_is_decided_by_is_never_shown_late_and_can_be_forgotten():
    later = Later()
    kept, source = Kept(later), Source()
    assert [kept.of("x", source, None, now, late=False) for now in (0.0, HOLDS - 0.1, HOLDS)] == [1, 1, 2]
    kept.forget("x")
    assert kept.of("x", source, None, HOLDS, late=False) == 3
    assert not later.due


def test_another_version_and_a_clock_that_went_back_are_read_anew():
    kept, source = Kept(), Source()
    assert kept.of("x", source, None, 9.0, version="a") == 1
    assert kept.of("x", source, None, 9.0, version="b") == 2
    assert kept.of("x", source, None, 8.0, version="b") == 3


def test_what_does_not_hold_is_not_kept():
    kept, source = Kept(), Source()
    assert kept.of("x", source, None, 0.0) == 1
    source.holds = 0.0
    assert kept.anew("x", source, None, 0.0) == 2
    assert [kept.of("x", source, None, 0.0) for _ in range(2)] == [3, 4]


def test_the_old_is_shown_while_the_new_is_read_aside_but_not_for_ever():
    later, source = Later(), Source()
    kept = Kept(later)
    assert kept.of("x", source, None, 0.0) == 1
    assert [kept.of("x", source, None, now) for now in (HOLDS, HOLDS + 1)] == [1, 1]
    (read,) = later.due.values()
    read(None)
    assert kept.of("x", source, None, HOLDS + 1) == 2  # as of when it was asked for, 2.0
    assert kept.of("x", source, None, HOLDS + LATE * HOLDS) == 3  # too old to be shown


def test_reads_aside_have_transactions_of_their_own_and_an_error_spoils_nothing(database):
    aside, done, seen = Aside(database), threading.Event(), []

    def fails(tx):
        raise ValueError("a mistake")

    def reads(tx):
        seen.append(tx.exec_driver_sql("SELECT 1").scalar())
        done.set()

    aside.soon("fails", fails)
    aside.soon("reads", reads)
    assert done.wait(60)
    aside.close()
    assert seen == [1]


def test_what_waits_to_be_read_waits_once(database):
    aside, go, begun, done, read = Aside(database), threading.Event(), threading.Event(), threading.Event(), []

    def first(tx):
        begun.set()
        go.wait(60)

    aside.soon("first", first)
    assert begun.wait(60)
    for _ in range(3):
        aside.soon("x", lambda tx: read.append(1))
    aside.soon("last", lambda tx: done.set())
    go.set()
    assert done.wait(60)
    aside.close()
    assert read == [1]


# ---- those who use it


@pytest.fixture
def world(database):
    return World(database, ManualClock())


def reasons(world, address):
    wanted = parse(address)
    with world.database.read() as tx:
        context = world.contexts.one(tx, wanted.dataset)
        return explain.why(tx, world.contexts, context, wanted, world.clock())["reasons"]


def test_many_who_ask_why_share_a_scene_and_a_dataset_that_came_since_is_seen(world, monkeypatch):
    monkeypatch.setattr(scenes, "FEW", 0)
    world.clock.advance(10_000.0)  # the engine it had is gone
    world.submit(Plan("wide", 3, (task("only"),)))
    nobody = reasons(world, "1/0/only")
    assert nobody == ["no engine is running: start one with nunatak up or nunatak serve engine"]
    world.register("new")
    assert reasons(world, "1/0/only") == nobody  # as of a moment ago
    world.submit(Plan("other", 3, (task("only"),)))
    assert "slots that could take it are free" in reasons(world, "2/0/only")[0]
    assert "slots that could take it are free" in reasons(world, "1/0/only")[0]  # they share the new one
    assert "slots that could take it are free" in reasons(world, "1")[0]


def test_few_are_looked_at_whenever_somebody_asks(world):
    world.clock.advance(10_000.0)
    world.submit(Plan("wide", 3, (task("only"),)))
    assert "no engine is running" in reasons(world, "1/0/only")[0]
    world.register("new")
    assert "slots that could take it are free" in reasons(world, "1/0/only")[0]


def test_a_forecast_of_a_large_dataset_is_shared_until_a_person_changes_something(world, monkeypatch):
    asked = []
    real = ahead.outlook
    monkeypatch.setattr(ahead, "outlook", lambda *args: asked.append(1) or real(*args))
    world.submit(Plan("wide", ahead.LARGE + 1, (task("only"),)))
    first = reasons(world, "1")
    assert "done in" in first[-1]
    assert [reasons(world, "1") for _ in range(2)] == [first, first]
    assert len(asked) == 1
    world.act("hold", "1")
    assert "it is held" in reasons(world, "1")[-1]
    assert len(asked) == 2


def test_forecasts_of_small_datasets_are_made_whenever_somebody_asks(world, monkeypatch):
    asked = []
    real = ahead.outlook
    monkeypatch.setattr(ahead, "outlook", lambda *args: asked.append(1) or real(*args))
    world.submit(Plan("wide", ahead.LARGE - 1, (task("only"),)))
    assert reasons(world, "1") == reasons(world, "1")
    assert len(asked) == 2
