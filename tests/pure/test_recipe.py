"""A recipe's text to a plan: defaults, order, foreach, environments, YAML 1.2, and the published schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nunatak.core.errors import Invalid
from nunatak.core.work import Shape
from nunatak.datasets.functions import FUNCTIONS
from nunatak.datasets.gather import gather
from nunatak.datasets.plan import Growth, Plan, Retry, StoredFile
from nunatak.datasets.recipe import Manifest, compile_recipe
from nunatak.datasets.run_recipe import recipe_for_run
from nunatak.datasets.schema import ENVIRONMENT, NEEDS, RECIPE, RETRY, TASK, json_schema, json_schema_text
from nunatak.datasets.yaml_source import LONGEST_KEY, parse

DESIGN = """\
name: atmospheric muons
jobs: 200
parameters: {events: 5000, seed: "{dataset}{job:06d}"}
tasks:
  generate:
    run: python generate.py --events {events} --seed {seed} --out muons.parquet
    files: [generate.py]
    outputs: [muons.parquet]
    needs: {cpu: 1, memory: 1 GB, disk: 1 GB, time: 10 min}
  propagate:
    after: generate
    inputs: [generate/muons.parquet]
    run: python propagate.py muons.parquet light.parquet
    outputs:
      - light.parquet -> {store}/{dataset}/{job:06d}.parquet
    needs: {memory: 2 GB, time: 1 h}
    retry: {tries: 5, memory: x2 up to 16 GB}
"""
REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def plan_of(text: str, **options: Any) -> Plan:
    return compile_recipe("name: x\n" + text, filename="x.yaml", manifest=Manifest(), **options)


def test_the_recipe_of_the_design_is_accepted_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "generate.py").write_text("print()")
    manifest = gather(DESIGN, tmp_path, "muons.yaml")
    plan = compile_recipe(DESIGN, filename="muons.yaml", manifest=manifest)
    assert (plan.name, plan.jobs, [task.name for task in plan.tasks]) == (
        "atmospheric muons",
        200,
        ["generate", "propagate"],
    )
    assert plan.tasks[0].shape == Shape(1, 0, 1024000000, 1024000000, 600)
    propagate = plan.tasks[1]
    assert propagate.after == ("generate",)
    assert propagate.retry == Retry(5, insist=True, memory=Growth(2.0, 16 * 10**9))
    assert Plan.from_plain(json.loads(plan.text)) == plan
    assert Plan.from_plain(json.loads(plan.text)).digest == plan.digest


def test_parents_come_first_else_the_order_of_the_file_is_kept() -> None:
    plan = plan_of(
        """
tasks:
  analyze: {once: true, run: a, inputs: [filter/f]}
  other: {run: a}
  filter: {run: a, inputs: [tables/t, generate/g], outputs: [f]}
  generate: {run: a, after: tables, outputs: [g]}
  tables: {run: a, once: true, outputs: [t]}
"""
    )
    assert [task.name for task in plan.tasks] == ["other", "tables", "generate", "filter", "analyze"]
    assert plan.tasks[plan.number("filter")].after == ("tables", "generate")
    assert plan.tasks[plan.number("analyze")].after == ("filter",)


def test_a_task_inherits_settings_key_by_key() -> None:
    plan = plan_of(
        """
needs: {memory: 4 GB, cpu: 2}
retry: {tries: 7, delay: 1 min}
environment: {image: "docker://a", variables: {A: 1, B: 2}}
tasks:
  a:
    run: x
    needs: {cpu: 8}
    retry: {tries: 2}
    environment: {variables: {B: 3, C: true}}
