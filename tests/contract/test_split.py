"""Jobs that have not begun leave a dataset and come back in pieces, on both databases, with the invariants checked after each."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from nunatak.core.address import parse
from nunatak.core.clock import ManualClock
from nunatak.core.errors import Conflict, Invalid
from nunatak.core.work import Shape
from nunatak.datasets.expand import expand
from nunatak.datasets.plan import CommandPlan, Plan
from nunatak.datasets.tables import datasets, events, jobs
from nunatak.tasks.looking import explain
from nunatak.tasks.split import Divided, split
from nunatak.tasks.tables import spent
from tests.contract.world import World, campaign, task


@pytest.fixture
def bare(database):
    """A world in which what was spent may be made up."""
    return World(database, ManualClock())


def long(jobs: int, events: int = 5000, **more) -> Plan:
    named = (task("generate", splittable="events", **more), task("filter", "generate"))
    commands = (CommandPlan(("x", "{events}")),)
    return Plan("long", jobs, tuple(replace(item, commands=commands) for item in named), parameters={"events": events})


def divide(world: World, dataset: int, into: int | None = None, *, apply: bool = True, actor: str = "alice") -> Divided:
    return world.database.run(
        lambda tx: split(tx, world.contexts, world.contexts.one(tx, dataset), into, actor, world.clock(), apply=apply)
    )


def total(world: World, dataset: int) -> int:
    """The parameter, summed over all the jobs there are."""
    with world.database.read() as tx:
        plan = world.contexts.one(tx, dataset).plan
    number = world.status(str(dataset))["jobs"]["total"]
    where = {"dataset": dataset, "task": 0, "attempt": 1, "lease": "", "store": "file:///s", "blobs": "file:///b"}
    return sum(int(expand(plan, job=job, **where).commands[0].argv[1]) for job in range(number))


@pytest.mark.parametrize("n", [4, 3])
def test_what_is_there_is_done_once_altogether_and_what_runs_is_untouched(world: World, n: int) -> None:
    old = world.submit(long(100), team="ice", priority=2.5)
    running = world.claim(limit=30)
    world.start(running[:20])
    before = {(row.job, row.task): row for row in world.rows() if row.attempt}
    found = divide(world, old, n, actor="root")
    assert (found.dataset, found.moved, found.jobs, found.pieces) == (old, 70, 70 * n, n)
    assert world.faults() == []
    assert {(row.job, row.task): row for row in world.rows()} == before
    assert total(world, old) + total(world, found.made) == 100 * 5000
    kept, made = world.status(str(old)), world.status(str(found.made))
    assert (kept["jobs"]["total"], kept["tasks"]["total"]) == (30, 60)
    assert (made["jobs"]["total"], made["tasks"]["total"]) == (70 * n, 140 * n)
    assert (made["name"], made["owner"], made["team"], made["priority"]) == (
        f"long (split of {old})",
        "alice",
        "ice",
        2.5,
    )
    with world.database.read() as tx:
        rows = tx.execute(select(events).where(events.c.verb == "split").order_by(events.c.dataset)).all()
    assert [(row.dataset, row.actor, json.loads(row.detail)) for row in rows] == [
        (old, "root", {"into": found.made, "moved": 70, "jobs": 70 * n}),
        (found.made, "root", {"of": old, "moved": 70, "jobs": 70 * n}),
    ]
    world.end(running)
    world.run_to_end(most=500)
    assert world.status(str(old))["state"] == world.status(str(found.made))["state"] == "done"
    assert len(world.ledger()) == 60 + 140 * n


def test_a_dataset_of_which_nothing_began_is_moved_as_a_whole_and_gets_more_jobs(world: World) -> None:
    old = world.submit(long(10))
    found = divide(world, old, 2)
    assert world.status(str(old))["jobs"]["total"] == 0
    assert world.status(str(old))["state"] == "done"
    assert world.more(old, 3) == 3
    assert world.faults() == []
    assert world.run_to_end() == 2 * (3 + found.jobs)


def test_jobs_a_person_or_a_try_has_touched_stay_with_all_before_them(world: World) -> None:
    old = world.submit(long(100))
    world.act("hold", f"{old}/40")
    world.act("hold", f"{old}/50")
    world.act("release", f"{old}/50")  # as if nothing had been said
    world.act("cancel", f"{old}/20")
    found = divide(world, old, 2)
    assert found.moved == 59
    assert world.faults() == []
    assert max(row.job for row in world.rows(jobs)) == 40
    world.act("release", f"{old}/40")
    world.act("retry", f"{old}/20")
    assert world.run_to_end(most=500) == 2 * (41 + 2 * 59)


def test_a_preview_changes_nothing(world: World) -> None:
    old = world.submit(long(10))
    found = divide(world, old, 4, apply=False)
    assert (found.made, found.moved, found.jobs, found.low, found.high) == (0, 10, 40, 1250, 1250)
    assert world.status(str(old))["jobs"]["total"] == 10
    assert len(world.rows(datasets)) == 1


def evicting(world: World) -> None:
    """Half of the attempts here are evicted within 41 minutes."""
    world.submit(Plan("short", 1, (task("only"),)))
    world.end(world.claim())
    world.database.run(lambda tx: tx.execute(update(spent).values(cause="free", attempts=10, wall=36_000.0)))


def test_without_a_number_it_follows_what_why_proposes(bare: World) -> None:
    evicting(bare)
    old = bare.submit(long(3, 10_000, shape=Shape(time=36_000).rounded()))
    with bare.database.read() as tx:
        said = explain.why(tx, bare.contexts, bare.contexts.one(tx, old), parse(str(old)), bare.clock())["reasons"]
    assert any(
        text.endswith(f"divide it into 20 jobs with events 500 instead of one with 10000: nunatak split {old}")
        for text in said
    )
    found = divide(bare, old)
    assert (found.pieces, found.low, found.jobs) == (20, 500, 60)
    assert found.notes == ("generate asks for 30 min instead of 10 h",)
    with pytest.raises(Conflict, match="too long") as error:
        divide(bare, found.made)
    assert f"nunatak split {found.made} --into N" in error.value.hint


def test_what_gathers_all_jobs_is_not_advised_to_be_split(bare: World) -> None:
    evicting(bare)
    plan = campaign(3)
    tasks = tuple(
        item if item.once else replace(item, splittable="events", shape=Shape(time=36_000).rounded())
        for item in plan.tasks
    )
    old = bare.submit(Plan("campaign", 3, tasks, parameters={"events": 100}))
    with bare.database.read() as tx:
        said = explain.why(tx, bare.contexts, bare.contexts.one(tx, old), parse(str(old)), bare.clock())["reasons"]
    assert any("divide it into" in text for text in said)
    assert not any("nunatak split" in text for text in said)
    with pytest.raises(Conflict, match="analyze gathers all jobs"):
        divide(bare, old, 2)


@pytest.mark.parametrize("verb", ["close", "cancel", "hold"])
def test_datasets_that_are_stopped_are_refused(world: World, verb: str) -> None:
    old = world.submit(long(10))
    world.act(verb, str(old))
    with pytest.raises(Conflict):
        divide(world, old, 2)


def test_what_cannot_be_split_says_why(world: World) -> None:
    plain = world.submit(Plan("plain", 5, (task("only"),)))
    with pytest.raises(Conflict) as error:
        divide(world, plain, 2)
    assert (error.value.code, "splittable:" in error.value.hint) == ("not-splittable", True)
    begun = world.submit(long(5))
    for n in (1, 5001):
        with pytest.raises(Invalid):
            divide(world, begun, n)
    world.claim()
    with pytest.raises(Conflict) as error:
        divide(world, begun, 2)
    assert error.value.code == "nothing-left"
