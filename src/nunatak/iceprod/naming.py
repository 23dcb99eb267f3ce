"""Names of tasks, and which comes after which."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from nunatak.core.spelling import nearest
from nunatak.iceprod.findings import Findings, Path
from nunatak.iceprod.strict import whole

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}\Z")
_OURS = re.compile(r"[1-9]\d{0,8}\Z", re.ASCII)
_INDEX = re.compile(r"\d{1,3}\Z", re.ASCII)
_TASK_ID = re.compile(r"[0-9a-f]{32}\Z|\d+[-/]\d+[-/]\w", re.ASCII)
"""How one task of one job is called, in IceProd and here."""


def recipe_names(tasks: Sequence[Mapping[str, Any]], findings: Findings) -> list[str | None]:
    """Return what each task is called in the recipe; None for one whose name is missing or that of another."""
    given = [task["name"] for task in tasks]
    first = numbered(tasks)
    taken = {name for name in given if isinstance(name, str) and _NAME.match(name)}
    found: list[str | None] = []
    for number, name in enumerate(given):
        path: Path = ("tasks", number, "name")
        found.append(None)
        if not isinstance(name, str) or not name.strip():
            findings.wrong(path, "the task has no name", "give it one: $(task) and `depends` refer to it")
        elif first[name] < number:
            findings.wrong(path, f'"{name}" is the name of another task too', "give it another name")
        else:
            found[-1] = name if name in taken else _spelled(name, taken)
            if name not in taken:
                findings.add("translated", path, f'"{name}" is called {found[-1]}; $(task) stays as it is')
            taken.add(found[-1] or "")
    return found


def _spelled(name: str, taken: set[str]) -> str:
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", name.strip())
    plain = (plain if plain[:1].isalpha() else f"task_{plain}")[:60]
    number, found = 1, plain
    while found in taken:
        number += 1
        found = f"{plain}_{number}"
    return found


def numbered(tasks: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return the number of the first task of each name."""
    found: dict[str, int] = {}
    for number, task in enumerate(tasks):
        found.setdefault(task["name"], number)
    return found


def before(
    depends: Any, number: int, names: Mapping[str, int], count: int, path: Path, findings: Findings,
    datasets: Mapping[str, int] = {},
) -> tuple[list[int], list[str]]:  # fmt: skip
    """Return the numbers of the tasks that one comes after, and what it comes after in other datasets, as a recipe says it.

    `names` has the number of each task, `count` is how many there are, `datasets` the numbers here of datasets there.
    """
    found: list[int] = []
    others: list[str] = []
    for place, given in enumerate(depends if isinstance(depends, list) else [depends]):
        if isinstance(given, str) and given in names:
            other = names[given]
        elif whole(given) is not None:
            other = int(whole(given) or 0)
        elif isinstance(given, str) and ":" in given:
            others += _elsewhere(given, datasets, (*path, place), findings)
            continue
        elif isinstance(given, str) and _TASK_ID.match(given):
            hint = (
                "name its dataset and task, DATASET:TASK: each job comes after its like; or submit this when it is done"
            )
            findings.wrong((*path, place), f"{given} is one task of one job, and all jobs would come after it", hint)
            continue
        else:
            findings.wrong(
                (*path, place), f"there is no task {json.dumps(given)}", nearest(str(given), map(str, names))
            )
            continue
        if not 0 <= other < count:
            findings.wrong((*path, place), f"there is no task number {other}", f"there are {count}; the first is 0")
        elif other == number:
            findings.wrong((*path, place), "the task depends on itself", "remove it")
        elif other > number:
            findings.wrong((*path, place), f'"{given}" comes later', "put the tasks in the order they run")
        else:
            found.append(other)
    return list(dict.fromkeys(found)), list(dict.fromkeys(others))


def _elsewhere(given: str, datasets: Mapping[str, int], path: Path, findings: Findings) -> list[str]:
    """Return how a recipe names DATASET:TASK, a task of the same job of another dataset; nothing if it is not to be waited for.

    IceProd's datasets have long names, and ours numbers: a short number is one of ours, unless something else is said of it.
    """
    dataset, _, task = given.partition(":")
    number = datasets.get(dataset, int(dataset) if _OURS.match(dataset) else None)
    if number is None:
        hint = (
            f"say which it is here: --dataset {dataset}=NUMBER, or --dataset {dataset}= if it is done already"
            " (on the page New: Other datasets)"
        )
        findings.wrong(path, f"{given} is a task of another dataset, whose number here is not known", hint)
        return []
    if not number:
        findings.add("dropped", path, f"{given} is a task of another dataset, which is said to be done already")
        return []
    name = task if _NAME.match(task) or _INDEX.match(task) else _spelled(task, set())
    said = f"{number}/{{job}}/{name}"
    findings.add("translated", path, f"{given} is {said}: the task {name} of the same job of dataset {number} here")
    return [said]