"""
    )
    task = plan.tasks[0]
    assert task.shape is not None
    assert (task.shape.cpu, task.shape.memory) == (8, 4032000000)
    assert (task.retry.tries, task.retry.delay) == (2, 60.0)
    assert (task.image, task.variables) == ("docker://a", {"A": "1", "B": "3", "C": "true"})


def test_needs_that_differ_between_jobs_have_no_fixed_shape() -> None:
    text = 'tasks:\n  a: {{run: x, needs: {{memory: "{}", features: [avx2, cvmfs]}}}}\nparameters: {{m: 3, n: "{{job}}"}}\n'
    assert plan_of(text.format("{m} GB")).tasks[0].shape == Shape(
        memory=3008000000, disk=1024000000, features=("avx2", "cvmfs")
    )
    assert plan_of(text.format("{job+1} GB")).tasks[0].shape is None
    assert plan_of(text.format("{int(n)+1} GB")).tasks[0].shape is None
    assert plan_of(text.format("{jobs+1} GB")).tasks[0].shape is None


def test_foreach_over_a_list_gives_one_job_an_item() -> None:
    plan = plan_of("foreach: [proton, iron]\njobs: 3\ntasks: {a: {run: 'x {item} {repetition}'}}\n")
    assert plan.jobs == 6
    assert plan.items == ({"item": "proton"}, {"item": "iron"})


def test_foreach_over_a_table_gives_the_product_and_expressions_give_lists() -> None:
    plan = plan_of("parameters: {n: 2}\nforeach: {e: '{range(n)}', z: [0, 30, 60]}\ntasks: {a: {run: 'x {e} {z}'}}\n")
    assert plan.jobs == 6
    assert plan.items[1] == {"e": 0, "z": 30}


def test_foreach_over_a_list_of_tables_gives_their_names() -> None:
    plan = plan_of("foreach: [{e: 1, z: 0}, {e: 10, z: 30}]\ntasks: {a: {run: 'x {e} {z}'}}\n")
    assert plan.items == ({"e": 1, "z": 0}, {"e": 10, "z": 30})


def test_foreach_over_files_leaves_them_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("b.npz", "a.npz", ".hidden.npz"):
        (tmp_path / "data" / name).write_text(name)
    (tmp_path / "fit.py").touch(mode=0o755)
    text = "name: x\nforeach: data/*.npz\ntasks: {fit: {run: 'python fit.py {input}', files: [fit.py]}}\n"
    manifest = gather(text, tmp_path, "x.yaml")
    assert manifest.matches == {"data/*.npz": ("data/a.npz", "data/b.npz")}
    assert manifest.files["data/a.npz"].url == (tmp_path / "data/a.npz").as_uri()
    assert manifest.files["data/a.npz"].sha256
    assert (manifest.files["fit.py"].url, manifest.files["fit.py"].mode) == ("", 0o755)
    plan = compile_recipe(text, filename="x.yaml", manifest=manifest)
    assert plan.items[0] == {"path": "data/a.npz", "name": "a.npz", "stem": "a", "suffix": ".npz"}
    assert plan.tasks[0].inputs[0].file == "{path}"


def test_foreach_files_may_lie_elsewhere_when_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "a.i3").touch()
    text = f"name: x\nforeach: file://{tmp_path}/*.i3\ntasks: {{fit: {{run: 'fit {{input}}'}}}}\n"
    here = tmp_path / "here"
    here.mkdir()
    manifest = gather(text, here, "x.yaml")
    assert [entry.url for entry in manifest.files.values()] == [(tmp_path / "a.i3").as_uri()]


def test_files_may_be_given_by_pattern_and_by_parameter(tmp_path: Path) -> None:
    for name in ("a.py", "b.py", "ice.dat", "setup.sh", "req.txt", "in.txt"):
        (tmp_path / name).touch()
    text = """
name: x
parameters: {geometry: ice}
files: "*.py"
tasks:
  a:
    run: sort
    stdin: in.txt
    files: "{geometry}.dat"
    environment: {setup: setup.sh, requirements: req.txt}
