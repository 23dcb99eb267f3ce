"""What tasks ask for follows what was seen, on both databases: one tries first, the others ask right from the start."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nunatak.core.address import Address
from nunatak.core.work import Reason, Shape, Usage
from nunatak.datasets.plan import Growth, Plan, Retry
from nunatak.tasks import fleet
from nunatak.tasks.looking import explain
from nunatak.tasks.rows import Claimed
from tests.contract.world import BIG, World, task

MB = 10**6
WRITTEN = Shape(memory=4000 * MB, disk=1000 * MB, time=3600).rounded()
LOW = Shape(memory=100 * MB, disk=1000 * MB, time=3600).rounded()


def photons(jobs: int, shape: Shape = WRITTEN, learn: str = "within", **retry) -> Plan:
    """One task a job, of which needs are learnt."""
    return Plan("photons", jobs, (task("a", shape=shape, learn=learn, retry=Retry(tries=5, delay=0.0, **retry)),))


def used(memory: float, wall: float = 100.0) -> Usage:
    return Usage(wall=wall, cpu=wall, memory=int(memory * MB), disk=10 * MB)


def finish(world: World, items: list[Claimed], memory: float, wall: float = 100.0) -> None:
    world.start(items)
    world.end(items, usage=used(memory, wall))


def run_out(world: World, items: list[Claimed], memory: float) -> None:
    """Let attempts die of the memory they had."""
    world.start(items)
    world.end(items, Reason.MEMORY, "over the memory asked for", usage=used(memory, 5.0))


def asks(world: World, item: Claimed) -> Shape:
    """Return what a claimed task asks for."""
    with world.database.read() as tx:
        return world.contexts.book.shapes(tx, [item.shape])[item.shape]


def changes(world: World, dataset: int) -> list[str]:
    """Return the reasons of changes that the history shows."""
    with world.database.read() as tx:
        context = world.contexts.one(tx, dataset)
        address = Address(dataset, None, None)
        page = explain.history(tx, context, address)
    return [item["reason"] for item in page["items"] if item["what"] == "needs"]


def test_one_tries_alone_then_all_go(world: World) -> None:
    world.submit(photons(100))
    (probe,) = world.claim(50)
    assert world.claim(50) == []
    finish(world, [probe], 500)
    assert len(world.claim(50)) == 50


def test_while_none_finished_well_no_more_than_twenty_try(world: World) -> None:
    world.submit(photons(100))
    items = world.claim(50)
    world.end(items, Reason.EXIT, "boom")
    items = world.claim(50)
    assert len(items) == 20
    assert world.claim(50) == []
    world.end(items[:3], Reason.EXIT, "boom")
    assert len(world.claim(50)) == 3
    finish(world, items[3:4], 500)
    assert len(world.claim(50)) == 50


def test_a_long_probe_keeps_nobody_waiting_for_long(world: World) -> None:
    world.submit(photons(100))
    world.start(world.claim(50))
    world.clock.advance(599.0)
    assert world.claim(50) == []
    world.clock.advance(2.0)
    assert len(world.claim(50)) == 19
    world.clock.advance(3600.0)
    assert len(world.claim(50)) == 50


def test_small_datasets_and_those_that_do_not_learn_need_no_probe(world: World) -> None:
    world.submit(photons(20))
    world.submit(photons(30, learn="off"))
    assert len(world.claim(100)) == 50


def test_the_next_jobs_ask_right_from_the_start(world: World) -> None:
    dataset = world.submit(photons(100, LOW))
    probe = world.claim(50)
    assert asks(world, probe[0]) == LOW
    run_out(world, probe, 128)
    (again,) = world.claim(50)
    assert (again.job, again.attempt) == (probe[0].job, 2)
    assert asks(world, again).memory >= 192 * MB
    assert world.status(f"{dataset}/99/a")["shape"]["memory"] == 192 * MB  # not touched yet
    assert {row.shape for row in world.ledger()} == {probe[0].shape}
    finish(world, [again], 170)
    fresh = world.claim(50)
    assert len(fresh) == 50
    assert {asks(world, item).memory for item in fresh} == {256 * MB}
    assert world.status(f"{dataset}/{fresh[0].job}/a")["shape"]["memory"] == 256 * MB
    finish(world, fresh, 170)
    assert {row.shape for row in world.ledger() if row.attempt == 1 and row.job in {i.job for i in fresh}} == {
        fresh[0].shape
    }
    assert changes(world, dataset)[0] == "memory 128 MB -> 192 MB: 128 MB was not enough, +50 %"
    assert world.faults() == []


def test_less_is_asked_for_and_more_fit(world: World) -> None:
    dataset = world.submit(photons(100))
    finish(world, world.claim(50), 500)
    items = world.claim(10, Shape(cpu=64, memory=1000 * MB, disk=10**12, time=10**6))
    assert len(items) == 10
    assert {asks(world, item).memory for item in items} == {768 * MB}
    assert asks(world, items[0]).time == 3600  # of times one attempt says too little
    lines = world.status(str(dataset))["used"]["a"]
    assert lines[0]["text"] == "memory: asks 768 MB, uses 500 MB (p95), 500 MB at most"
    assert lines[-1]["name"] == "why"
    assert "the first attempt used 500 MB, +50 %" in lines[-1]["text"]


def test_a_raised_retry_is_never_lowered(world: World) -> None:
    world.submit(photons(100))
    finish(world, world.claim(50), 500)
    (item,) = world.claim(1)
    run_out(world, [item], 768)
    again = next(item for item in world.claim(60) if item.attempt == 2)
    assert asks(world, again).memory >= 1152 * MB
    run_out(world, [again], 1600)
    third = next(item for item in world.claim(200) if item.attempt == 3)
    assert asks(world, third).memory > asks(world, again).memory


def test_a_raised_retry_asks_for_more_where_more_was_learnt_since(world: World) -> None:
    world.submit(photons(100, LOW))
    run_out(world, world.claim(1), 128)
    world.clock.advance(700.0)
    world.register("local")
    items = world.claim(20)
    first = next(item for item in items if item.attempt == 2)
    others = [item for item in items if item.attempt == 1]
    world.end([first], Reason.LOST)  # free of charge: it stays as it was raised
    run_out(world, others[:1], 400)
    again = next(item for item in world.claim(50) if item.job == first.job)
    assert asks(world, again).memory >= 600 * MB


@pytest.mark.parametrize("growth", [Growth(1.0), Growth(2.0, 256 * MB)])
def test_never_beyond_what_the_recipe_allows(world: World, growth: Growth) -> None:
    dataset = world.submit(photons(100, LOW, memory=growth))
    run_out(world, world.claim(1), 400)
    for item in world.claim(50):
        assert asks(world, item).memory <= max(LOW.memory, growth.most)
    assert all("400" not in reason.split("->")[0] for reason in changes(world, dataset))


def test_with_auto_as_much_as_sites_have_and_no_more(world: World) -> None:
    world.submit(photons(100, LOW, learn="auto", memory=Growth(1.0)))
    run_out(world, world.claim(1), 2 * BIG.memory / MB)
    assert {asks(world, item).memory for item in world.claim(50)} <= {LOW.memory, BIG.memory}


def test_tasks_whose_shape_depends_on_the_job_are_as_written(world: World) -> None:
    varying = replace(task("a", shape=None, learn="auto"), needs={"memory": "{1 + job % 2} GB"})
    world.submit(Plan("varying", 100, (varying,)))
    world.claim(50)
    items = world.claim(50)
    assert len({item.shape for item in items}) == 2
    finish(world, items, 50)
    assert {asks(world, item).memory for item in world.claim(50)} == {1024 * MB, 2048 * MB}


def test_the_number_of_changes_grows_slowly_and_all_counts_stay_right(world: World) -> None:
    dataset = world.submit(photons(300))
    step = 0
    while items := world.claim(16):
        step += 1
        finish(world, items, 400 + 37 * (step % 5), wall=200.0 + 10 * (step % 7))
    assert world.status(str(dataset))["state"] == "done"
    assert 1 <= len(changes(world, dataset)) <= 8
    assert world.faults() == []


def test_what_dies_of_needs_that_were_lowered_uses_up_no_try(world: World) -> None:
    dataset = world.submit(Plan("p", 100, (task("a", shape=WRITTEN, learn="within", retry=Retry(tries=1, delay=0.0)),)))
    finish(world, world.claim(1), 500)
    (item,) = world.claim(1)
    assert asks(world, item).memory < WRITTEN.memory
    for _ in range(20):
        run_out(world, [item], asks(world, item).memory / MB)
        item = next(one for one in world.claim(200) if one.job == item.job)
        if asks(world, item).memory >= WRITTEN.memory:
            break
    assert asks(world, item).memory == WRITTEN.memory
    run_out(world, [item], WRITTEN.memory / MB)  # now it had what is written: the only try is used up
    assert world.status(f"{dataset}/{item.job}/a")["state"] == "failed"


def test_what_is_learnt_fits_where_what_is_written_did(world: World) -> None:
    """Eight processors are at one place and much memory at another: the margin is cut to what the first has."""
    wide = replace(BIG, cpu=8, memory=4200 * MB)
    for name, total in (("local", wide), ("other", replace(BIG, cpu=1))):
        capacity = {"total": total.to_plain()}
        world.database.run(
            lambda tx, name=name, capacity=capacity: fleet.register(
                tx, name, "simulated", "here", "s", capacity, 300.0, world.clock()
            )
        )
    world.submit(photons(100, replace(WRITTEN, cpu=8)))
    finish(world, world.claim(1, wide), 3900)
    items = world.claim(50, wide)
    assert len(items) == 50
    assert asks(world, items[0]).memory <= wide.memory
