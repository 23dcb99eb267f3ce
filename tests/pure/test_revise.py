"""What an edited recipe may change of a dataset that exists, and what is asked for then."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.core.work import Shape
from nunatak.datasets.changes import gathered
from nunatak.datasets.manifest import Among, Manifest
from nunatak.datasets.plan import Plan, StoredFile
from nunatak.datasets.reach import reach
from nunatak.datasets.recipe import compile_recipe
from nunatak.datasets.revise import Revision, Standing, revise
from nunatak.datasets.rewrite import Written, rewrite
from nunatak.tasks.asking import Learnt, asked_for, revised
from nunatak.tasks.shapes import number_of

RECIPE = """\
name: muons
jobs: 10
parameters: {events: 100, tag: a}
files: [sim.py]
tasks:
  generate:
    run: python sim.py --events {events} {output}
    outputs: ["{tag}.bin"]
    needs: {memory: 2 GB, time: 1 h}
  filter:
    after: generate
    inputs: ["generate/{tag}.bin"]
    run: python sim.py {input} {outputs[0]}
    outputs: [small.bin]
"""
FILES = {"sim.py": StoredFile("1" * 64, 10)}
DONE = {name: Standing(done=3) for name in ("generate", "filter")}
NOTHING = {name: Standing(free=False) for name in ("generate", "filter")}


def plan(text: str = RECIPE, files: dict[str, StoredFile] = FILES, **more) -> Plan:
    return compile_recipe(text, filename="r.yaml", manifest=Manifest(files, Among(files)), **more)


def edited(old: str, new: str, standing: dict[str, Standing] = DONE) -> Revision:
    assert old in RECIPE
    return revise(plan(), plan(RECIPE.replace(old, new)), standing, frozenset({10}))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("memory: 2 GB", "memory: 4 GB", "generate needs: 1 CPU, 2.05 GB"),
        ("--events {events}", "--fast --events {events}", "generate run: "),
        ("events: 100", "events: 50", "parameter events: 100 -> 50"),
        (
            "    outputs: [small.bin]",
            "    outputs: [small.bin]\n    retry: {tries: 7}",
            "filter retry: tries 3, insist false -> tries 7",
        ),
        (
            "    outputs: [small.bin]",
            "    outputs: [small.bin]\n    environment: {variables: {A: b}}",
            "filter environment: nothing -> A b",
        ),
        ("name: muons", "name: neutrinos", "name: muons -> neutrinos"),
    ],
)
def test_what_may_change_is_told_and_nothing_is_refused(old: str, new: str, said: str) -> None:
    found = edited(old, new)
    assert found.refusals == ()
    assert any(change.text.startswith(said) for change in found.changes), [change.text for change in found.changes]


def test_what_changes_alike_in_several_tasks_is_told_once() -> None:
    told = edited("name: muons", "name: muons\nretry: {memory: x3 up to 9 GB}")
    assert [change.task for change in told.changes] == ["generate", "filter"]
    (one,) = gathered(told.changes)
    assert one.text == (
        "generate, filter retry: memory.factor 2.0, memory.most 0 -> memory.factor 3.0, memory.most 9000000000"
    )


@pytest.mark.parametrize(
    ("old", "new", "path", "words"),
    [
        ("  filter:", "  sieve:", "tasks.filter", "cannot be taken out or renamed"),
        ("    after: generate\n    inputs: [\"generate/{tag}.bin\"]\n    run: python sim.py {input}", "    run: true",
         "tasks.filter.after", "what waits for what"),
        ("jobs: 10", "jobs: 20", "jobs", "it says 20"),
        ("jobs: 10", "foreach: [a, b]\njobs: 5", "foreach", "other items"),
        ("[small.bin]", "[tiny.bin]", "tasks.filter.outputs", "3 tasks of that name are done"),
        ("tag: a", "tag: b", "tasks.generate.outputs", "would be another"),
    ],
)  # fmt: skip
def test_what_cannot_change_says_where_why_and_what_to_do(old: str, new: str, path: str, words: str) -> None:
    found = edited(old, new)
    refusal = next(item for item in found.refusals if item.path == path)
    assert words in refusal.message
    assert refusal.hint


def test_needs_that_depend_on_the_job_are_worked_out_anew() -> None:
    found = edited("memory: 2 GB", 'memory: "{2 + job} GB"')
    assert (found.refusals, found.anew, found.reshaped) == ((), (0,), ())
    assert "depends on the job" in found.notes[0]
    by_size = RECIPE.replace("tag: a", "tag: a, size: 2").replace("memory: 2 GB", 'memory: "{size + job} GB"')
    old, larger = plan(by_size), plan(by_size.replace("size: 2", "size: 3"))
    found = revise(old, larger, DONE, frozenset({10}))
    assert (found.refusals, found.anew, [change.what for change in found.changes]) == ((), (0,), ["parameter size"])
    assert revise(old, plan(by_size.replace("events: 100", "events: 9")), DONE, frozenset({10})).anew == ()
    assert revise(old, plan(), DONE, frozenset({10})).notes == ()


def test_outputs_may_be_mended_while_none_stands_and_nothing_can_begin() -> None:
    assert edited("[small.bin]", "[tiny.bin]", NOTHING).refusals == ()
    for standing in (Standing(live=1), Standing(free=True)):
        found = edited("[small.bin]", "[tiny.bin]", {**NOTHING, "filter": standing})
        assert "hold the dataset" in found.refusals[0].hint


def test_an_output_may_be_added_where_nobody_reads_it() -> None:
    found = edited("[small.bin]", "[small.bin, more.bin]")
    assert (found.refusals, len(found.notes)) == ((), 1)
    assert "they have no more.bin" in found.notes[0]


def test_tasks_keep_their_numbers_in_whatever_order_they_are_written() -> None:
    old = plan("name: x\ntasks:\n  a: {run: one}\n  b: {run: two}\n")
    found = revise(old, plan("name: x\ntasks:\n  b: {run: three}\n  a: {run: one}\n"), {}, frozenset({1}))
    assert [task.name for task in found.plan.tasks] == ["a", "b"]
    assert [change.task for change in found.changes] == ["b"]


def test_the_same_text_is_no_change() -> None:
    found = edited("jobs: 10", "jobs:   10")
    assert (found.changes, found.refusals, found.plan.digest) == ((), (), plan().digest)


def test_files_are_kept_and_what_was_set_beside_the_recipe_stays() -> None:
    present = plan(parameters={"events": "7"}, jobs=500)
    written = Written(RECIPE, "r.yaml", Manifest(FILES))
    text = RECIPE.replace("2 GB", "3 GB")
    made = rewrite(present, written, Written(text, "r.yaml", Manifest()), {})
    assert made.plan.parameters == {"events": 7, "tag": "a"}
    assert made.plan.files == FILES
    assert made.jobs == {500, 10}
    assert [change.what for change in revise(present, made.plan, DONE, made.jobs).changes] == ["needs"]
    other = rewrite(present, written, Written(text.replace("events: 100", "events: 9"), "r.yaml", Manifest()), {})
    assert other.plan.parameters["events"] == 9
    new = rewrite(present, written, Written(text, "r.yaml", Manifest({"sim.py": StoredFile("2" * 64, 11)})), {})
    assert [change.what for change in revise(present, new.plan, DONE, new.jobs).changes] == ["file sim.py", "needs"]


GB = 1_000_000_000
amounts = st.integers(1, 64).map(lambda n: n * 64_000_000)


@given(base=amounts, first=amounts, second=amounts, learnt=st.none() | amounts, raised=amounts)
def test_what_a_person_writes_counts_and_what_a_task_was_raised_to_holds(
    base: int, first: int, second: int, learnt: int | None, raised: int
) -> None:
    shapes = [Shape(memory=amount) for amount in (base, first, second)]
    told = Learnt(number_of(shapes[0]), memory=learnt, wall=5.0)
    for shape in shapes[1:]:
        told = Learnt.from_text(revised(shapes[0], told, shape).to_text())
    plain = asked_for(number_of(shapes[0]), shapes[0], told)
    kept = learnt if learnt is not None and base == first == second else None
    assert plain.memory == (second if kept is None else kept)
    assert told.wall == 5.0
    one = replace(shapes[0], memory=raised)
    if raised not in (base, first):
        assert asked_for(number_of(one), one, told).memory == max(raised, second, kept or 0)


def test_of_a_raised_task_everything_else_is_as_it_is_written_now() -> None:
    base, now = Shape(memory=2 * GB, time=3600), Shape(cpu=4, gpu=1, memory=3 * GB, time=1800, features=("avx",))
    told = revised(base, None, now)
    raised = replace(base, memory=8 * GB)
    assert asked_for(number_of(raised), raised, told) == replace(now, memory=8 * GB)


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ({}, ["0 tasks to do will run by it"]),
        ({"waiting": 2, "ready": 1, "held": 1}, ["4 tasks to do will run by it"]),
        ({"ready": 1, "failed": 1}, ["1 task to do will run by it", "1 failed task will when tried again"]),
        (
            {"queued": 1, "done": 1, "failed": 0},
            ["0 tasks to do will run by it", "1 task under way goes on as it began", "1 task done stays as it is"],
        ),
        (
            {"queued": 1, "running": 2, "done": 3},
            ["0 tasks to do will run by it", "3 tasks under way go on as they began", "3 tasks done stay as they are"],
        ),
    ],
)
def test_it_is_told_for_which_tasks_an_edit_holds(tasks: dict[str, int], said: list[str]) -> None:
    assert reach(tasks) == said