"""
    manifest = gather(text, tmp_path, "x.yaml")
    plan = compile_recipe(text, filename="x.yaml", manifest=manifest)
    assert plan.tasks[0].files == ("a.py", "b.py", "ice.dat", "setup.sh", "req.txt", "in.txt")
    assert set(plan.files) == set(plan.tasks[0].files)


def test_a_setup_script_under_cvmfs_is_not_shipped() -> None:
    plan = plan_of("tasks: {a: {run: x, environment: {setup: /cvmfs/icecube.opensciencegrid.org/setup.sh}}}\n")
    assert (plan.tasks[0].setup, plan.tasks[0].files) == ("/cvmfs/icecube.opensciencegrid.org/setup.sh", ())


def test_the_command_line_replaces_jobs_and_parameters() -> None:
    text = "parameters: {events: 5, name_: a}\ntasks: {a: {run: 'x {events} {name_}'}}\n"
    plan = plan_of(text, jobs=7, parameters={"events": "0x10", "name_": "no"})
    assert (plan.jobs, plan.parameters) == (7, {"events": 16, "name_": "no"})


def test_scalars_follow_yaml_1_2() -> None:
    values = parse("[no, on, yes, True, ~, 0o17, 017, 0x1F, 1e3, .5, 1_000, 12:30:00, 2020-01-01, '1', +3]").value
    expected = ["no", "on", "yes", True, None, 15, 17, 31, 1000.0, 0.5, "1_000", "12:30:00", "2020-01-01", "1", 3]
    assert values == expected
    assert [type(item) for item in values] == [type(item) for item in expected]


letters = st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])
keys = st.text(letters, max_size=LONGEST_KEY // len("\\u0000") - 1).filter(lambda text: text != "<<")


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**9), 10**9)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(letters),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=20,
    )
)
def test_json_reads_as_itself(value: Any) -> None:
    assert parse(json.dumps(value)).value == value


def test_a_script_and_a_pattern_make_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("a b.npz", "c.npz"):
        (tmp_path / "data" / name).touch()
    (tmp_path / "my fit.py").touch()
    text = recipe_for_run("my fit.py", "data/*.npz", ["out/{stem}.json"], needs={"memory": "2 GB"})
    plan = compile_recipe(text, filename="run", manifest=gather(text, tmp_path, "run"))
    assert (plan.name, plan.jobs, plan.tasks[0].name) == ("my fit", 2, "my_fit")
    assert plan.tasks[0].commands[0].words == ("python", "my fit.py", "{input}", "{stem}.json")
    assert plan.tasks[0].outputs[0].url == "out/{stem}.json"
    with pytest.raises(Invalid) as caught:
        recipe_for_run("fit.py", "data/*.npz", ["out.json"])
    assert caught.value.hint == "put {stem} into it: out.{stem}.json"


def test_the_published_schema_is_the_one_generated() -> None:
    published = (REFERENCE / "recipe.schema.json").read_text()
    assert published == json_schema_text(), (
        "write it anew: python -m nunatak.datasets.schema > docs/reference/recipe.schema.json"
    )


def _examples() -> list[str]:
    text = (REFERENCE / "recipe.md").read_text()
    blocks = [block.split("```")[0] for block in text.split("```yaml\n")[1:]]
    return [block for block in blocks if block.startswith("name:")]


@pytest.mark.parametrize("text", [DESIGN, *_examples()])
def test_checker_and_schema_accept_the_examples(text: str, tmp_path: Path) -> None:
    jsonschema.Draft202012Validator(json_schema()).validate(yaml.safe_load(text))
    (tmp_path / "data").mkdir()
    for name in (
        "generate.py",
        "fit.py",
        "merge.py",
        "common.py",
        "data/a.i3",
        "data/b.i3",
        "setup.sh",
        "requirements.txt",
        "steering.txt",
    ):
        (tmp_path / name).write_text("x")
    gather(text, tmp_path, "example.yaml")


@pytest.mark.parametrize(
    "change",
    [
        {"nmae": 1}, {"jobs": 0}, {"jobs": "3"}, {"jobs": 1.5}, {"tasks": {}}, {"tasks": {"1a": {"run": "x"}}}, {"name": ""},
        {"tasks": {"a": {}}}, {"tasks": {"a": {"run": "x", "once": "yes"}}}, {"tasks": {"a": {"run": []}}},
        {"tasks": {"a": {"run": "x", "needs": {"memory": "2 GX"}}}}, {"tasks": {"a": {"run": "x", "needs": {"cpu": 0}}}},
        {"tasks": {"a": {"run": "x", "needs": {"time": "1 hurs"}}}}, {"parameters": {"job": 1}}, {"parameters": {"a b": 1}},
        {"tasks": {"a": {"run": "x", "outputs": [{"nam": "x"}]}}}, {"tasks": {"a": {"run": "x", "retry": {"memory": "more"}}}},
        {"foreach": []}, {"foreach": {"a": []}}, {"parameters": {"a": None}}, {"files": [1]},
        {"tasks": {"a": {"run": "x", "environment": {"variables": {"A": []}}}}}, {"needs": {"platform": "vax"}},
    ],
)  # fmt: skip
def test_checker_and_schema_refuse_the_same(change: dict[str, Any]) -> None:
    recipe = {"name": "x", "tasks": {"a": {"run": "x"}}, **change}
    assert not jsonschema.Draft202012Validator(json_schema()).is_valid(recipe)
    with pytest.raises(Invalid):
        compile_recipe(json.dumps(recipe), filename="x.json", manifest=Manifest())


def test_the_reference_names_every_key_and_function() -> None:
    text = (REFERENCE / "recipe.md").read_text()
    keys = [key for record in (RECIPE, TASK, NEEDS, ENVIRONMENT, RETRY) for key in record.fields]
    assert [key for key in keys if f"`{key}`" not in text and f"{key}:" not in text] == []
    assert [name for name in FUNCTIONS if f"`{name}`" not in text] == []


def test_a_large_recipe_is_checked_in_reasonable_steps() -> None:
    names = [f"data/{number:05d}.i3" for number in range(5000)]
    files = {name: StoredFile("", 1, url=f"file:///x/{name}") for name in names}
    manifest = Manifest(files, {"data/*.i3": tuple(names)})
    text = "name: x\nforeach: data/*.i3\ntasks: {a: {run: 'x {input}', outputs: ['o -> out/{stem}']}}\n"
    assert compile_recipe(text, filename="x", manifest=manifest).jobs == 5000
    clash = Manifest(
        {**files, "data/00017.npz": StoredFile("", 1, url="file:///y")}, {"data/*": (*names, "data/00017.npz")}
    )
    with pytest.raises(Invalid) as caught:
        compile_recipe(text.replace("*.i3", "*"), filename="x", manifest=clash)
    assert "the jobs 17 and 5000 both keep" in caught.value.problems[0].message


def test_engines_are_told_what_the_task_says_before_what_the_recipe_says() -> None:
    text = (
        "engines:\n  htcondor: {requirements: A, attributes: {x: 1, y: true}}\ntasks:\n  a: {run: echo}\n"
        "  b: {run: echo, engines: {htcondor: {requirements: B, attributes: {x: '\"t\"'}}}}\n"
    )
    plan = plan_of(text)
    assert [dict(task.engines) for task in plan.tasks] == [
        {"htcondor": {"requirements": "A", "attributes": {"x": "1", "y": "true"}}},
        {"htcondor": {"requirements": "B", "attributes": {"x": '"t"', "y": "true"}}},
    ]
    assert Plan.from_plain(json.loads(plan.text)) == plan
    assert "engines" not in plan_of("tasks:\n  a: {run: echo}\n").text


def test_a_splittable_parameter_is_the_task_s_own_before_the_recipe_s():
    text = "name: x\nparameters: {events: 5000}\ntasks:\n  a: {run: echo, splittable: events}\n"
    plan = compile_recipe(text, filename="x", manifest=Manifest())
    assert plan.divisible(plan.tasks[0]) == ("events", 5000)
    own = compile_recipe(text.replace("events}", "events, parameters: {events: 7}}"), filename="x", manifest=Manifest())
    assert own.divisible(own.tasks[0]) == ("events", 7)
    assert Plan.from_plain(json.loads(own.text)) == own
    none = compile_recipe("name: x\ntasks: {a: {run: echo}}\n", filename="x", manifest=Manifest())
    assert none.divisible(none.tasks[0]) is None
