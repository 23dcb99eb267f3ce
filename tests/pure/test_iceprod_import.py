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
    words = as_a_shell(str(expected)) if mode == "exact" else ["".join(as_a_shell(str(expected), spaces=""))]
    assert found == ["python", "/sw/run.py", *words], text


def as_a_shell(text: str, spaces: str = " \t\r\n") -> list[str]:
    """Cut a text as a shell does, and take away quotes, where they end."""
    reader = shlex.shlex(text, posix=True)
    reader.whitespace, reader.whitespace_split, reader.commenters, reader.escape = spaces, True, "", ""
    try:
        return list(reader)
    except ValueError:
        return text.split() if spaces else [text]


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
    assert argv(imported(config, mode=mode), 0)[2:] == (["of the task"] if mode == "strict" else ["of", "the", "task"])


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


def chain(*data: list[dict[str, Any]], depends: bool = True) -> dict[str, Any]:
    """Return tasks t0, t1, ... with these files, each after the one before it."""
    module = {"src": "/sw/run.py"}
    tasks = [
        {
            "name": f"t{number}", "data": own, "trays": [{"modules": [module]}],
            "depends": [f"t{number - 1}"] if number and depends else [],
        }
        for number, own in enumerate(data)
    ]  # fmt: skip
    return {"version": 3.2, "options": {"data_url": "file:///d/"}, "tasks": tasks}


TEMP = {"type": "job_temp", "local": "t"}
KEPT = {"remote": "x_$(job)", "local": "x"}
MAKES, CHANGES, MAYBE = {"movement": "output"}, {"movement": "both"}, {"transfer": "maybe"}


def said(config: dict[str, Any], **more: Any) -> list[str]:
    """Return what is wrong with a configuration, each with its key; nothing if it becomes a sound recipe."""
    try:
        compiled(imported(config, **more))
    except Invalid as error:
        return [f"{problem.path}: {problem.message}" for problem in error.problems] or [error.message]
    return []


def test_what_several_tasks_write_is_read_from_the_last_of_them() -> None:
    config = chain([TEMP | MAKES, KEPT | MAKES], [TEMP | CHANGES, KEPT | CHANGES], [TEMP, KEPT])
    tasks = dry_run(compiled(imported(config)), 3)
    assert tasks[2]["inputs"][0]["url"].split("/")[-4] == "t1"
    assert [output["url"] for output in tasks[1]["outputs"]][1] == "file:///d/x_3"
    assert [output["temporary"] for task in tasks[:2] for output in task["outputs"]] == [True, True, True, False]
    assert tasks[2]["inputs"][1]["url"] == "file:///d/x_3"


@pytest.mark.parametrize(
    ("data", "depends", "wrong"),
    [
        ([[TEMP | MAKES], [TEMP | MAKES]], False, ""),  # nobody reads it
        ([[KEPT | MAKES], [KEPT | MAKES]], True, ""),
        ([[KEPT | MAKES], [KEPT | MAKES]], False, "tasks[1].data[0]: file:///d/x_{job} is an output of t0 too"),
        ([[KEPT | MAKES, KEPT | MAKES | {"local": "y"}]], True, "tasks[0].data[1]: file:///d/x_{job} is an output of"),
        ([[KEPT | MAKES], [KEPT | MAKES | MAYBE]], True, "tasks[1].data[0]: file:///d/x_{job} is an output of t0, and need"),
        ([[KEPT | MAKES], [KEPT | CHANGES | MAYBE]], True, ""),
    ],
)  # fmt: skip
def test_two_tasks_write_one_file_only_one_after_the_other(data: Any, depends: bool, wrong: str) -> None:
    found = said(chain(*data, depends=depends))
    assert [line[: len(wrong)] for line in found] == ([wrong] if wrong else [])


def test_a_file_that_chance_decides_is_refused_where_it_is_read() -> None:
    config = chain([TEMP | MAKES], [TEMP | MAKES], [TEMP], depends=False)
    config["tasks"][2]["depends"] = ["t0", "t1"]
    assert said(config) == ["tasks[2].data[0]: t is made by t0 and by t1, and neither comes after the other"]


