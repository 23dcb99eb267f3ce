"""What claims of one transaction share is written once, last and in one order; on PostgreSQL nobody waits in a circle."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from sqlalchemy import Connection, text

from nunatak.api.demand import DemandMemory
from nunatak.core.clock import ManualClock
from nunatak.core.errors import Conflict
from nunatak.core.work import Shape
from nunatak.datasets.plan import Plan
from nunatak.datasets.progress import Moves
from nunatak.datasets.tables import task_counts
from nunatak.db.bounds import Bounds
from nunatak.db.database import Database
from nunatak.tasks import choosing
from nunatak.tasks.choosing import Chooser, Rules
from nunatak.tasks.claim import Asked, claim_many
from nunatak.tasks.rows import Claimed
from nunatak.tasks.sharing.fits import Offer
from tests.contract.world import BIG, World, chain, divisible, task
from tests.services import databases
from tests.services.postgres import Postgres

LARGE = Shape(cpu=2, memory=4 * 10**9).rounded()


def two_shapes(jobs: int) -> Plan:
    return Plan("two", jobs, (task("one"), task("two", shape=LARGE), task("after", "one", "two")))


def ask(world: World, limit: int) -> Asked:
    return Asked(world.engine, Offer(BIG, "here"), limit, next(world.keys))


@pytest.fixture
def crowded(postgres: Postgres) -> Iterator[World]:
    """A world on PostgreSQL whose statements give up at once where they would have to wait."""
    database = Database(databases.migrated(postgres), Bounds(lock=0.001))
    yield World(database, ManualClock())
    database.close()


def test_a_look_in_the_middle_of_a_claim_sees_the_counts_as_they_will_be(world: World) -> None:
    world.submit(two_shapes(30))
    world.submit(chain(3))
    world.clock.advance(1000.0)
    rules, seen = Rules(), []

    def look(tx: Connection, moves: Moves | None) -> choosing.Wanted:
        return choosing.wanted(tx, world.contexts, rules, world.clock(), moves)

    def work(tx: Connection) -> None:
        places = world.chooser.look(tx, world.contexts, world.clock())

        def again(moves: Moves) -> None:
            seen.append(look(tx, moves))

        claim_many(tx, world.contexts, [ask(world, 1000)], places, world.clock(), again=again)
        seen.append(look(tx, None))

    world.database.run(work)
    before, after = seen
    assert before == after
    assert sum(row.queued for row in after.demand) == 63


def test_what_an_old_look_did_not_know_is_claimed_in_the_same_transaction(world: World) -> None:
    first = world.submit(chain(4))
    memory = DemandMemory(Chooser(), age=1000.0)
    world.database.run(lambda tx: memory.refresh(tx, world.contexts, world.clock()))
    second = world.submit(two_shapes(5))
    asked = [ask(world, 6), ask(world, 100)]
    taken = world.database.run(lambda tx: memory.claim(tx, world.contexts, asked, world.clock()))
    assert [len(items) for items in taken] == [6, 8]
    assert {item.dataset for items in taken for item in items} == {first, second}
    assert len({item[:3] for items in taken for item in items}) == 14


@pytest.mark.parametrize(
    ("took", "age", "holds"), [(0.1, 0.05, 0.4), (60.0, 0.05, 5.0), (60.0, 0.0, 0.0), (0.01, 0.05, 0.0)]
)
def test_a_look_that_took_long_holds_four_times_as_long_and_never_for_long(
    world: World, took: float, age: float, holds: float
) -> None:
    at = 0.0

    class Slow(Chooser):
        def look(self, *arguments: Any) -> choosing.Places:
            nonlocal at
            at += took
            return super().look(*arguments)

    memory = DemandMemory(Slow(), age, timer=lambda: at)

    def look() -> bool:
        world.clock.advance(1.0)  # it is older than `age`
        return world.database.run(lambda tx: memory.get(tx, world.contexts, world.clock()))[1]

    world.submit(chain(1))
    assert look()
    at += max(0.0, holds - 0.001)
    assert look() == (holds == 0.0)
    at += 0.002
    assert look()


def test_no_count_is_locked_while_a_claim_looks_again(crowded: World) -> None:
    crowded.submit(chain(4))
    free: list[int] = []

    def again(_: Moves) -> None:
        with crowded.database.write() as other:
            free.append(len(other.execute(task_counts.select().with_for_update(nowait=True)).all()))

    def work(tx: Connection) -> list[list[Claimed]]:
        places = crowded.chooser.look(tx, crowded.contexts, crowded.clock())
        return claim_many(tx, crowded.contexts, [ask(crowded, 100)], places, crowded.clock(), again=again)

    (taken,) = crowded.database.run(work)
    assert (len(taken), free) == (4, [5])
    assert crowded.faults() == []


@pytest.mark.slow
def test_many_claims_and_reports_at_once_never_wait_for_each_other_in_a_circle(postgres: Postgres) -> None:
    database = Database(databases.migrated(postgres), Bounds(pool=12))
    world = World(database, ManualClock())
    for _ in range(6):
        world.submit(two_shapes(60))
    deadlocks = _deadlocks(database)
    memories = [DemandMemory(Chooser(), age=0.05) for _ in range(2)]  # of two servers
    numbers = threading.Lock()

    def hammer(seed: int) -> None:
        random = Random(seed)
        while True:
            with numbers:
                asked = [ask(world, random.randint(1, 9)) for _ in range(random.randint(1, 4))]
            memory = memories[seed % 2]
            taken = database.run(lambda tx: memory.claim(tx, world.contexts, asked, world.clock()))  # noqa: B023
            items = [item for of in taken for item in of]
            if not items:
                return
            random.shuffle(items)
            world.start(items)
            world.end(items)

    threads = [threading.Thread(target=hammer, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    world.run_to_end()
    assert world.faults() == []
    assert len(world.ledger()) == 6 * 3 * 60
    assert _deadlocks(database) == deadlocks
    database.close()


def _deadlocks(database: Database) -> int:
    with database.write() as tx:
        tx.execute(text("SELECT pg_stat_force_next_flush()"))
    with database.glance() as tx:
        return int(
            tx.execute(text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")).scalar() or 0
        )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_claims_that_race_a_split_lose_no_job_and_take_none_twice(postgres: Postgres, seed: int) -> None:
    database = Database(databases.migrated(postgres), Bounds(pool=8))
    world = World(database, ManualClock())
    jobs = 150
    old = world.submit(divisible(jobs))
    numbers, ran, go = threading.Lock(), [0], threading.Barrier(4)
    random, made = Random(seed), []

    def claims(limit: int) -> None:
        memory = DemandMemory(Chooser(), age=0.0)
        go.wait(60)
        for _ in range(8):
            with numbers:
                asked = [ask(world, limit)]
            (items,) = database.run(lambda tx: memory.claim(tx, world.contexts, asked, world.clock()))  # noqa: B023
            world.start(items)
            world.end(items)
            with numbers:
                ran[0] += len(items)

    def splits() -> None:
        go.wait(60)
        for number in (old, old + 1):
            with suppress(Conflict):  # all jobs have begun
                made.append(world.split(number, 2))

    threads = [threading.Thread(target=claims, args=(random.randint(1, 9),)) for _ in range(3)]
    threads.append(threading.Thread(target=splits))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert made, "the first split comes while jobs are left"
    assert world.faults() == []
    total = ran[0] + world.run_to_end(most=1000)
    numbers_of = [world.status(str(dataset))["jobs"] for dataset in (old, *(item.made for item in made))]
    assert all(counts["done"] == counts["total"] for counts in numbers_of)
    assert total == 2 * sum(counts["total"] for counts in numbers_of)
    pieces = [2**n for n in range(len(made) + 1)]
    assert sum(counts["total"] / n for counts, n in zip(numbers_of, pieces, strict=True)) == jobs
    assert world.faults() == []
    database.close()
