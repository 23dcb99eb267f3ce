"""What a recipe says of other datasets, how an import reads it, and what the loop decides to do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.core.errors import Invalid
from nunatak.datasets.expand import expand
from nunatak.datasets.graph import Graph
from nunatak.datasets.plan import Follow, Plan, StoredFile
from nunatak.datasets.recipe import Manifest, compile_recipe
from nunatak.iceprod.importing import import_config
from nunatak.tasks.following_steps import Standing, Step, steps


def plan_of(text: str, **options: Any) -> Plan:
    return compile_recipe("name: x\njobs: 3\n" + text, filename="x.yaml", manifest=Manifest(), **options)


def follows_of(after: str, once: str = "") -> tuple[Follow, ...]:
    return plan_of(f"tasks:\n  a: {{run: x, after: {after}{once}}}\n  b: {{run: x}}\n").tasks[0].follows


@pytest.mark.parametrize(
    ("after", "found"),
    [
        ("41", [Follow(41)]),
        ('"41"', [Follow(41)]),
        ("41/detect", [Follow(41, "detect")]),
        ('"41/{job}/detect"', [Follow(41, "detect", each=True)]),
        ('"41/{job}/0"', [Follow(41, "0", each=True)]),
        ('["41/{job}/x", 7]', [Follow(41, "x", each=True), Follow(7)]),
    ],
)
def test_other_datasets_are_written_as_addresses(after: str, found: list[Follow]) -> None:
    assert list(follows_of(after)) == found
    assert list(follows_of(", ".join([after]))) == found
    assert Follow(41, "detect", each=True).__str__() == "41/{job}/detect"


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ("41/17/detect", "is a task of one job alone, and all jobs would wait for it"),
        ("41/0", "is no dataset, and no task of one"),
        ('"41/{job}"', "is no dataset, and no task of one"),
        ('"{nobody}/a"', '"nobody" is no parameter'),
        ('["41", 41]', '"41" is named twice'),
        ('"41/{job}/detect", once: true', 'a task done once a dataset has no job: "{job}" has no place'),
        ("0", "0 is not from 1"),
        ("[41.5]", "expected"),
        ("detekt", 'there is no task "detekt"'),
    ],
)
def test_what_is_no_dataset_is_said_with_its_place(after: str, said: str) -> None:
    with pytest.raises(Invalid) as caught:
        follows_of(after)
    (problem,) = caught.value.problems
    assert said in problem.message
    assert (problem.line, problem.path.split("[")[0]) == (4, "tasks.a.after")


def test_a_parameter_stands_for_the_number() -> None:
    text = 'parameters: {up: 0}\ntasks:\n  a: {run: x, after: "{up}/{job}/detect"}\n'
    assert plan_of(text, parameters={"up": "41"}).tasks[0].follows == (Follow(41, "detect", each=True),)
    for wrong in ("0", "true", "x", "1.5", "{job}"):
        with pytest.raises(Invalid, match=r"which is the number of no dataset|job"):
            plan_of(text, parameters={"up": wrong})


@pytest.mark.parametrize(
    ("top", "own"), [("", 'after: "{up}/{job}/d", '), ('after: "{up}"\n', "")], ids=["of the task", "of all"]
)
def test_outputs_are_read_from_the_dataset_that_the_parameter_of_after_names(top: str, own: str) -> None:
    inputs = '["{up}/{job}/d/x.npz", "{up}/t/t.npz", "{other}/t/beside.txt"]'
    text = f"{top}parameters: {{up: 41, other: 42}}\ntasks:\n  a: {{run: x, {own}inputs: {inputs}}}\n"
    manifest = Manifest({"42/t/beside.txt": StoredFile("ab" * 32, 1)})
    for up in ("41", "57"):
        plan = compile_recipe("name: x\n" + text, filename="x.yaml", manifest=manifest, parameters={"up": up})
        spec = expand(plan, dataset=60, job=0, task=0, attempt=1, lease="x", store="file:///s", blobs="file:///b")
        urls = [one.url for one in spec.inputs]
        assert urls[:2] == [f"file:///s/{up}/d/000/000000/x.npz", f"file:///s/{up}/t/t.npz"]
        assert urls[2].startswith("file:///b/")  # what no `after` names is a file beside the recipe, as ever


def test_what_the_recipe_comes_after_is_for_tasks_that_come_after_no_other() -> None:
    plan = plan_of(
        "after: [41, 42/x]\ntasks:\n  a: {run: x}\n  t: {run: x, once: true}\n  b: {run: x, after: [a, 43]}\n"
    )
    both = (Follow(41), Follow(42, "x"))
    assert [task.follows for task in plan.tasks] == [both, both, (Follow(43),)]
    with pytest.raises(Invalid, match='"a" is not of another dataset'):
        plan_of("after: a\ntasks:\n  a: {run: x}\n")


def test_plans_that_follow_nothing_are_written_as_before_and_others_are_read_back() -> None:
    plain = plan_of("tasks:\n  a: {run: x}\n")
    assert "follows" not in plain.text
    plan = plan_of('tasks:\n  a: {run: x, after: "41/{job}/d"}\n')
    assert Plan.from_plain(json.loads(plan.text)) == plan
    assert plan.alone().text.replace('"name":"x"', "") == plain.text.replace('"name":"x"', "")


def test_jobs_that_go_together_are_parents_and_datasets_are_gates() -> None:
    text = (
        'tasks:\n  a: {run: x, after: "41/{job}/d"}\n  b: {run: x, after: [a, 42]}\n  c: {run: x, after: 43/e}\n'
        "  t: {run: x, once: true, after: 44}\n"
    )
    graph = Graph(plan_of(text))
    assert graph.roots == (2,)
    assert [graph.pending(task) for task in (0, 1, 2)] == [1, 1, 0]
    assert graph.pending_once(3, 5) == 1
    assert graph.gates == ((), (-2,), (-3,), ())
    assert graph.open_tasks(frozenset()) == {0}
    assert graph.open_tasks(frozenset({-2, -3})) == {0, 1, 2}
    assert graph.sinks == (1, 2)


counts = st.integers(0, 6)


@given(st.booleans(), counts, counts, counts, counts, counts, counts, counts)
def test_every_step_brings_it_nearer(
    each: bool, done: int, needy: int, left: int, noted: int, seen: int, passed: int, total: int
) -> None:
    """It rests only where there is nothing to do, and nothing opens before what it waits for is there."""
    of = Standing(each, done, needy + left, needy, noted, seen, passed, total)
    found = steps(of)
    assert len(set(found)) == len(found)
    if not each:
        assert (Step.OPEN in found) == (needy + left == 0)
        assert (Step.ASK in found) == (left == 0 < needy)
        return
    assert (Step.TAKE in found) == (noted > 0)
    assert (Step.SWEEP in found) == (done > seen + noted)
    assert (Step.OPEN in found) == (not noted and done <= seen and passed >= total)


@given(st.data())
def test_job_by_job_everything_arrives_once(data: st.DataObject) -> None:
    """A model of the loop: ends are noted or missed, looks are broken off, and yet every job goes on once."""
    total = data.draw(st.integers(1, 8))
    others = total + data.draw(st.integers(0, 3))
    done: set[int] = set()
    arrivals: dict[int, bool] = {}
    gone: list[int] = []
    for job in data.draw(st.permutations(range(others))):
        done.add(job)
        if data.draw(st.booleans()):
            arrivals[job] = False
        for _ in range(data.draw(st.integers(0, 2))):
            look(done, arrivals, gone, total, others)
    for _ in range(3):
        look(done, arrivals, gone, total, others)
    assert sorted(gone) == list(range(total))


def look(done: set[int], arrivals: dict[int, bool], gone: list[int], total: int, others: int) -> None:
    taken = [job for job, is_taken in arrivals.items() if is_taken]
    passed = sum(job < total for job in taken)
    of = Standing(True, len(done), others - len(done), 0, len(arrivals) - len(taken), len(taken), passed, total)
    for step in steps(of):
        if step is Step.TAKE:
            new = [job for job, is_taken in arrivals.items() if not is_taken]
            gone += [job for job in new if job < total]
            arrivals.update(dict.fromkeys(new, True))
        elif step is Step.SWEEP:
            arrivals.update({job: False for job in done if job not in arrivals})
        else:
            assert step is Step.OPEN
            assert len(gone) == total


CONFIG: dict[str, Any] = {
    "version": 3.2,
    "tasks": [{"name": "a", "trays": [{"modules": [{"src": "/sw/a.py"}]}], "depends": ["41:gen x", "9f3e:det", "7:2"]}],
}


def test_an_import_names_other_datasets_by_their_numbers_here() -> None:
    made = import_config(json.dumps(CONFIG), datasets={"9f3e": 5})
    plan = compile_recipe(made.text, filename="x.yaml", manifest=Manifest())
    assert [str(follow) for follow in plan.tasks[0].follows] == ["41/{job}/gen_x", "5/{job}/det", "7/{job}/2"]
    said = [str(item) for item in made.findings]
    assert "9f3e:det is 5/{job}/det: the task det of the same job of dataset 5 here" in "".join(said)
    made = import_config(json.dumps(CONFIG), datasets={"9f3e": 0, "41": 0, "7": 0})
    assert compile_recipe(made.text, filename="x.yaml", manifest=Manifest()).tasks[0].follows == ()
    assert [item.kind for item in made.findings].count("dropped") == 3


def test_an_import_that_would_begin_too_early_is_refused() -> None:
    with pytest.raises(Invalid) as caught:
        import_config(json.dumps(CONFIG))
    (problem,) = caught.value.problems
    assert "--dataset 9f3e=NUMBER" in problem.hint
    assert problem.path == "tasks[0].depends[1]"
