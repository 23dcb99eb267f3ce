"""IceProd configurations as recipes: what a job does is what the configuration says of it."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nunatak.core.errors import Invalid
from nunatak.datasets.expand import dry_run
from nunatak.datasets.manifest import Manifest
from nunatak.datasets.plan import Plan, StoredFile
from nunatak.datasets.recipe import compile_recipe
from nunatak.iceprod.importing import Imported, import_config
from nunatak.iceprod.levels import worked_out
from tests.pure.test_iceprod_expand import PLAIN

STEERING = {
    "a": "x", "n": 5, "f": 2.5, "l": [1, 2, 3], "ls": ["p", "q"], "d": {"k": "v"}, "s": "k", "p": "$(n)",
    "nest": "$steering(a)$(n)", "text": "7", "pad": "$sprintf('%03d',$(job))", "seed": "$eval($(dataset)*1000+$(job))",
}  # fmt: skip


def configuration(args: Any, **task: Any) -> dict[str, Any]:
    module = {"src": "/sw/run.py", "args": args}
    return {
        "version": 3.2,
        "description": "test",
        "options": {},
        "steering": {"parameters": STEERING},
        "tasks": [{"name": "t", "trays": [{"modules": [module]}], **task}],
    }


def imported(config: dict[str, Any], jobs: int = 20, mode: str = "strict", **more: Any) -> Imported:
    return import_config(json.dumps(config), jobs=jobs, mode=mode, **more)


def compiled(made: Imported) -> Plan:
    names = [*made.files, *made.sources]
    manifest = Manifest({name: StoredFile("0" * 64, 1) for name in names})
    return compile_recipe(made.text, filename="r.yaml", manifest=manifest)


def argv(made: Imported, job: int, command: int = 0) -> list[str]:
    return list(dry_run(compiled(made), job)[0]["commands"][command]["argv"])


def meant(text: str, job: int, mode: str, jobs: int = 20) -> Any:
    options = {"dataset": 1, "dataset_id": 1, "job": job, "jobs_submitted": jobs, "task": "t"}
    whole = {"options": options, "steering": {"parameters": STEERING}}
    return worked_out(whole, [STEERING], text, mode)


LATER = st.sampled_from(
    [
        "$(job)", "$sprintf('%06d',$(job))", "$eval($(job)*2+1)", "$(pad)", "$steering(pad)", "$(seed)",
        "$steering(l)[$eval($(job)%3)]",
        "$steering(text)", "$eval($steering(text)*$(job))", "$sprintf('%s_%05.1f',$(a),$eval($(job)/4))",
        "$(dataset)", "$(jobs_submitted)",
        "$eval($(job)//7)", "$sprintf('%d-%d',$(n),$(job))", "$max([$(job),3])", "$sum($steering(l))",
        "$(task)", "$eval($(job)^3)",
    ]
)  # fmt: skip
TEXTS = st.lists(
    PLAIN | LATER | st.sampled_from(["{", "}}", "'", '"', ";", "a b", "{job}", "*", "~", "#"]), min_size=1, max_size=4
)


@pytest.mark.parametrize("mode", ["strict", "exact"])
@given(texts=TEXTS, job=st.integers(0, 19))
@settings(max_examples=120, deadline=None)
def test_a_job_is_called_with_what_the_configuration_says(texts: list[str], job: int, mode: str) -> None:
    text = "".join(texts)
    try:
        expected = meant(text, job, mode)
    except Invalid:
        expected = "$(of no use)"
    if "$" in str(expected):
        with pytest.raises(Invalid):
            imported(configuration([text]), mode=mode)
        return
    found = argv(imported(configuration([text]), mode=mode), job)
    assert found == ["python", "/sw/run.py", without_quotes(str(expected))], text


def without_quotes(word: str) -> str:
    """Return a word without the quotes that a shell takes away, where they end."""
    reader = shlex.shlex(word, posix=True)
    reader.whitespace, reader.whitespace_split, reader.commenters, reader.escape = "", True, "", ""
    try:
        return "".join(reader)
    except ValueError:
        return word


def test_a_text_that_only_its_own_language_can_work_out_is_cut_into_words_for_each_job() -> None:
    made = imported(configuration("--a $sprintf($sprintf('%%0%dd', $(job)), 5) 'x y' $(text)"))
    assert "iceprod(" in made.text
    assert argv(made, 3) == ["python", "/sw/run.py", "--a", "005", "x y", "7"]
    with pytest.raises(Invalid, match="on the machine at once"):
        imported(configuration("$sprintf($sprintf('%%0%dd', $(job)), 5) $environ(SROOT)"))


def test_parameters_of_steering_can_be_set() -> None:
    made = imported(configuration("$(n) $eval($(n)+$(job)) $sprintf($sprintf('%%0%dd', $(n)), $(job))"))
    plan = compile_recipe(made.text, filename="r.yaml", manifest=Manifest({}), parameters={"n": "2"})
    assert list(dry_run(plan, 7)[0]["commands"][0]["argv"])[2:] == ["2", "9", "07"]


def test_what_comes_round_every_few_jobs_is_not_taken_to_be_the_same_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "nunatak.iceprod.scope.MANY", 0
    )  # as in a configuration of very many tasks: few jobs are looked at
    made = imported(configuration(["$sprintf('%02d',$eval($(job)%3))"]), jobs=4, mode="exact")
    assert [argv(made, job)[-1] for job in range(4)] == ["0", "1", "2", "0"]


@pytest.mark.parametrize("mode", ["strict", "exact"])
def test_a_parameter_of_a_module_refers_to_its_neighbour_and_not_to_steering(mode: str) -> None:
    config = configuration(["$(b)"], parameters={"a": "of the task", "b": "$(a)"})
    assert argv(imported(config, mode=mode), 0)[-1] == "of the task"


@pytest.mark.parametrize("mode", ["strict", "exact"])
def test_a_parameter_that_waits_for_the_iteration_keeps_the_names_it_stands_among(mode: str) -> None:
    config = configuration(["$(c)"], parameters={"b": "x$(iter)", "c": "$(b)"})
    config["tasks"][0]["trays"][0]["modules"][0]["parameters"] = {"b": "of the module"}
    assert argv(imported(config, mode=mode), 0)[-1] == "x0"


def test_arguments_of_a_class_that_are_no_json_are_a_mistake_at_their_place() -> None:
    config = configuration("{job}")
    module = {"running_class": "a.B", "args": "{job}"}
    config["tasks"][0]["trays"][0]["modules"] = [module]
    with pytest.raises(Invalid) as caught:
        imported(config)
    assert [problem.path for problem in caught.value.problems] == ["tasks[0].trays[0].modules[0].args"]


def test_a_server_and_a_command_load_nothing_of_it_before_it_is_used() -> None:
    loaded = "import sys, nunatak.api.app, nunatak.web.pages.new, nunatak.cli.main"
    code = f"{loaded}; print([name for name in sys.modules if 'nunatak.iceprod' in name])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("version", "said"), [(2, "older than 3"), (2.5, "older"), ("3.1", ""), (3.2, ""), (3, ""), (None, "")]
)
def test_older_versions_are_read_and_said(version: Any, said: str) -> None:
    task = {"name": "t", "trays": [{"modules": [{"src": "/x.py"}]}]}
    made = import_config(
        json.dumps({"version": version, "description": "d\ne", "categories": ["a", "b"], "tasks": [task]})
    )
    found = [item.message for item in made.findings if item.path == "version"]
    assert [said in text for text in found] == ([True] if said or version is None else [])
    assert "d\\ne\\nCategories: a, b" in made.text


@pytest.mark.parametrize("version", [3.3, 0, -1, "x", [3], True])
def test_a_version_that_is_none_is_refused(version: Any) -> None:
    with pytest.raises(Invalid) as caught:
        import_config(json.dumps({"version": version, "tasks": []}))
    assert [problem.path for problem in caught.value.problems] == ["version", "tasks"]


@pytest.mark.parametrize(
    "text", ["$sprintf('%06d',,$(job))", "$sprintf('%d_%x', a, $(job))", "$sprintf('%x_%d', 1.5, $(job))"]
)
def test_a_value_that_is_no_number_is_said_also_beside_one_of_the_job(text: str) -> None:
    module = {"src": "/x.py", "args": text}
    with pytest.raises(Invalid) as caught:
        import_config(json.dumps({"tasks": [{"name": "t", "trays": [{"modules": [module]}]}]}))
    assert [problem.path for problem in caught.value.problems] == ["tasks[0].trays[0].modules[0].args"]
    assert text in caught.value.problems[0].message


def test_a_text_with_a_list_that_has_something_of_the_job_in_it_is_expanded_when_the_job_is_known() -> None:
    data = [{"remote": "hole_$(hole)/x.i3", "local": "x_$(iter).i3", "movement": "output"}]
    modules = [{"src": "/x.py"}]
    tray = {"iterations": 3, "parameters": {"hole": "$steering(holes)[$(iter)]"}, "modules": modules, "data": data}
    config = {
        "options": {"data_url": "file:///d/"},
        "steering": {"parameters": {"holes": ["0.5", "0.6", ["$(job)"]]}},
        "tasks": [{"name": "t", "trays": [tray]}],
    }
    assert 'iceprod(\\"hole_$(hole)/x.i3\\", iceprod_names)' in import_config(json.dumps(config)).text
