"""Configurations made to hang, to crash or to lose something on their way in: each is refused at its place, or kept whole."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

from nunatak.core.errors import Invalid
from nunatak.iceprod import bounds, expand
from nunatak.iceprod.importing import Imported, import_config
from tests.iceprod.cases import compiled

SECONDS = 60
"""Of processor time: what hangs would take hours."""
MODULE = "tasks[0].trays[0].modules[0]"


@pytest.fixture(autouse=True)
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(bounds, "MOST_WORK", 20_000)  # so that what ends by it does soon

    def too_long(*_: object) -> NoReturn:
        raise TimeoutError(f"it took over {SECONDS} s of processor")

    before = signal.signal(signal.SIGPROF, too_long)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)


def configuration(args: Any, steering: dict[str, Any] | None = None, **more: Any) -> str:
    """Return one with a module that has these arguments."""
    module = {"src": "/a.py", "args": args}
    task = {"name": "t", "trays": [{"modules": [module]}], **more.pop("task", {})}
    return json.dumps({"version": 3.2, "steering": {"parameters": steering or {}}, "tasks": [task], **more})


def imported(text: str, mode: str = "strict", **more: Any) -> Imported:
    return import_config(text, mode=mode, jobs=10, **more)


def refused(text: str, mode: str = "strict") -> str:
    with pytest.raises(Invalid) as caught:
        imported(text, mode)
    assert caught.value.code == "bad-configuration"
    return "; ".join(map(str, caught.value.problems)) or caught.value.message


def lists_of_lists(depth: int) -> dict[str, Any]:
    return {"a0": ["lol"], **{f"a{level}": [f"$(a{level - 1})"] * 10 for level in range(1, depth)}}


@pytest.mark.parametrize("mode", ["strict", "exact"])
@pytest.mark.parametrize(
    ("args", "steering"),
    [
        ("$(a9)", lists_of_lists(10)),
        ("$len($(a9))", lists_of_lists(10)),
        ("$(a)z", {"a": ["$(x)"] * 9000, "x": "y" * 60_000}),
        ("$(a)" * 16_000, {"a": ["x" * 6] * 6000}),
        (["$(job)"] * 30_000, {}),
        ("x" * 100_000, {}),
    ],
    ids=["lists", "lists-counted", "long-texts", "one-list-often", "arguments", "one-word"],
)
def test_what_grows_without_bound_is_refused_at_its_place(args: Any, steering: dict[str, Any], mode: str) -> None:
    said = refused(configuration(args, steering), mode)
    assert f"{MODULE}.args" in said or "steering.parameters: up to here" in said


def test_parts_of_parts_have_an_end() -> None:
    said = refused(configuration("$(a)" + "[0]" * 1000, {"a": [[[1]]]}))
    assert f"{MODULE}.args" in said
    assert "parts of parts" in said


def test_parts_of_parts_are_counted_where_they_are_pasted_too() -> None:
    assert expand("$(a)" + "[0]" * 1000, job={"a": [[[1]]]}, mode="exact").startswith("1")


def test_an_import_has_work_for_so_much_and_says_where_it_ended() -> None:
    tasks = [
        {
            "name": f"t{number}",
            "parameters": {f"p{at}": f"$(job)-$(p{at + 1})" for at in range(200)},
            "trays": [{"modules": [{"src": "/a.py", "args": "$(p0)"}]}],
        }
        for number in range(10)
    ]
    assert "takes more work than any that does something" in refused(json.dumps({"version": 3.2, "tasks": tasks}))


def test_many_parameters_are_read_once_each() -> None:
    chained = {"a0": "x", **{f"a{number}": f"$(a{number - 1})" for number in range(1, 2000)}}
    assert "a1999:" in imported(configuration("$(a1999)", chained)).text
    waiting = {f"a{number}": f"$(iter)-{number}" for number in range(500)}
    assert "0-499" in imported(configuration("$(a499)", waiting)).text


def test_a_key_that_stands_twice_among_many_is_named() -> None:
    many = ",".join(f'"a{number}":1' for number in range(50_000))
    assert 'the key "a49999" stands twice' in refused(f'{{"options": {{{many},"a49999":2}}}}')


def test_keys_without_meaning_are_told_one_by_one_up_to_a_thousand() -> None:
    assert "over 1000 keys that have no meaning" in refused(configuration("x", **{f"k{n}": n for n in range(5000)}))


@pytest.mark.parametrize("sign", ["1", "0", "%"])
def test_a_format_without_end_is_read_once(sign: str) -> None:
    text = f"$sprintf('%{sign * 60_000}',$(job))"
    assert sign * 100 in expand(text, job={"options": {"job": 3}}, mode="exact")
    with pytest.raises(Invalid, match="%"):
        expand(text, job={"options": {"job": 3}})


def test_phrases_and_values_too_deep_in_each_other_are_an_error() -> None:
    deep = {f"a{at}": "$eval(" * 45 + f"1+$(a{at + 1})" + ")" * 45 for at in range(49)} | {"a49": "1"}
    assert f"{MODULE}.args" in refused(configuration("$(a0)", deep))
    with pytest.raises(Invalid, match="too deep"):
        expand("$(a0)", job={"steering": {"parameters": deep}})


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 6000])
def test_a_number_that_is_none_is_refused_at_its_place(number: str) -> None:
    text = configuration("x", options={"n": "NUMBER"}).replace('"NUMBER"', number)
    assert "options.n: this is no number" in refused(text)


@pytest.mark.parametrize("key", ["cpu", "gpu", "memory", "disk", "time"])
def test_more_than_there_is_of_anything_is_refused(key: str) -> None:
    assert f"requirements.{key}" in refused(configuration("x", task={"requirements": {key: 10**299}}))


def test_nothing_is_lost_without_a_word() -> None:
    said = refused(configuration({"args": 1, "kwargs": 2}))
    assert f"{MODULE}.args.args: it is no list" in said
    assert f"{MODULE}.args.kwargs: it is no table" in said
    assert "categories" in refused(configuration("x", categories={"a": 1}))
    assert "description" in refused(configuration("x", description=["a"]))
    job = imported(configuration("$(job)", options={"job": 7}))
    assert "/a.py 7" in job.text
    assert any(item.path == "options.job" for item in job.findings)


def test_a_sum_of_known_values_is_one_or_an_error_with_its_place() -> None:
    made = imported(configuration("$sum($steering(l))", {"l": ["1", "2"]}))
    assert "/a.py 3" in made.text
    compiled(made)
    numbers = imported(configuration("$max($steering(l))", {"l": [4, 2]}))
    assert "{max(l)}" in numbers.text
    compiled(numbers)
    assert f"{MODULE}.args: $sum($steering(l)) needs numbers" in refused(
        configuration("$sum($steering(l))", {"l": ["x"]})
    )


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([{"local": {"a": 1}}], "its name on the machine is no text"),
        ([{"filename": "file:///\ud800"}], "no list of files"),
        ([*({"filename": f"file:///{n}"} for n in range(1000)), {"job_index": 50_000}], "over 100,000"),
    ],
)
def test_files_of_tasks_that_are_none_are_refused(entries: list[dict[str, Any]], said: str) -> None:
    listed = [{"filename": "file:///x", "task_name": "t", "job_index": 0, **entry} for entry in entries]
    with pytest.raises(Invalid, match=said):
        import_config(configuration("$(input)", task={"task_files": True}), task_files=json.dumps(listed))
