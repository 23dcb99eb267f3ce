"""Recipes are edited while their datasets run, on both databases: claims before and after, what is learnt, who was first."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from sqlalchemy import select

from nunatak.core.errors import Conflict
from nunatak.core.work import Reason, Shape, Usage
from nunatak.datasets.plan import CommandPlan, Growth, Plan, Retry
from nunatak.datasets.rewrite import Rewritten
from nunatak.datasets.tables import events, revisions
from nunatak.tasks import claim, editing
from nunatak.tasks.context import Contexts
from nunatak.tasks.editing import Edit, Edited
from nunatak.tasks.sharing.fits import Offer
from nunatak.tasks.tables import attempts
from tests.contract.world import BIG, World, campaign, chain, key, task

GB = 1_000_000_000


def edit(world: World, dataset: int, plan: Plan, since: int = 1, *, apply: bool = True, actor: str = "alice") -> Edited:
    given = Edit(Rewritten(plan, frozenset({plan.jobs})), "edited", "r.yaml", actor, since)
    return world.database.run(lambda tx: editing.edit(tx, world.contexts, dataset, given, world.clock(), apply=apply))


def with_task(plan: Plan, number: int, **changes) -> Plan:
    tasks = list(plan.tasks)
    tasks[number] = replace(tasks[number], **changes)
    return replace(plan, tasks=tuple(tasks))


def asking(plan: Plan, number: int, shape: Shape) -> Plan:
    return with_task(plan, number, shape=shape.rounded(), needs={"memory": shape.memory, "cpu": shape.cpu})


def shapes(world: World, claimed) -> set[Shape]:
    with world.database.read() as tx:
        return set(world.contexts.book.shapes(tx, {item.shape for item in claimed}).values())


def ran_by(world: World) -> dict[tuple[int, int, int], int]:
    with world.database.read() as tx:
        return {(row.job, row.task, row.attempt): row.revision for row in tx.execute(select(attempts))}


def test_what_is_claimed_from_then_on_runs_by_the_new_revision_and_the_rest_is_left_alone(world: World) -> None:
    plan = chain(200, 2)
    dataset = world.submit(plan)
    done, running = world.claim(limit=10), world.claim(limit=10)
    world.start([*done, *running])
    world.end(done)
    before = {(row.job, row.task): row for row in world.rows()}
    new = with_task(asking(plan, 0, Shape(memory=4 * GB)), 1, commands=(CommandPlan(("better",)),))
    found = edit(world, dataset, new)
    assert (found.revision, found.changed) == (2, True)
    assert {(row.job, row.task): row for row in world.rows()} == before
    assert world.faults() == []
    world.end(running)
    fresh = world.claim(limit=30)
    assert {item.recipe for item in fresh} == {new.digest}
    assert {item.recipe for item in [*done, *running]} == {plan.digest}
    of_first = [item for item in fresh if item.task == 0]
    assert {shape.memory for shape in shapes(world, of_first)} == {Shape(memory=4 * GB).rounded().memory}
    world.end(fresh)
    found_in = ran_by(world)
    assert {found_in[item.job, item.task, item.attempt] for item in [*done, *running]} == {1}
    assert {found_in[item.job, item.task, item.attempt] for item in fresh} == {2}
    assert world.faults() == []
    world.run_to_end()
    assert world.status(str(dataset))["state"] == "done"
    assert world.faults() == []


def test_failed_tasks_are_tried_again_with_what_the_edit_asks_for(world: World) -> None:
    plan = Plan("p", 6, (task("a", retry=Retry(tries=1)),))
    dataset = world.submit(plan)
    world.end(world.claim(), Reason.EXIT, exit=1)
    assert world.status(str(dataset))["tasks"]["failed"] == 6
    edit(world, dataset, asking(plan, 0, Shape(cpu=2, memory=6 * GB)))
    world.act("retry", str(dataset))
    again = world.claim()
    assert len(again) == 6
    assert shapes(world, again) == {Shape(cpu=2, memory=6 * GB).rounded()}
    status = world.status(f"{dataset}/0/a#2")
    assert (status["revision"], status["shape"]["cpu"]) == (2, 2)
    assert world.status(f"{dataset}/0/a#1")["revision"] == 1
    world.end(again)
    assert world.faults() == []


def test_one_that_was_raised_keeps_what_it_was_raised_to_unless_more_is_written(world: World) -> None:
    retry = Retry(tries=5, delay=0.0, memory=Growth(2.0, 64 * GB))
    plan = Plan("p", 2, (task("a", shape=Shape(memory=4 * GB).rounded(), retry=retry),))
    dataset = world.submit(plan)
    first = world.claim()
    world.end(first[:1], Reason.MEMORY, usage=Usage(wall=1.0, memory=4 * GB))
    edit(world, dataset, asking(plan, 0, Shape(cpu=3, memory=2 * GB)))
    raised = world.claim()
    assert {(shape.cpu, shape.memory >= 8 * GB) for shape in shapes(world, raised)} == {(3, True)}
    edit(world, dataset, asking(plan, 0, Shape(memory=20 * GB)), since=2)
    world.end(raised, Reason.LOST)
    (one,) = shapes(world, world.claim())
    assert (one.cpu, one.memory) == (1, Shape(memory=20 * GB).rounded().memory)
    assert world.faults() == []


def test_what_is_written_anew_counts_in_place_of_what_was_learnt_and_is_learnt_from_again(world: World) -> None:
    plan = Plan("p", 400, (task("a", shape=Shape(memory=8 * GB, time=7200).rounded(), learn="within"),))
    dataset = world.submit(plan)
    used = Usage(wall=60.0, memory=GB, disk=10**8)
    for _ in range(3):
        world.end(world.claim(limit=20), usage=used)
    (learnt,) = shapes(world, world.claim(limit=1))
    assert learnt.memory < 3 * GB
    edit(world, dataset, asking(plan, 0, Shape(memory=5 * GB, time=7200)))
    items = world.claim(limit=5)
    assert {shape.memory for shape in shapes(world, items)} == {Shape(memory=5 * GB).rounded().memory}
    for _ in range(4):
        items = world.claim(limit=40)
        world.end(items, usage=used)
    (again,) = shapes(world, world.claim(limit=1))
    assert again.memory < 3 * GB
    assert world.faults() == []


def test_another_process_that_knew_the_old_revision_claims_by_the_new_one(world: World) -> None:
    plan = chain(50, 2)
    dataset = world.submit(plan)
    other = Contexts()
    asked = claim.Asked(world.engine, Offer(BIG, "here"), 4, 77)
    with world.database.read() as tx:
        other.one(tx, dataset)
        stale = world.chooser.look(tx, other, world.clock())
    new = asking(plan, 0, Shape(memory=9 * GB))
    edit(world, dataset, new)
    taken = world.database.run(lambda tx: claim.claim_many(tx, other, [asked], stale, world.clock())[0])
    assert taken == []  # its look is older than the edit: what it would ask for is not what is written

    def again(moves):
        return world.chooser.look(tx_of[0], other, world.clock(), moves)

    tx_of = []

    def work(tx):
        tx_of[:] = [tx]
        return claim.claim_many(tx, other, [replace(asked, lease=78)], stale, world.clock(), None, again)[0]

    taken = world.database.run(work)
    assert {item.recipe for item in taken} == {new.digest}
    assert {shape.memory for shape in shapes(world, taken)} == {Shape(memory=9 * GB).rounded().memory}
    assert world.faults() == []


def test_one_who_comes_late_is_told_and_the_same_edit_sent_twice_is_done_once(world: World) -> None:
    plan = chain(5, 2)
    dataset = world.submit(plan)
    mine, other = (with_task(plan, 0, commands=(CommandPlan((word,)),)) for word in ("mine", "other"))
    edit(world, dataset, mine)
    repeated = edit(world, dataset, mine)
    assert (repeated.revision, repeated.changed) == (2, False)
    with pytest.raises(Conflict) as late:
        edit(world, dataset, other)
    assert (late.value.code, late.value.data["revision"]) == ("changed", 2)
    assert "--against 1" in late.value.hint
    told = edit(world, dataset, other, since=2, apply=False)
    assert (told.revision, told.changed) == (2, True)
    with world.database.read() as tx:
        assert [row.revision for row in tx.execute(select(revisions).order_by(revisions.c.revision))] == [1, 2]
        verbs = [row.verb for row in tx.execute(select(events))]
    assert verbs.count("edit") == 1


def test_two_edits_at_once_and_claims_beside_them_leave_one_winner_and_no_fault(world: World) -> None:
    plan = chain(300, 2)
    dataset = world.submit(plan)
    results: list[str] = []
    barrier = threading.Barrier(3)

    def edits(word: str) -> None:
        barrier.wait()
        try:
            edit(world, dataset, asking(with_task(plan, 1, commands=(CommandPlan((word,)),)), 0, Shape(memory=3 * GB)))
            results.append(word)
        except Conflict as error:
            results.append(error.code)

    def claims() -> None:
        barrier.wait()
        for _ in range(6):
            world.end(world.claim(limit=20))

    threads = [threading.Thread(target=edits, args=(word,)) for word in ("one", "two")]
    threads.append(threading.Thread(target=claims))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert min(results) == "changed"
    assert len(results) == 2
    assert world.faults() == []
    world.run_to_end()
    assert world.faults() == []
    assert set(ran_by(world).values()) <= {1, 2}


def test_tasks_that_gather_and_gates_go_on_as_they_were(world: World) -> None:
    plan = campaign(5)
    dataset = world.submit(plan)
    world.end(world.claim())
    edit(world, dataset, asking(plan, 3, Shape(memory=3 * GB)))
    assert world.faults() == []
    world.run_to_end()
    assert world.status(str(dataset))["state"] == "done"
    assert world.faults() == []


def test_what_cannot_be_changed_is_refused_and_nothing_is_written(world: World) -> None:
    plan = campaign(3)
    dataset = world.submit(plan)
    other = replace(plan, tasks=(*plan.tasks, task("more")))
    with pytest.raises(Conflict) as found:
        edit(world, dataset, other)
    assert found.value.code == "cannot-change"
    assert "cannot be added" in found.value.problems[0].message
    assert world.status(str(dataset))["revision"] == 1


def test_revisions_say_what_was_done_under_them(world: World) -> None:
    plan = chain(4, 1)
    dataset = world.submit(plan)
    world.end(world.claim(limit=1))
    live = world.claim(limit=2)
    edit(world, dataset, with_task(plan, 0, commands=(CommandPlan(("x",)),)))
    world.end(live)
    with world.database.read() as tx:
        rows = editing.datasets_store.REVISIONS(tx, dataset=dataset)
        found = editing.by_revision(rows, {"done": world.status(str(dataset))["tasks"]["done"]})
    assert found == [
        {"revision": 1, "done": 1, "began_before": 0, "to_do": 0},
        {"revision": 2, "done": 2, "began_before": 2, "to_do": 0},
    ]
    assert {key(item)[1] for item in live} == {1, 2}
