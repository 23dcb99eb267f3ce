"""What of a recipe was written otherwise, in words for people. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nunatak.core.units import memory_text, time_text
from nunatak.core.work import Shape
from nunatak.datasets.plan import Plan, Retry, TaskPlan

FIELDS = {
    "commands": "run", "files": "files", "inputs": "inputs", "outputs": "outputs", "variables": "environment",
    "setup": "setup", "image": "image", "requirements": "requirements",
    "retry": "retry", "learn": "learn", "checkpoint": "checkpoint", "splittable": "splittable", "engines": "engines",
}  # fmt: skip
"""What of a task may be changed beside its parameters and needs, by what a recipe calls it."""
LONG = 200
"""Characters of a value that are shown."""
MOST_NAMES = 5
"""Tasks that are named."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is written otherwise: `task` is "" for the dataset, `before` and `after` are in words, "" for nothing."""

    task: str
    what: str
    before: str
    after: str

    @property
    def text(self) -> str:
        """Return it in one line."""
        place = f"{self.task} {self.what}".strip()
        return f"{place}: {self.before or 'nothing'} -> {self.after or 'nothing'}"

    def to_plain(self) -> dict[str, str]:
        """Return a JSON-able dictionary."""
        return asdict(self)


def gathered(found: Iterable[Change]) -> list[Change]:
    """Return changes for somebody to read: what is changed alike in several tasks is one, with all their names."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for one in found:
        alike.setdefault((one.what, one.before, one.after), []).append(one.task)
    return [Change(_some(tasks), *said) for said, tasks in alike.items()]


def _some(names: list[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def changes(old: Plan, new: Plan) -> Iterator[Change]:
    """Say what is written otherwise, task by task. Both plans have the same tasks in the same order."""
    for name in ("name", "description"):
        if getattr(old, name) != getattr(new, name):
            yield Change("", name, _short(getattr(old, name)), _short(getattr(new, name)))
    yield from _of_parameters("", old.parameters, new.parameters)
    for name in sorted(old.files.keys() | new.files.keys()):
        before, after = old.files.get(name), new.files.get(name)
        if before != after:
            yield Change("", f"file {name}", _file(before), _file(after))
    for was, now in zip(old.tasks, new.tasks, strict=True):
        yield from _of_task(was, now)


def _of_parameters(task: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        if (name in old) != (name in new) or old.get(name) != new.get(name):
            before, after = (_short(values[name]) if name in values else "" for values in (old, new))
            yield Change(task, f"parameter {name}", before, after)


def _of_task(old: TaskPlan, new: TaskPlan) -> Iterator[Change]:
    yield from _of_parameters(new.name, old.parameters, new.parameters)
    for attribute, what in FIELDS.items():
        before, after = getattr(old, attribute), getattr(new, attribute)
        if before != after:
            yield Change(new.name, what, *_both(attribute, before, after))
    if (old.needs, old.shape) != (new.needs, new.shape):
        both = old.shape is None and new.shape is None
        before, after = _both("needs", old.needs, new.needs) if both else (_needs(old), _needs(new))
        yield Change(new.name, "needs", before, after if after != before else f"{after}, written otherwise")


def _needs(task: TaskPlan) -> str:
    return _shape(task.shape) if task.shape else _short(dict(task.needs))


def _shape(shape: Shape) -> str:
    words = [f"{shape.cpu} CPU", memory_text(shape.memory), f"{memory_text(shape.disk)} disk", time_text(shape.time)]
    words += [f"{shape.gpu} GPU"] if shape.gpu else []
    return ", ".join([*words, *filter(None, (shape.platform, *shape.features))])


def _both(attribute: str, before: Any, after: Any) -> tuple[str, str]:
    """Return what a field says before and after; of one with names in it those of which something else is said."""
    was, now = (_flat(value) if isinstance(value, Mapping | Retry) else None for value in (before, after))
    if was is None or now is None:
        return _words(attribute, before), _words(attribute, after)
    other = [name for name in {**was, **now} if (name in was) != (name in now) or was.get(name) != now.get(name)]
    text = [_short(", ".join(f"{name} {_short(of[name])}" for name in other if name in of)) for of in (was, now)]
    return text[0], text[1]


def _flat(value: Any) -> dict[str, Any]:
    """Return what stands under each name, `memory.factor` for one within another."""
    found = {}
    for name, item in (asdict(value) if isinstance(value, Retry) else value).items():
        below = _flat(item) if isinstance(item, Mapping) else {"": item}
        found.update({f"{name}.{inner}" if inner else name: of for inner, of in below.items()})
    return found


def _words(attribute: str, value: Any) -> str:
    """Return what a field of a task says, in words."""
    if attribute == "commands":
        return _short("; ".join(" ".join(command.words) for command in value))
    if attribute == "outputs":
        return _short(", ".join(f"{item.name} -> {item.url}" if item.url else item.name for item in value))
    if attribute == "inputs":
        return _short(", ".join(item.url or item.file or f"{item.task}/{item.output}" for item in value))
    return _short(value)


def _file(stored: Any) -> str:
    return f"{stored.sha256[:12]}, {memory_text(stored.size)}" if stored else ""


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= LONG else f"{text[: LONG - 3]}..."
