"""Datasets that were split off others are edited by the recipe of whole jobs, on both databases, and divided as they were."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nunatak.core.errors import Conflict, Invalid
from nunatak.datasets import store
from nunatak.datasets.expand import expand, shape_of
from nunatak.datasets.manifest import Manifest
from nunatak.datasets.plan import Plan
from nunatak.datasets.recipe import compile_recipe
from nunatak.datasets.rewrite import Written
from nunatak.tasks import editing, unfold
from nunatak.tasks.editing import Edit, Edited
from nunatak.tasks.pieces import pieces_of, rewrite_pieces
from tests.contract.test_editing_needs import claims
from tests.contract.world import World

GB = 1_000_000_000
RECIPE = """\
name: long
jobs: 40
foreach: {kind: [p, e]}
parameters: {events: 600, tag: x}
tasks:
  generate:
    run: make {kind} {events} {tag}
    splittable: events
    needs: {memory: 2 GB, time: 10 h}
    learn: off
  filter:
    after: generate
    run: filter {events}
    needs: {memory: "{1 + job % 2} GB"}
"""


def submit(world: World, text: str = RECIPE, **parameters: str) -> int:
    plan = compile_recipe(text, filename="r.yaml", manifest=Manifest(), parameters=parameters)
    given = {"source": text, "filename": "r.yaml", "owner": "alice", "team": "", "now": world.clock()}
    return world.database.run(lambda tx: unfold.submit(tx, world.contexts, plan, **given))


def plan_of(world: World, dataset: int) -> Plan:
    with world.database.read() as tx:
        return world.contexts.one(tx, dataset).plan


def edit(world: World, dataset: int, text: str, *, apply: bool = True, **parameters: str) -> Edited:
    """Edit as the API does."""
    with world.database.read() as tx:
        row = store.DATASET(tx, dataset=dataset)[0]
        source, pieces = store.RECIPE(tx, digest=row.recipe)[0].source, pieces_of(tx, dataset)
    assert pieces
    written, edited = (Written(said, "r.yaml", Manifest()) for said in (source, text))
    made = rewrite_pieces(plan_of(world, dataset), written, edited, parameters, pieces)
    given = Edit(made, text, "r.yaml", "alice", row.revision)
    return world.database.run(lambda tx: editing.edit(tx, world.contexts, dataset, given, world.clock(), apply=apply))


def words(plan: Plan, job: int, task: int = 0) -> tuple[str, ...]:
    where = {"dataset": 1, "attempt": 1, "lease": "", "store": "file:///s", "blobs": "file:///b"}
    return expand(plan, job=job, task=task, **where).commands[0].argv


@pytest.mark.parametrize("n", [4, 7])
def test_what_is_edited_of_whole_jobs_holds_for_their_pieces_and_all_ends_right(world: World, n: int) -> None:
    old = submit(world)
    world.end(world.claim(11))
    dataset = world.split(old, n).made
    before, jobs = plan_of(world, dataset), plan_of(world, dataset).jobs
    first = claims(world, 30)
    world.end([item for item in first if item.dataset == dataset])
    new = RECIPE.replace("memory: 2 GB", "memory: 4 GB").replace("10 h", "20 h").replace("% 2", "% 3")
    told = edit(world, dataset, new, apply=False)
    assert (told.what.refusals, told.changed) == ((), True)
    assert [(change.task, change.what) for change in told.what.changes] == [("generate", "needs"), ("filter", "needs")]
    assert f"one of {n} pieces" in told.what.notes[0]
    edit(world, dataset, new)
    after = plan_of(world, dataset)
    assert (after.jobs, after.items, after.name) == (jobs, before.items, before.name)
    shape = shape_of(after, 0, 0)
    assert (shape.memory // GB, shape.time) == (4, -(-20 * 3600 // n // 60) * 60 if n == 7 else 20 * 3600 // n)
    assert [words(after, job) for job in range(jobs)] == [words(before, job) for job in range(jobs)]
    world.end([item for item in first if item.dataset == old])
    world.act("hold", str(old))
    while items := claims(world, 60):
        with world.database.read() as tx:
            found = world.contexts.book.shapes(tx, {item.shape for item in items})
        assert all(found[item.shape].memory == shape_of(after, item.task, item.job).memory for item in items)
        world.end(items)
    assert world.status(str(dataset))["state"] == "done"


def test_the_same_text_is_no_change_and_what_was_set_beside_the_recipe_stays(world: World) -> None:
    old = submit(world, events="900", tag="y")
    dataset = world.split(old, 4).made
    assert edit(world, dataset, RECIPE).changed is False
    edit(world, dataset, RECIPE.replace("make", "better"))
    assert words(plan_of(world, dataset), 0) == ("better", "p", "225", "y")
    assert edit(world, dataset, RECIPE.replace("make", "better")).changed is False
    edit(world, dataset, RECIPE.replace("make", "better"), events="1000")
    assert words(plan_of(world, dataset), 0) == ("better", "p", "250", "y")
    edit(world, dataset, RECIPE.replace("make", "best"))
    assert words(plan_of(world, dataset), 0) == ("best", "p", "250", "y")


def test_pieces_of_pieces_are_divided_twice(world: World) -> None:
    text = RECIPE.replace("jobs: 40", "jobs: 6")
    dataset = world.split(world.split(submit(world, text), 4).made, 7).made
    with world.database.read() as tx:
        assert pieces_of(tx, dataset) == (4, 7)
    before = [words(plan_of(world, dataset), job) for job in range(6 * 28)]
    assert edit(world, dataset, text).changed is False
    edit(world, dataset, text.replace("tag: x", "tag: y"))
    after = [words(plan_of(world, dataset), job) for job in range(6 * 28)]
    assert after == [(*said[:3], "y") for said in before]
    assert sum(int(said[2]) for said in after) == 6 * 600
    with pytest.raises(Invalid) as found:
        edit(world, dataset, text.replace("600", "601"))
    assert "601 has no 4 equal pieces" in found.value.problems[0].message
    assert (found.value.problems[0].path, found.value.problems[0].line) == ("parameters.events", 4)


@pytest.mark.parametrize(
    ("old", "new", "words", "place"),
    [
        ("    splittable: events\n", "", "says what may be divided", ("tasks.generate", 6)),
        ("events: 600", "events: 3", "has no 4 pieces", ("parameters.events", 4)),
        ("splittable: events", "splittable: more", "splittable is more", ("tasks.generate", 6)),
    ],
)
def test_what_can_no_longer_be_divided_is_refused_with_what_to_do(
    world: World, old: str, new: str, words: str, place
) -> None:
    dataset = world.split(submit(world, RECIPE.replace("tag: x", "tag: x, more: 8")), 4).made
    with pytest.raises(Invalid) as found:
        edit(world, dataset, RECIPE.replace("tag: x", "tag: x, more: 8").replace(old, new))
    (problem,) = found.value.problems
    assert words in problem.message
    assert "splittable: events" in problem.hint
    assert problem.path == place[0]
    assert problem.line in (place[1], place[1] + 1)


@pytest.mark.parametrize(("old", "new"), [("[p, e]", "[p, m]"), ("jobs: 40", "jobs: 41"), ("  filter:", "  sieve:")])
def test_what_no_dataset_may_change_these_may_not_either(world: World, old: str, new: str) -> None:
    dataset = world.split(submit(world), 4).made
    with pytest.raises(Conflict) as found:
        edit(world, dataset, RECIPE.replace(old, new))
    assert found.value.code == "cannot-change"


def test_who_edits_the_whole_is_told_of_the_recipe_of_the_pieces(world: World) -> None:
    old = submit(world)
    world.end(world.claim(5))
    dataset = world.split(old, 4).made
    plan = replace(plan_of(world, old), description="better")
    given = Edit(editing.Rewritten(plan, frozenset({40})), "x", "r.yaml", "alice", 1)
    told = world.database.run(lambda tx: editing.edit(tx, world.contexts, old, given, world.clock(), apply=False))
    assert f"nunatak edit {dataset}" in told.what.notes[0]
