"""A plan and an address to the exact task: argument lists, inputs, outputs, shapes."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nunatak.core.address import ONCE
from nunatak.core.errors import Invalid
from nunatak.core.work import Checkpoint, Input, TaskSpec
from nunatak.datasets.expand import dry_run, expand, shape_of
from nunatak.datasets.plan import Plan, StoredFile
from nunatak.datasets.program import Recorded
from nunatak.datasets.recipe import Manifest, compile_recipe

CHAIN = """\
name: chain
jobs: 2
parameters: {events: 2500, seed: "{job+1}"}
files: [common.py]
tasks:
  tables: {once: true, run: python tables.py tables.npz, outputs: [tables.npz]}
  generate:
    run: python generate.py --seed {seed} --nevents {events} tables.npz gen.npz
    inputs: [tables/tables.npz]
    outputs: [gen.npz]
  filter:
    run: python filter.py {inputs.generate} {output}
    inputs: ["generate/gen.npz -> in/gen.npz"]
    outputs: ["l2.npz -> {store}/{dataset}/l2/{job:06d}.npz"]
  analyze:
    once: true
    run: python analyze.py tables.npz chain.png --gen {inputs.generate} --l2 {inputs["filter/l2.npz"]}
    inputs: [tables/tables.npz, generate/gen.npz, "filter/l2.npz -> level2.{job}.npz"]
    outputs: [chain.png]
"""
SHA = "ab" + "0" * 62
NOTHING = Manifest()
FILES = Manifest({"common.py": StoredFile(SHA, 7, 0o755)})


def plan_of(text: str, manifest: Manifest = NOTHING) -> Plan:
    return compile_recipe(text if text.startswith("name:") else "name: x\n" + text, filename="x", manifest=manifest)


def spec(plan: Plan, task: str, job: int = 0, recorded: Any = (), **options: Any) -> TaskSpec:
    given = {"dataset": 42, "attempt": 1, "lease": "f00", "store": "file:///store", "blobs": "file:///blobs", **options}
    return expand(plan, job=job, task=plan.number(task), recorded=recorded, **given)


def argv(plan: Plan, task: str, job: int = 0) -> tuple[str, ...]:
    return spec(plan, task, job).commands[0].argv


def test_a_task_of_a_job_is_expanded_in_full() -> None:
    plan = plan_of(CHAIN, FILES)
    made = Recorded("tables", ONCE, "tables.npz", "file:///elsewhere/t", 99, "c" * 64)
    found = spec(plan, "generate", 1, [made], attempt=3)
    assert (found.address, found.lease) == ("42/1/generate#3", "f00")
    assert found.commands[0].argv == (
        "python",
        "generate.py",
        "--seed",
        "2",
        "--nevents",
        "2500",
        "tables.npz",
        "gen.npz",
    )
    assert found.inputs == (
        Input("common.py", f"file:///blobs/ab/{SHA}", SHA, 7, False, 0o755),
        Input("tables.npz", "file:///elsewhere/t", "c" * 64, 99),
    )
    assert [output.url for output in found.outputs] == ["file:///store/42/generate/000/000001/gen.npz"]
    assert TaskSpec.from_plain(found.to_plain() | {}) == found


def test_an_output_not_recorded_is_expected_where_its_task_puts_it() -> None:
    plan = plan_of(CHAIN, FILES)
    assert spec(plan, "filter", 1).inputs[1] == Input("in/gen.npz", "file:///store/42/generate/000/000001/gen.npz")
    assert spec(plan, "generate", 1).inputs[1].url == spec(plan, "tables", ONCE).outputs[0].url


def test_a_task_done_once_gathers_the_outputs_of_all_jobs() -> None:
    plan = plan_of(CHAIN, FILES)
    made = [Recorded("filter", job, "l2.npz", f"file:///l2/{job}", job, "d" * 64) for job in range(3)]
    found = spec(plan, "analyze", ONCE, made, jobs=3)
    assert found.address == "42/analyze#1"
    assert found.commands[0].argv == (
        "python", "analyze.py", "tables.npz", "chain.png",
        "--gen", "gen.000000.npz", "gen.000001.npz", "gen.000002.npz",
        "--l2", "level2.0.npz", "level2.1.npz", "level2.2.npz",
    )  # fmt: skip
    assert [(item.name, item.url) for item in found.inputs][-1] == ("level2.2.npz", "file:///l2/2")


def test_an_optional_output_that_was_not_made_is_left_out() -> None:
    plan = plan_of(
        'jobs: 3\ntasks:\n  a: {run: x, outputs: ["log?", y]}\n  b: {once: true, run: "x {inputs}", inputs: ["a/log?"]}\n'
    )
    made = [Recorded("a", 1, "log", "file:///log", 1, "d" * 64)]
    assert spec(plan, "b", ONCE, made).commands[0].argv == ("x", "log.000001")
    assert len(spec(plan, "b", ONCE, None).inputs) == 3


def test_no_value_can_add_a_word_or_reach_a_shell() -> None:
    plan = plan_of(
        'parameters: {evil: \'a b; $(touch x) "`\'}\ntasks: {a: {run: "echo {evil} x{evil} \'{evil}\' \\"a b\\" c\\\\ d"}}\n'
    )
    evil = 'a b; $(touch x) "`'
    assert argv(plan, "a") == ("echo", evil, "x" + evil, evil, "a b", "c d")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a  b\tc", ["a", "b", "c"]),
        ("a 'b c' \"d e\" f\\ g", ["a", "b c", "d e", "f g"]),
        ("a '' \"\"", ["a", "", ""]),
        ('a "b\\"c" \'d"e\'', ["a", 'b"c', 'd"e']),
        ("a --x={job + 1} {[1, 2]} y{{z}}", ["a", "--x=1", "1", "2", "y{z}"]),
        ("a '$HOME' '*.i3' 'x|y'", ["a", "$HOME", "*.i3", "x|y"]),
        ("a 100$ b#c ~", None),
    ],
)
def test_words_are_split_as_people_expect(text: str, words: list[str] | None) -> None:
    import json

    recipe = f"name: x\ntasks: {{a: {{run: {json.dumps(text)}}}}}\n"
    if words is None:
        with pytest.raises(Invalid):
            plan_of(recipe)
    else:
        assert list(argv(plan_of(recipe), "a")) == words


def test_lines_and_lists_are_commands_in_order() -> None:
    plan = plan_of(
        """