@pytest.mark.parametrize(
    ("needs", "wrong"),
    [
        ({"memory": "inf"}, "memory: 'inf GB' is not an amount"), ({"time": "nan"}, "time: 'nan h' is not a length"),
        ({"time": 1e6}, "time: '1000000 h' is more than a year"), ({"disk": 1e9}, "disk: '1000000000 GB' is more than 1 PB"),
        ({"memory": 1e-9}, "memory: 1e-09 GB is hardly anything"), ({"cpu": 5000}, "cpu: 5000 is no whole number up to 1024"),
        ({"gpu": "inf"}, "gpu: inf is no whole number"), ({"cpu": 1.5}, "cpu: 1.5 is no whole number"),
        ({"memory": "$steering(a)"}, 'memory: "x" is no number'), ({"site": "$(job)"}, "site: it depends on the job"),
    ],
)  # fmt: skip
def test_requirements_that_no_machine_has_are_said_at_their_place(needs: dict[str, Any], wrong: str) -> None:
    (line,) = said(configuration("x", requirements=needs))
    assert line.startswith(f"tasks[0].requirements.{wrong}")


def test_a_site_may_be_a_steering_parameter() -> None:
    plan = compiled(imported(configuration("x", requirements={"site": "$steering(a)"})))
    assert dry_run(plan, 0)[0]["shape"]["features"] == ["site:x"]


@pytest.mark.parametrize("mode", ["strict", "exact"])
@pytest.mark.parametrize("where", ["args", "configs", "parameters", "options"])
def test_tables_too_deep_in_each_other_are_refused(where: str, mode: str) -> None:
    deep: Any = "x"
    for _ in range(300):
        deep = {"a": [deep]}
    config = configuration("x")
    if where == "options":
        config["options"] = deep
    else:
        config["tasks"][0]["trays"][0]["modules"][0][where] = {"c.json": deep} if where == "configs" else deep
    assert said(config, mode=mode) == ["config.json has lists and tables over 100 deep in each other"]


@pytest.mark.parametrize("name", ["0123456789abcdef0123456789abcdef", "41-17-detect", "41/17/detect"])
def test_one_task_of_one_job_is_nothing_that_all_jobs_come_after(name: str) -> None:
    (line,) = said(configuration("x", depends=[name]))
    assert line == f"tasks[0].depends[0]: {name} is one task of one job, and all jobs would come after it"


def test_files_of_tasks_are_of_tasks_that_are_there_and_names_of_some_jobs_stand_alone() -> None:
    def listed(*rows: tuple[str, int]) -> str:
        return json.dumps([
            {"filename": f"file:///d/{n}", "task_name": of, "job_index": job} for n, (of, job) in enumerate(rows)
        ])  # fmt: skip

    config = configuration("x", task_files=True)
    (line,) = said(config, jobs=None, task_files=listed(("t", 0), ("tt", 0)))
    assert line == 'tasks: files are given for the task "tt", which is not there'
    uneven = listed(("t", 0), ("t", 0), ("t", 1))
    assert said(config, jobs=None, task_files=uneven) == []
    for args in ("--in=$(input)/x", {"in": "$(input)/x"}, "$(input) $environ(SROOT)"):
        (line,) = said(configuration(args, task_files=True), jobs=None, task_files=uneven)
        assert "not all jobs have the same number of files" in line
    made = json.loads(uneven)
    made[1]["movement"] = "output"
    assert "fewer files than others that its tasks make" in said(config, jobs=None, task_files=json.dumps(made))[0]


def test_a_module_with_two_things_to_run_runs_src_and_says_so() -> None:
    config = configuration("x")
    config["tasks"][0]["trays"][0]["modules"][0]["running_class"] = "a.B"
    made = imported(config)
    assert [(item.kind, item.path.rpartition(".")[2]) for item in made.findings] == [("dropped", "running_class")]
