"""A dataset's status says when it will be done and what was lost; a table says who used how much."""

import pytest

from nunatak.core.clock import ManualClock
from nunatak.core.work import Reason, Shape, Usage
from nunatak.tasks.looking import spent
from nunatak.tasks.looking.outlook import SAMPLE
from nunatak.tasks.sharing.usage import Decay
from tests.contract.world import World, campaign, chain


@pytest.fixture
def world(database):
    return World(database, ManualClock())


def run(world, items, seconds=100.0, reason=Reason.OK, **more):
    world.start(items)
    world.clock.advance(seconds)
    world.end(items, reason, usage=Usage(wall=seconds, cpu=seconds), **more)


def test_before_anything_ran_the_range_is_a_guess_from_its_part_of_the_slots(world):
    dataset = world.submit(chain(640, 1))
    found = world.status(f"{dataset}")["eta"]
    assert 0 < found["low"] <= found["middle"] <= found["high"]
    assert "a guess from the time asked for" in found["text"]
    other = world.submit(chain(640, 1), owner="bob")
    assert world.status(f"{other}")["eta"]["middle"] > 1.5 * found["middle"]


def test_from_what_ran_it_is_told_and_the_truth_is_near(world):
    dataset = world.submit(chain(1000, 1))
    for _ in range(20):
        run(world, world.claim(10))
    world.start(world.claim(10))
    world.clock.advance(50.0)
    found = world.status(f"{dataset}")["eta"]
    assert found["low"] <= 7950.0 <= found["high"]
    assert "8 times out of 10" in found["text"]
    assert found["low_at"] < found["high_at"]


def test_ages_are_sampled_and_weighted(world):
    dataset = world.submit(chain(5 * SAMPLE, 2))
    run(world, world.claim(50))
    world.start(world.claim(3 * SAMPLE, offer=Shape(cpu=9, memory=10**12, disk=10**13, time=10**7)))
    assert world.status(f"{dataset}")["eta"]["high"] > 0


def test_why_there_is_no_range(world):
    dataset = world.submit(chain(2, 2))
    world.act("hold", f"{dataset}")
    assert world.status(f"{dataset}")["eta"]["text"].startswith("it is held")
    world.act("release", f"{dataset}")
    world.clock.advance(10_000.0)
    assert "no engine" in world.status(f"{dataset}")["eta"]["text"]
    world.act("cancel", f"{dataset}/0")
    world.act("cancel", f"{dataset}/1")
    assert "need you" in world.status(f"{dataset}")["eta"]["text"]


def test_what_waits_for_failed_tasks_is_not_counted(world):
    dataset = world.submit(campaign(10))
    run(world, world.claim(2))
    items = world.claim(3)
    run(world, items[:1])
    world.act("cancel", f"{dataset}/{items[1].job}/generate")
    found = world.status(f"{dataset}")["eta"]
    assert found["stuck"] == 1
    assert "without the 1 that failed or are held, and what waits for them" in found["text"]


def test_status_says_what_was_lost(world):
    dataset = world.submit(chain(4, 1))
    items = world.claim()
    run(world, items[:3], 90.0)
    world.start(items[3:])
    world.clock.advance(30.0)
    world.act("hold", f"{dataset}/{items[3].job}/t0")
    found = world.status(f"{dataset}")["spent"]
    assert (found["spent"], found["lost"], found["attempts"]) == (300.0, 30.0, 1)
    assert "was lost" in found["text"]
    assert "to what people stopped" in found["text"]


@pytest.mark.parametrize(("by", "names"), [
    ("user", ["alice", "bob"]), ("group", [""]), ("dataset", ["1", "2"]), ("site", ["here"]), ("cause", ["ok", "asked"]),
])  # fmt: skip
def test_use_is_told_by_what_one_asks_for(world, by, names):
    world.submit(chain(4, 1))
    world.submit(chain(2, 1), owner="bob")
    items = world.claim()
    alices = [item for item in items if item.dataset == 1]
    world.start(alices[3:])
    run(world, alices[:3] + [item for item in items if item.dataset == 2], 3600.0)
    world.act("hold", f"1/{alices[3].job}/t0")
    with world.database.read() as tx:
        rows = spent.usage(tx, by, Decay(), world.clock(), 10)
    assert [row["name"] for row in rows] == names
    assert sum(row["core_hours"] for row in rows) == pytest.approx(6.0)
    assert sum(row["lost_core_hours"] for row in rows) == pytest.approx(1.0)
    assert sum(row["share"] for row in rows) == pytest.approx(1.0)
    assert rows[0]["counts_core"] == pytest.approx(rows[0]["core_hours"])
    world.clock.advance(7 * 86400.0)
    with world.database.read() as tx:
        later = spent.usage(tx, by, Decay(), world.clock(), 10)
    assert later[0]["counts_core"] == pytest.approx(rows[0]["core_hours"] / 2)
