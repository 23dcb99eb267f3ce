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
    depends: Any, number: int, names: Mapping[str, int], count: int, path: Path, findings: Findings
) -> list[int]:
    """Return the numbers of the tasks that one comes after; `names` has the number of each, `count` is how many there are."""
    found: list[int] = []
    for place, given in enumerate(depends if isinstance(depends, list) else [depends]):
        if isinstance(given, str) and given in names:
            other = names[given]
        elif whole(given) is not None:
            other = int(whole(given) or 0)
        elif isinstance(given, str) and (":" in given or "/" in given):
            findings.add(
                "dropped", (*path, place), f"{given} is a task of another dataset",
                "nunatak watch 41 && nunatak submit ... submits when 41 is done; its files are inputs as 41/{job}/TASK/FILE",
            )  # fmt: skip
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
    return list(dict.fromkeys(found))
