"""The example chain without running it: the recipe is accepted, ships what scripts import, says what run_chain does."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nunatak.core.work import Shape
from nunatak.datasets.gather import gather
from nunatak.datasets.plan import Plan, TaskPlan
from nunatak.datasets.recipe import compile_recipe
from nunatak.tasks.sharing.fits import Offer
from nunatak.tasks.sharing.model import Demand, Member, Policy
from nunatak.tasks.sharing.share import share
from nunatak.tasks.sharing.usage import NOTHING_USED

EXAMPLES = Path(__file__).parents[2] / "examples"
MUONS = EXAMPLES / "muons"
FIT = EXAMPLES / "fit"
PER_JOB = ("generate", "propagate", "photons", "detector", "filter")


@pytest.fixture(scope="module")
def plan() -> Plan:
    text = (MUONS / "muons.yaml").read_text()
    manifest = gather(text, MUONS, "muons.yaml")
    return compile_recipe(text, filename="muons.yaml", manifest=manifest)


def script(task: TaskPlan) -> str:
    return next(word for word in task.commands[0].words if word.endswith(".py"))


def own_imports(path: Path) -> set[str]:
    """Return the files of the example that a script needs, itself and what they import included."""
    found = {path.name}
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            module = MUONS / f"{name}.py"
            if module.is_file() and module.name not in found:
                found |= own_imports(module)
    return found


def test_the_recipe_unfolds_into_23_tasks(plan: Plan) -> None:
    once = [task.name for task in plan.tasks if task.once]
    assert sorted(once) == ["analyze", "reference", "tables"]
    assert {task.name for task in plan.tasks if not task.once} == set(PER_JOB)
    assert len(once) + plan.jobs * len(PER_JOB) == 23


def test_each_task_ships_the_scripts_it_imports_and_no_others(plan: Plan) -> None:
    for task in plan.tasks:
        needed = own_imports(MUONS / script(task))
        shipped = {name for name in task.files if name.endswith(".py")}
        assert needed == shipped, task.name


def test_the_analysis_gathers_every_job(plan: Plan) -> None:
    analyze = plan.tasks[plan.number("analyze")]
    assert {"tables", "reference", "propagate", "filter"} <= set(analyze.after)


def test_every_amount_is_below_what_a_small_machine_has(plan: Plan) -> None:
    for task in plan.tasks:
        assert task.shape is not None
        assert task.shape.memory <= 2_000_000_000
        assert task.shape.cpu == (2 if task.name == "tables" else 1)


def test_a_machine_with_one_core_can_make_the_tables() -> None:
    text = (MUONS / "muons.yaml").read_text()
    manifest = gather(text, MUONS, "muons.yaml")
    plan = compile_recipe(text, filename="muons.yaml", manifest=manifest, parameters={"cores": "1"})
    tables = plan.tasks[plan.number("tables")]
    assert tables.shape is not None
    assert tables.shape.cpu == 1


def test_the_tables_which_everything_waits_for_begin_before_the_reference(plan: Plan) -> None:
    waiting = {name: plan.number(name) for name in ("reference", "tables")}
    shapes = {1: plan.tasks[waiting["reference"]].shape or Shape(), 2: plan.tasks[waiting["tables"]].shape or Shape()}
    demand = [Demand(1, waiting["reference"], shape=1, ready=1), Demand(1, waiting["tables"], shape=2, ready=1)]
    offers = [(Offer(Shape(cpu=2, memory=2 * 10**9, disk=10**10)), 2)]
    allocation = share(demand, [Member(1, "", "me")], NOTHING_USED, Policy(), offers, shapes, 0.0)
    assert [allotment.shape for allotment in allocation.given[0]] == [2, 1]


def test_outputs_have_the_names_that_the_plain_chain_gives_them(plan: Plan) -> None:
    plain = (MUONS / "run_chain.py").read_text()
    for task in plan.tasks:
        for output in task.outputs:
            name = output.name if task.once else output.name.removesuffix(".npz")
            assert f'"{name}"' in plain or name == "chain.checks.json", name


def test_the_recipe_uses_the_seeds_of_the_plain_chain() -> None:
    recipe = yaml.safe_load((MUONS / "muons.yaml").read_text())
    assert recipe["parameters"]["seed"] == "{job + 1}"
    seeded = {name for name, task in recipe["tasks"].items() if "--seed {seed}" in task["run"]}
    assert seeded == {"generate", "propagate", "photons", "detector"}


def test_the_defaults_are_those_of_the_recipe() -> None:
    parameters = yaml.safe_load((MUONS / "muons.yaml").read_text())["parameters"]
    for name, option, parameter in (("generate", "nevents", "events"), ("photons", "oversize", "oversize")):
        for path in (MUONS / f"{name}.py", MUONS / "run_chain.py"):
            found = re.search(rf'"--{option}", type=\w+, default=([\d.]+)', path.read_text())
            assert found, path
            assert float(found[1]) == parameters[parameter]


@pytest.mark.parametrize("folder", [MUONS, FIT], ids=["muons", "fit"])
def test_the_scripts_are_as_ruff_wants_them(folder: Path) -> None:
    options = ["--isolated", "--line-length", "120", "--no-cache", "."]
    for verb in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *verb, *options]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_line_is_fitted(tmp_path: Path) -> None:
    for run in range(1, 11):
        output = tmp_path / f"{run}.json"
        source = FIT / "data" / f"run-{run:02d}.csv"
        subprocess.run([sys.executable, FIT / "fit.py", source, output], check=True, capture_output=True)
        line = json.loads(output.read_text())
        assert line["points"] == 12
        assert line["slope"] == pytest.approx(run / 2, abs=0.1)
        assert line["intercept"] == pytest.approx(1, abs=0.4)


def test_a_broken_file_is_refused_with_its_text(tmp_path: Path) -> None:
    output = tmp_path / "line.json"
    command = [sys.executable, *map(str, (FIT / "fit.py", FIT / "broken" / "run-11.csv", output))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "could not convert string to float: 'no signal'" in done.stderr
    assert not output.exists()
