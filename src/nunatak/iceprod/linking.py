"""What hangs tasks of a configuration together: files that one makes and another reads, and who may move them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from nunatak.core.schemes import FEATURES
from nunatak.iceprod.commands import Run
from nunatak.iceprod.deferred import template
from nunatak.iceprod.findings import Findings
from nunatak.iceprod.transfers import Files, Move, feature, put_together
from nunatak.iceprod.words import quoted

BEFORE = "before."
"""What begins the name under which a file comes that a task changes: none is input and output of a task by one name."""


@dataclass(slots=True)
class Made:
    """A task as the recipe has it, with what others may read of it. `name` and `after` are names of the recipe."""

    name: str
    entry: dict[str, Any]
    files: Files
    after: list[str]


@dataclass(slots=True)
class Makers:
    """Who makes which file, by where it lies."""

    findings: Findings
    jobs: int
    found: dict[Any, list[tuple[str, str]]] = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)  # the tasks before each: a bit for every one
    numbers: dict[str, int] = field(default_factory=dict)
    optional: set[tuple[str, str]] = field(default_factory=set)  # files that need not appear

    def add(self, task: Made) -> None:
        """Take note of what a task makes."""
        self.numbers[task.name] = len(self.numbers)
        self.before[task.name] = self._before(task.after)
        for name, move in task.files.outputs.items():
            self.found.setdefault(_place(move), []).append((task.name, name))
            self.optional |= {(task.name, name)} if move.optional else set()

    def maker(self, move: Move, after: Sequence[str]) -> tuple[str, str] | None:
        """Return the earlier task that makes a file, and what it calls it; `after` are the tasks just before."""
        makers = self.found.get(_place(move), [])
        if not makers:
            return None
        before = self._before(after)
        return next((maker for maker in makers if before >> self.numbers[maker[0]] & 1), None)

    def _before(self, after: Iterable[str]) -> int:
        found = 0
        for name in after:
            found |= self.before[name] | 1 << self.numbers[name]
        return found

    def moved(
        self, run: Run, files: Files, after: Sequence[str], features: list[str]
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the commands, before them those that rename what a task changes, the inputs and the outputs.

        What a machine must have to move them is added to `features`.
        """
        first, inputs = [], []
        for move in files.inputs.values():
            features.append(feature(move, self.findings))
            inputs.append(self._input(move, self.maker(move, after)))
            if inputs[-1]["to"] in files.outputs:
                kept = put_together(BEFORE, move.name)
                inputs[-1]["to"] = template(kept)
                first.append(_brought(kept, move))
        inputs += [{"from": template(url), "to": local} for local, url in run.fetched.items()]
        features += [FEATURES.get(template(url).partition("://")[0].lower(), "") for url in run.fetched.values()]
        features += [feature(move, self.findings) for move in files.outputs.values()]
        return [*first, *run.commands], inputs, [_output(move) for move in files.outputs.values()]

    def _input(self, move: Move, maker: tuple[str, str] | None) -> dict[str, Any]:
        name = template(move.name)
        if maker:
            source = "/".join(maker)
        elif move.url != "":
            source = template(move.url)
        else:
            if move.kind == "job_temp":
                self.findings.wrong(
                    move.path, f'no earlier task of the job makes "{name}"', "name the task that does in `depends`"
                )
            source = f"{{store}}/{{dataset}}/{move.kind}/{name}"
        entry: dict[str, Any] = {"from": source, "to": name}
        if maker in self.optional and not move.optional:
            self.findings.add("translated", move.path, f"optional, since {source} need not appear")
        if move.optional or maker in self.optional:
            entry["optional"] = True
        return entry


def _place(move: Move) -> tuple[str, str, str]:
    return (move.kind, template(move.url), "") if move.url != "" else (move.kind, "", template(move.name))


def _brought(kept: Any, move: Move) -> dict[str, Any]:
    """Return the command that copies a file under the name by which it is changed."""
    names = f"{quoted(kept)} {quoted(move.name)}"
    if move.optional:
        return {"run": f'/bin/sh -c \'[ ! -e "$1" ] || install -D -m 644 "$1" "$2"\' sh {names}'}
    return {"run": f"install -D -m 644 {names}"}


def _output(move: Move) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": template(move.name)}
    if move.url != "":
        entry["to"] = template(move.url)
    elif move.kind == "job_temp":
        entry["temporary"] = True
    else:
        entry["to"] = f"{move.kind}/{template(move.name)}"
    if move.optional:
        entry["optional"] = True
    return entry


def colliding(tasks: Iterable[Made], jobs: int, findings: Findings) -> None:
    """Note outputs that two jobs or two tasks would write to one place."""
    seen: dict[str, str] = {}
    for task in tasks:
        for move in task.files.outputs.values():
            place = template(move.url) if move.url != "" else ""
            if move.url == "" and move.kind in ("dataset_temp", "site_temp"):
                place = f"{move.kind}/{template(move.name)}"
            if not place:
                continue
            if place in seen:
                findings.wrong(move.path, f"{place} is an output of {seen[place]} too", "give one of them another name")
            elif jobs > 1 and "{" not in place.replace("{{", "").replace("}}", ""):
                findings.wrong(move.path, f"all {jobs} jobs would write to {place}", "put $(job) into the name")
            seen[place] = task.name