tasks:
  a:
    run: |
      # first
      python a.py \\
        --long

      python b.py
  b:
    run:
      - python a.py
      - {run: python b.py, variables: {A: "{job}"}, stdin: in.txt}
    outputs: [in.txt]
"""
    )
    assert [command.argv for command in spec(plan, "a").commands] == [("python", "a.py", "--long"), ("python", "b.py")]
    second = spec(plan, "b", 0).commands[1]
    assert (second.argv, second.variables, second.stdin) == (("python", "b.py"), {"A": "0"}, "in.txt")


@pytest.mark.parametrize(
    "evil", ["a b", "$(touch pwned)", "`touch pwned`", "'; touch pwned; '", '"; touch pwned; "', "x\ny", "*"]
)
def test_a_shell_sees_values_as_data(evil: str, tmp_path: Path) -> None:
    import json

    text = f"""
parameters: {{evil: {json.dumps(evil)}}}
tasks:
  a:
    shell: true
    run: |
      printf '%s|' {{evil}} "{{evil}}" '{{evil}}' {{[1, evil]}} {{job}}
      # don't mind {{evil}}
      printf '%s|' "$(printf '%s' "{{evil}}" | (cat) )" "\\"{{evil}}"
"""
    command = spec(plan_of(text), "a").commands[0]
    assert command.shell
    done = subprocess.run(
        ["/bin/sh", "-c", *command.argv], env={"PATH": "/bin:/usr/bin", **command.variables}, cwd=tmp_path,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "|".join([evil, evil, evil, "1", evil, "0", evil, '"' + evil, ""])
    assert list(tmp_path.iterdir()) == []


def test_a_shell_stops_at_the_first_command_that_fails() -> None:
    command = spec(plan_of("tasks: {a: {run: 'false; echo on', shell: true}}\n"), "a").commands[0]
    done = subprocess.run(["/bin/sh", "-c", *command.argv], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")


def test_harmless_values_stay_readable_in_a_shell() -> None:
    plan = plan_of("tasks: {a: {run: 'sort in.{job:03d} | uniq > out', shell: true}}\n")
    assert spec(plan, "a", 7).commands[0].argv == ("set -e\nsort in.007 | uniq > out",)


def test_places_are_urls_or_lie_below_the_dataset() -> None:
    plan = plan_of(
        'tasks: {a: {run: x, outputs: ["a -> out/{job}.a", "b -> plots/", "c -> s3://bucket/{dataset}/{job}", d e]}}\n'
    )
    assert [output.url for output in spec(plan, "a", 3).outputs] == [
        "file:///store/42/out/3.a",
        "file:///store/42/plots/b",
        "s3://bucket/42/3",
        "file:///store/42/a/000/000003/d%20e",
    ]


def test_files_of_another_dataset_are_named_by_address() -> None:
    plan = plan_of(
        'tasks: {a: {run: x, inputs: ["41/{job}/propagate/light.npz", "41/7/propagate/light.npz -> seven", 40/analyze/c.png]}}\n'
    )
    assert [(item.name, item.url) for item in spec(plan, "a", 1017).inputs] == [
        ("light.npz", "file:///store/41/propagate/001/001017/light.npz"),
        ("seven", "file:///store/41/propagate/000/000007/light.npz"),
        ("c.png", "file:///store/40/analyze/c.png"),
    ]


def test_another_datasets_files_have_the_usual_place() -> None:
    reader = plan_of('tasks: {a: {run: x, inputs: ["42/{job}/maker/y"]}}\n')
    maker = plan_of("tasks: {maker: {run: x, outputs: [y]}}\n")
    assert spec(reader, "a", 12345).inputs[0].url == spec(maker, "maker", 12345).outputs[0].url


def test_names_of_outputs_may_differ_between_jobs() -> None:
    plan = plan_of(
        """
