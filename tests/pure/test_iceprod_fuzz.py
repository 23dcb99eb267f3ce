"""Whole configurations: changed at random they import or say why; generated ones give each job what their language says."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nunatak.core.errors import Invalid
from nunatak.datasets.expand import dry_run
from nunatak.iceprod.importing import import_config
from nunatak.iceprod.levels import worked_out
from nunatak.iceprod.words import words_of
from tests.iceprod.cases import compiled
from tests.iceprod.fuzz import once


def test_changed_configurations_import_or_say_why() -> None:
    found = {once(Random(seed)) for seed in range(60)}
    assert "imported" in found
    assert "refused when imported" in found


def test_a_tray_without_modules_is_not_gone_through_however_often_it_is_to_be_done() -> None:
    tray = {"iterations": 10**40, "parameters": {"y": "$(iter)"}, "modules": []}
    with pytest.raises(Invalid, match="the tray has no modules"):
        import_config(json.dumps({"version": 3.1, "tasks": [{"name": "t", "trays": [tray]}]}), jobs=1)


NAMES = st.sampled_from(["a", "b", "c"])
TEXTS = st.lists(
    st.sampled_from([
        "x", " ", "-", "$(a)", "$(b)", "$(c)", "$steering(a)", "$(job)", "$(iter)", "$eval($(job)*3+$(iter))", "$(dataset)",
        "$sprintf('%04d',$(job))", "$steering(l)[$eval($(job)%2)]", "07", "$options(o)",
    ]),
    min_size=1, max_size=4,
).map("".join)  # fmt: skip
LEVELS = st.dictionaries(NAMES, TEXTS | st.integers(0, 99), max_size=3)


@given(
    steering=LEVELS, task=LEVELS, tray=LEVELS, module=LEVELS, text=TEXTS, times=st.integers(1, 3), job=st.integers(0, 5)
)
@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("mode", ["strict", "exact"])
def test_each_job_gets_what_its_levels_say(
    steering: Any, task: Any, tray: Any, module: Any, text: str, times: int, job: int, mode: str
) -> None:
    outer = {**steering, "l": ["p", "q"]}
    inner = {"src": "/r.py", "args": text, "parameters": module}
    made_of = {
        "version": 3.1, "options": {"o": "opt"}, "steering": {"parameters": outer},
        "tasks": [{
            "name": "t",
            "parameters": task,
            "trays": [{"iterations": times, "parameters": tray, "modules": [inner]}],
        }],
    }  # fmt: skip

    def meant(number: int, turn: int, way: str) -> str:
        options = {
            "o": "opt",
            "dataset": 1,
            "dataset_id": 1,
            "job": number,
            "jobs_submitted": 6,
            "task": "t",
            "iter": turn,
        }
        config = {**made_of, "options": options}
        return str(worked_out(config, [outer, task, tray, module], text, way))

    try:
        expected = [words_of(meant(job, turn, mode)) for turn in range(times)]
        made = import_config(json.dumps(made_of), jobs=6, mode=mode)
    except Invalid:
        return  # the tests of the language say when
    commands = dry_run(compiled(made), job)[0]["commands"]
    assert [list(command["argv"])[2:] for command in commands] == expected
    said = any(item.kind == "differs" and item.path.endswith("args") for item in made.findings)
    differ = {
        number
        for number in range(6)
        for turn in range(times)
        if _of(meant, number, turn, "exact") != _of(meant, number, turn, "strict")
    }
    assert said == bool(differ), (made_of, differ, [str(item) for item in made.findings])


def _of(meant: Any, number: int, turn: int, mode: str) -> str:
    try:
        return str(meant(number, turn, mode))
    except Invalid:
        return "an error"
