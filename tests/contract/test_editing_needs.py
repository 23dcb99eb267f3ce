"""Recipes are edited whose tasks ask for something else in each job, on both databases: no row changes before its turn comes."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from nunatak.core.work import Reason, Shape, Usage
from nunatak.datasets.expand import shape_of
from nunatak.datasets.plan import Growth, Plan, Retry, TaskPlan
from nunatak.datasets.shape import shape_from
from nunatak.tasks import claim, report
from nunatak.tasks.asking import Learnt, asked_for
from nunatak.tasks.context import Contexts
from nunatak.tasks.looking import snapshot
from nunatak.tasks.rows import Claimed
from nunatak.tasks.shapes import number_of
from nunatak.tasks.sharing.fits import Offer
from tests.contract.test_editing import GB, edit
from tests.contract.world import BIG, World, key, task

MODULO, OTHER, FIXED = "{1 + job % 2} GB", "{4 + job % 3} GB", "3 GB"
RETRY = Retry(tries=9, delay=0.0, memory=Growth(2.0, 256 * GB))


def asking(name: str, memory: str, *after: str, **more) -> TaskPlan:
    """A task that asks for so much memory, perhaps by the job."""
    needs = {"memory": memory}
    return replace(task(name, *after, shape=None if "{" in memory else shape_from(needs, {}), **more), needs=needs)


def plan(jobs: int, first: str, second: str = FIXED, **more) -> Plan:
    return Plan("varying", jobs, (asking("a", first, retry=RETRY), asking("b", second, "a", retry=RETRY)), **more)


def claims(world: World, limit: int) -> list[Claimed]:
    """Claim as an engine does that asks again where it got nothing: what is opened or numbered is there at the next look."""
    return world.claim(limit) or world.claim(limit)


def memory_of(world: World, items: list[Claimed]) -> Mapping[tuple[int, int], int]:
    with world.database.read() as tx:
        known = world.contexts.book.shapes(tx, {item.shape for item in items})
    return {(item.job, item.task): known[item.shape].memory for item in items}


def written(of: Plan, items: list[Claimed]) -> Mapping[tuple[int, int], int]:
    return {(item.job, item.task): shape_of(of, item.task, item.job).memory for item in items}


def run_to_end(world: World, of: Plan, limit: int = 40) -> list[Claimed]:
    """Do all that is left, each attempt of which asks for what `of` writes."""
    ran = []
    while items := claims(world, limit):
        assert memory_of(world, items) == written(of, items)
        assert {item.recipe for item in items} == {of.digest}
        world.start(items)
        world.end(items)
        ran += items
    return ran


@pytest.mark.parametrize(
    ("before", "after"), [(MODULO, OTHER), (FIXED, OTHER), (MODULO, FIXED), (MODULO, "{1 + (job + 1) % 2} GB")]
)
def test_each_attempt_from_then_on_asks_for_what_is_written_for_its_job(world: World, before: str, after: str) -> None:
    old, new = plan(150, before, before), plan(150, after, after)
    dataset = world.submit(old)
    ended, running = claims(world, 30), claims(world, 30)
    world.end(ended)
    world.start(running)
    world.act("hold", f"{dataset}/100")
    rows = {(row.job, row.task): row for row in world.rows()}
    found = edit(world, dataset, new)
    assert (found.revision, found.what.refusals) == (2, ())
    assert {(row.job, row.task): row for row in world.rows()} == rows  # no row changes, however many there are
    assert world.faults() == []
    world.end(running)
    run_to_end(world, new)
    assert world.faults() == []
    world.act("release", f"{dataset}/100")
    run_to_end(world, new)
    assert world.status(str(dataset))["state"] == "done"
    assert len(world.ledger()) == 300


def test_a_claim_gives_new_numbers_to_about_as_many_as_it_asks_for(world: World) -> None:
    dataset = world.submit(plan(500, FIXED, MODULO))
    while len(world.ledger()) < 500:
        world.end([item for item in claims(world, 500) if item.task == 0][:500])
    waiting = {row.job: row.shape for row in world.rows() if row.task == 1}
    edit(world, dataset, plan(500, FIXED, OTHER))
    world.claim(10)
    now = {row.job: row.shape for row in world.rows() if row.task == 1}
    assert sum(now[job] != shape for job, shape in waiting.items()) <= 2 * 64  # of each kind that there was
    assert world.faults() == []


def test_a_parameter_by_which_needs_follow_from_the_job_is_edited(world: World) -> None:
    old = plan(80, "{size * (1 + job % 2)} GB", parameters={"size": 2})
    new = replace(old, parameters={"size": 3})
    dataset = world.submit(old)
    world.end(claims(world, 20))
    found = edit(world, dataset, new)
    assert [change.what for change in found.what.changes] == ["parameter size"]
    assert "worked out for each one" in found.what.notes[0]
    run_to_end(world, new)


def test_a_raised_one_is_told_from_one_that_was_written_so(world: World) -> None:
    """Job 0 was raised to 8 GB before, job 1 asked for 8 GB: the first keeps it, the second asks for what is written."""
    dataset = world.submit(plan(2, "{2 if job == 0 else 8} GB"))
    items = claims(world, 2)
    for _ in range(2):
        out = [item for item in items if item.job == 0]
        world.end(out, Reason.MEMORY, usage=Usage(wall=1.0, memory=memory_of(world, out)[0, 0]))
        if memory_of(world, out)[0, 0] >= 4 * GB:
            break
        items += [item for item in claims(world, 1) if item.job == 0]
        items = [item for item in items if item.job == 1 or item.attempt == 2]
    world.end([item for item in items if item.job == 1], Reason.LOST)
    raised = {row.job: row.shape for row in world.rows() if row.task == 0}
    edit(world, dataset, plan(2, "{1 + job} GB"))
    again = claims(world, 2)
    found = memory_of(world, again)
    assert found[1, 0] == Shape(memory=2 * GB).rounded().memory
    assert found[0, 0] >= 8 * GB
    assert raised.keys() == {0, 1}
    world.end(again, Reason.LOST)
    edit(world, dataset, plan(2, "{40 + job} GB"), since=2)
    assert memory_of(world, claims(world, 2)) == written(plan(2, "{40 + job} GB"), again)


def test_failed_tasks_are_tried_again_with_what_the_edit_asks_for(world: World) -> None:
    old = replace(plan(6, MODULO), tasks=(asking("a", MODULO, retry=Retry(tries=1)),))
    new = replace(old, tasks=(asking("a", OTHER, retry=Retry(tries=1)),))
    dataset = world.submit(old)
    world.end(claims(world, 6), Reason.EXIT, exit=1)
    edit(world, dataset, new)
    assert world.status(f"{dataset}/4/a#1")["shape"]["memory"] == shape_of(old, 0, 4).memory
    world.act("retry", str(dataset))
    assert world.status(f"{dataset}/4/a")["shape"]["memory"] == shape_of(new, 0, 4).memory
    assert len(run_to_end(world, new)) == 6


def test_processes_that_do_not_know_of_an_edit_yet_leave_nothing_behind(world: World) -> None:
    """One reports by the old revision: what it lets go on has an old number, and gets a new one when it is claimed."""
    old, new = plan(100, MODULO, MODULO), plan(100, OTHER, OTHER)
    dataset = world.submit(old)
    running = claims(world, 30)
    other = Contexts()
    with world.database.read() as tx:
        other.one(tx, dataset)
        stale = world.chooser.look(tx, other, world.clock())
    edit(world, dataset, new)
    ended = [report.Ended(key(item), world.outcome(item, Reason.OK, "")) for item in running]
    batch = [report.Batch(world.engine, [], ended)]
    world.database.run(lambda tx: report.report_many(tx, other, batch, world.clock(), lambda: 0.5, world.lessons))
    freed = {row.job: row.shape for row in world.rows() if row.task == 1}
    assert freed == {item.job: number_of(shape_of(old, 1, item.job)) for item in running}
    asked = claim.Asked(world.engine, Offer(BIG, "here"), 20, 77)
    assert world.database.run(lambda tx: claim.claim_many(tx, other, [asked], stale, world.clock())[0]) == []
    assert world.faults() == []
    assert len(run_to_end(world, new)) == 200 - 30


def test_a_dataset_that_is_copied_for_a_question_asks_for_what_is_written_now(world: World) -> None:
    dataset = world.submit(plan(50, MODULO))
    world.end(claims(world, 10))
    edit(world, dataset, plan(50, FIXED))
    with world.database.read() as tx:
        found = snapshot.snapshot(tx, world.contexts, world.contexts.one(tx, dataset), world.clock())
    (first, second) = found["tasks"]
    shape = shape_of(plan(50, FIXED), 0, 0)
    assert asked_for(number_of(shape), shape, Learnt.from_text(first["needs"])) == shape
    assert second["needs"] is None


EDITS: tuple[Callable[[Plan], Plan], ...] = tuple(
    lambda old, memory=memory, number=number: replace(
        old,
        tasks=tuple(
            asking(of.name, memory, *of.after, retry=RETRY) if n == number else of for n, of in enumerate(old.tasks)
        ),
    )
    for number in (0, 1)
    for memory in (MODULO, OTHER, FIXED, "5 GB", "{2 * (1 + job % 4)} GB")
)


@pytest.mark.parametrize("seed", [2, 3])
def test_whatever_is_edited_in_whatever_order_each_asks_for_what_is_written_last(world: World, seed: int) -> None:
    """Edits between claims, reports, lost leases and tasks that are out of memory.

    What a task was raised to is kept, unless a revision wrote as much for it: then that was written, and is written no more.
    """
    chance = random.Random(seed)
    of = plan(60, chance.choice((MODULO, FIXED)), chance.choice((MODULO, FIXED)))
    dataset, revision, open_ = world.submit(of), 1, list[Claimed]()
    raised: dict[tuple[int, int], int] = {}
    plans = [of]
    for _ in range(50):
        step = chance.random()
        if step < 0.2:
            new = chance.choice(EDITS)(of)
            done = edit(world, dataset, new, since=revision)
            of, revision = (new, done.revision) if done.changed else (of, revision)
            plans.append(of)
        elif step < 0.6:
            items = world.claim(chance.randrange(1, 12))
            for place, memory in memory_of(world, items).items():
                least, most = shape_of(of, place[1], place[0]).memory, raised.get(place, 0)
                once = most <= max(shape_of(plan, place[1], place[0]).memory for plan in plans)
                assert memory == max(least, most) or (once and memory == least), place
            open_ += items
        elif open_:
            chance.shuffle(open_)
            ending, open_ = open_[:6], open_[6:]
            out = ending[:1] if chance.random() < 0.4 else []
            for item in out:
                (memory,) = memory_of(world, [item]).values()
                world.end([item], Reason.MEMORY, usage=Usage(wall=1.0, memory=memory))
                raised[item.job, item.task] = carried(world, item)
            world.end(ending[len(out) :], chance.choice((Reason.OK, Reason.OK, Reason.LOST)))
        if step < 0.2:
            assert world.faults() == []
    world.end(open_)
    while items := claims(world, 50):
        world.end(items)
    assert world.status(str(dataset))["state"] == "done"


def carried(world: World, item: Claimed) -> int:
    """The memory that a task was raised to."""
    (row,) = [row for row in world.rows() if (row.job, row.task) == (item.job, item.task)]
    with world.database.read() as tx:
        return world.contexts.book.shapes(tx, [row.shape])[row.shape].memory


@pytest.mark.parametrize("edited", [False, True])
def test_needs_that_cannot_be_worked_out_for_one_job_fail_its_task_alone(world: World, edited: bool) -> None:
    """The check of a recipe tries a sample of jobs: one beyond must not keep every claim from being answered."""
    wrong, right = plan(151, MODULO, MODULO), plan(151, FIXED, MODULO)
    wrong = replace(
        wrong, tasks=tuple(replace(of, needs={"memory": "{1 + 12 // abs(job - 150)} GB"}) for of in wrong.tasks)
    )
    dataset = world.submit(right if edited else wrong)
    if edited:
        world.end(claims(world, 10))
        edit(world, dataset, wrong)
    while items := claims(world, 40):
        world.end(items)
    status = world.status(str(dataset))
    assert (status["tasks"]["failed"], status["tasks"]["waiting"], status["jobs"]["failed"]) == (1, 1, 1)
    failed = world.status(f"{dataset}/150/a")
    assert "cannot be worked out" in failed["reason"]
    assert failed["shape"] is None
    assert world.faults() == []
    edit(world, dataset, right, since=2 if edited else 1)
    world.act("retry", str(dataset))
    assert len(run_to_end(world, right)) == 2
    assert world.status(str(dataset))["state"] == "done"