foreach: [p, Fe]
tasks:
  a: {parameters: {kind: "k{item}"}, run: "x {output}", outputs: ["{kind}.npz"]}
  b: {run: "x {input}", inputs: ["a/{kind}.npz"]}
  c: {once: true, run: "x {inputs.a}", inputs: ["a/{kind}.npz"]}
"""
    )
    assert argv(plan, "a", 1) == ("x", "kFe.npz")
    assert argv(plan, "b", 1) == ("x", "kFe.npz")
    assert argv(plan, "c", ONCE) == ("x", "kp.000000.npz", "kFe.000001.npz")


def test_a_file_of_foreach_is_staged_when_mentioned() -> None:
    manifest = Manifest(
        {
            "data/a.i3": StoredFile("a" * 64, 5, url="file:///x/a.i3"),
            "data/b.i3": StoredFile("b" * 64, 6, url="file:///x/b.i3"),
        },
        {"data/*.i3": ("data/a.i3", "data/b.i3")},
    )
    text = """
foreach: data/*.i3
tasks:
  plain: {run: "x {input} {stem} {path}"}
  named: {run: "x {input}", inputs: ["{input} -> in{suffix}"]}
  without: {run: "x {stem}"}
"""
    plan = plan_of(text, manifest)
    assert argv(plan, "plain", 1) == ("x", "b.i3", "b", "data/b.i3")
    assert spec(plan, "plain", 1).inputs == (Input("b.i3", "file:///x/b.i3", "b" * 64, 6),)
    assert argv(plan, "named", 0) == ("x", "in.i3")
    assert spec(plan, "without").inputs == ()


def test_a_value_that_leads_out_of_the_sandbox_is_refused() -> None:
    plan = plan_of("jobs: 100000\ntasks: {a: {run: x, outputs: [\"{'../' if job == 77777 else job}x\"]}}\n")
    with pytest.raises(Invalid) as caught:
        spec(plan, "a", 77777)
    assert caught.value.code == "bad-path"


def test_shapes_that_depend_on_the_job_are_worked_out() -> None:
    plan = plan_of('jobs: 3\ntasks: {a: {run: x, needs: {memory: "{job+1} GB", cpu: "{job+1}", time: 90 s}}}\n')
    assert [shape_of(plan, 0, job).cpu for job in range(3)] == [1, 2, 3]
    assert shape_of(plan, 0, 2).memory == 3008000000
    assert shape_of(plan, 0, 2).time == 90
    assert spec(plan, "a", 2).shape == shape_of(plan, 0, 2)


def test_environment_and_variables_are_expanded() -> None:
    plan = plan_of(
        'tasks: {a: {run: x, environment: {image: "docker://i:{job}", variables: {S: "{seed()}", A: "{attempt}"}}}}\n'
    )
    found = spec(plan, "a", 5, attempt=2).environment
    assert (found.image, found.variables["A"]) == ("docker://i:5", "2")
    assert found.variables["S"] == spec(plan, "a", 5, attempt=3).environment.variables["S"]


def test_a_look_at_what_is_gathered_from_a_thousand_million_jobs_is_short() -> None:
    text = (
        "jobs: 999999999\ntasks:\n  a: {run: x, outputs: [y]}\n"
        "  b: {once: true, inputs: [a/y], run: 'cat {inputs} {jobs}', outputs: ['n{len(inputs)}']}\n"
        "  c: {once: true, inputs: ['b/n{len(inputs)}'], run: x}\n"
    )
    shown = dry_run(plan_of(text), 0)
    assert [item["left_out"] for item in shown] == [0, 999_998_999, 0]
    assert len(shown[1]["inputs"]) == 1000
    assert shown[1]["commands"][0]["argv"][-1] == "999999999"
    assert shown[2]["inputs"][0]["name"] == "n1000"


def test_a_dry_run_shows_every_task_of_a_job() -> None:
    plan = plan_of(CHAIN, FILES)
    shown = dry_run(plan, 1)
    assert [(item["task"], item["address"]) for item in shown] == [
        ("tables", "1/tables#1"), ("generate", "1/1/generate#1"), ("filter", "1/1/filter#1"), ("analyze", "1/analyze#1"),
    ]  # fmt: skip
    assert shown[2]["commands"][0]["argv"] == ("python", "filter.py", "in/gen.npz", "l2.npz")
    assert shown[2]["inputs"][1]["url"] == shown[1]["outputs"][0]["url"]
    with pytest.raises(Invalid):
        dry_run(plan, 2)


def test_a_checkpoint_has_a_place_of_its_own_for_each_attempt() -> None:
    plan = plan_of('jobs: 2\ntasks: {fit: {run: fit, checkpoint: "state.{job}.npz"}, b: {run: b}}\n')
    made = spec(plan, "fit", job=1, attempt=3)
    assert made.checkpoint == Checkpoint("state.1.npz", "file:///store/42/.checkpoints/fit/000/000001/3/state.1.npz")
    kept = replace(made, checkpoint=replace(made.checkpoint, before=Input("state.1.npz", "file:///x", SHA, 7, True)))
    assert TaskSpec.from_plain(json.loads(json.dumps(kept.to_plain()))) == kept
    assert "checkpoint" not in spec(plan, "b").to_plain()
    assert Plan.from_plain(json.loads(plan.text)) == plan


def test_a_plan_without_checkpoints_has_the_hash_it_had_before_there_were_any() -> None:
    assert "checkpoint" not in plan_of("tasks: {a: {run: a}}\n").text
