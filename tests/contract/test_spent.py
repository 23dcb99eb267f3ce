"""Time spent is kept from every end of an attempt, by dataset, site and cause, and decays as fair share wants it."""

import itertools

import pytest
from sqlalchemy import delete, update

from nunatak.core.clock import ManualClock
from nunatak.core.work import Reason, Shape, Usage
from nunatak.datasets.plan import Plan
from nunatak.tasks import fleet, invariants
from nunatak.tasks.sharing.usage import Amount, Decay
from nunatak.tasks.sharing.usage import Usage as Kept
from nunatak.tasks.tables import spent
from tests.contract.world import World, chain, key, task

WEEK = 7 * 86400.0
WIDE = Shape(cpu=4, gpu=2).rounded()


@pytest.fixture
def world(database):
    return World(database, ManualClock())


def by_cause(world):
    return {row.cause: row for row in world.rows(spent)}


def wide(jobs):
    return Plan("wide", jobs, (task("only", shape=WIDE),))


def test_an_end_adds_what_it_occupied_and_not_only_what_was_measured(world):
    world.submit(wide(2))
    items = world.claim()
    world.start(items)
    world.clock.advance(1800.0)
    started = world.clock() - 1800.0
    world.end(items, started=started, ended=world.clock(), usage=Usage(wall=1000.0, cpu=900.0))
    row = by_cause(world)["ok"]
    assert (row.site, row.attempts, row.wall, row.cpu) == ("here", 2, 3600.0, 1800.0)
    assert (row.core_hours, row.gpu_hours) == (4.0, 2.0)
    assert Decay().now(Kept(row.era, row.core, row.gpu), world.clock()) == pytest.approx(Amount(4.0, 2.0))
    assert world.faults() == []


def test_ends_of_our_own_cost_what_they_occupied(world):
    dataset = world.submit(chain(6, 1))
    items = world.claim()
    world.start(items)
    world.clock.advance(100.0)
    run = world.database.run
    run(lambda tx: fleet.give_back(tx, world.contexts, world.engine, [key(items[0])], "gone", world.clock()))
    world.act("hold", f"{dataset}/1")
    world.act("cancel", f"{dataset}/2")
    world.end(items[3:4], Reason.TERMINATED, "evicted", detail={"evicted": True})
    world.clock.advance(1000.0)
    run(lambda tx: fleet.reap(tx, world.contexts, world.clock()))
    rows = by_cause(world)
    assert rows["free"].attempts == 4
    assert rows["free"].wall == pytest.approx(100.0 + 100.0 + 2 * 1100.0)
    assert (rows["asked"].attempts, rows["asked"].wall) == (2, pytest.approx(200.0))
    assert world.faults() == []


def test_what_never_began_took_no_time_but_is_counted(world):
    dataset = world.submit(chain(3, 1))
    world.claim()
    world.clock.advance(50.0)
    world.act("hold", f"{dataset}")
    row = by_cause(world)["asked"]
    assert (row.attempts, row.wall, row.core) == (3, 0.0, 0.0)


def test_a_clock_that_jumps_costs_no_more_than_was_possible(world):
    world.submit(chain(1, 1))
    items = world.claim()
    world.start(items)
    world.clock.advance(60.0)
    world.end(items, started=0.0, ended=2e9, usage=Usage())
    assert by_cause(world)["ok"].wall == 60.0


@pytest.mark.parametrize("step", [3600.0, 40 * WEEK, 80 * WEEK, 200 * WEEK])
def test_eras_are_merged_as_the_decay_says(world, step):
    world.submit(wide(2))
    kept = Kept()
    for item in world.claim(1) + world.claim(1):
        world.start([item])
        world.clock.advance(3600.0)
        world.end([item], started=world.clock() - 3600.0, ended=world.clock(), usage=Usage())
        kept = Decay().merge(kept, Decay().entry(Amount(4.0, 2.0), world.clock()))
        world.clock.advance(step)
    row = by_cause(world)["ok"]
    assert row.era == kept.era
    assert (row.core, row.gpu) == pytest.approx((kept.core, kept.gpu))


def test_an_older_era_that_comes_late_does_not_win(world):
    world.submit(wide(2))
    first, second = world.claim()
    world.clock.advance(40 * WEEK)
    world.end([first], usage=Usage(wall=3600.0))
    world.clock.advance(-40 * WEEK)
    world.end([second], usage=Usage(wall=3600.0))
    row = by_cause(world)["ok"]
    at = world.clock() + 40 * WEEK
    wanted = Decay().merge(Decay().entry(Amount(4.0, 2.0), at), Decay().entry(Amount(4.0, 2.0), world.clock()))
    assert (row.era, row.core) == (wanted.era, pytest.approx(wanted.core))


def test_sites_are_told_apart_and_engines_of_one_are_not(world):
    engines = [world.engine, world.register("second")]
    world.submit(chain(4, 1))
    for engine in itertools.islice(itertools.cycle(engines), 4):
        world.end(world.claim(1, engine=engine))
    assert [(row.site, row.attempts) for row in world.rows(spent)] == [("here", 4)]


def test_doctor_finds_and_restores_what_is_wrong(world):
    dataset = world.submit(chain(3, 2))
    world.run_to_end()
    before = world.rows(spent)
    world.database.run(lambda tx: tx.execute(update(spent).values(attempts=1, wall=0.0)))
    assert any("attempts that time was spent on" in fault for fault in world.faults())
    world.database.run(lambda tx: invariants.repair(tx, world.contexts, dataset, world.clock()))
    after = world.rows(spent)
    assert [tuple(row)[:6] for row in after] == [tuple(row)[:6] for row in before]
    assert [row.core for row in after] == pytest.approx([row.core for row in before])
    world.database.run(lambda tx: tx.execute(delete(spent)))
    world.database.run(lambda tx: invariants.repair(tx, world.contexts, dataset, world.clock()))
    assert world.faults() == []
