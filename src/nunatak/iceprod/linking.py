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
    found: dict[Any, dict[int, tuple[str, str]]] = field(default_factory=dict)  # by the number of the task
    making: dict[Any, int] = field(default_factory=dict)  # those tasks: a bit for every one
    before: dict[str, int] = field(default_factory=dict)  # the tasks before each: a bit for every one
    numbers: dict[str, int] = field(default_factory=dict)
    optional: set[tuple[str, str]] = field(default_factory=set)  # files that need not appear

    def add(self, task: Made) -> None:
        """Take note of what a task makes."""
        number = self.numbers[task.name] = len(self.numbers)
        self.before[task.name] = self._before(task.after)
        for name, move in task.files.outputs.items():
            place = _place(move)
            self.found.setdefault(place, {}).setdefault(number, (task.name, name))
            self.making[place] = self.making.get(place, 0) | 1 << number
            self.optional |= {(task.name, name)} if move.optional else set()

    def maker(self, move: Move, after: Sequence[str]) -> tuple[str, str] | None:
        """Return the task that makes a file, of several before this one the last, and what it calls the file.

        `after` are the tasks just before. Where neither of two comes after the other, it is noted that chance would decide.
        """
        place = _place(move)
        making = self.making.get(place, 0) & self._before(after) if place in self.making else 0
        if not making:
            return None
        last = making.bit_length() - 1
        name, file = self.found[place][last]
        apart = making & ~(1 << last) & ~self.before[name]
        if apart and move.url == "" and move.kind == "job_temp":
            other = self.found[place][apart.bit_length() - 1][0]
            said = f"{template(move.name)} is made by {other} and by {name}, and neither comes after the other"
            self.findings.wrong(move.path, said, "name one of them in `depends` of the other, or give it another name")
        return name, file

    def follows(self, task: str, other: str) -> bool:
        """Tell whether a task comes after another one."""
        return bool(self.before[task] >> self.numbers[other] & 1)

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


def colliding(tasks: Iterable[Made], makers: Makers) -> None:
    """Note outputs that two jobs would write to one place, or two tasks of which neither comes after the other.

    Where one does, it writes the file anew: what the earlier made is kept until the job is done, for those that read it.
    """
    findings = makers.findings
    seen: dict[str, tuple[Made, Move]] = {}
    for task in tasks:
        for move in task.files.outputs.values():
            place = _written(move)
            if not place:
                continue
            if place in seen:
                _anew(place, seen[place], (task, move), makers)
            elif makers.jobs > 1 and "{" not in place.replace("{{", "").replace("}}", ""):
                said = f"all {makers.jobs} jobs would write to {place}"
                findings.wrong(move.path, said, "put $(job) into the name")
            seen[place] = task, move


def _written(move: Move) -> str:
    """Return where an output lies in the end, "" for one that is kept no longer than its job."""
    if move.url != "":
        return str(template(move.url))
    return "" if move.kind == "job_temp" else f"{move.kind}/{template(move.name)}"


def _anew(place: str, earlier: tuple[Made, Move], later: tuple[Made, Move], makers: Makers) -> None:
    """Let the later of two tasks write a file anew, or note why it cannot."""
    (first, before), (task, move) = earlier, later
    if first is task or not makers.follows(task.name, first.name):
        said = f"{place} is an output of {first.name} too"
        hint = "give one of them another name" + (
            "" if first is task else ", or name one task in `depends` of the other"
        )
        makers.findings.wrong(move.path, said, hint)
        return
    if move.optional and template(move.name) not in {template(read.name) for read in task.files.inputs.values()}:
        said = f"{place} is an output of {first.name}, and need not be written anew"
        makers.findings.wrong(move.path, said, "give it another name, or take it as an input as well: movement both")
        return
    for entry in first.entry["outputs"]:
        if entry["name"] == template(before.name):
            entry.pop("to", None)
            entry["temporary"] = True
    said = f"{place} is written anew by {task.name}: until the job is done this one is kept for the tasks between"
    makers.findings.add("translated", before.path, said, f"what lies there in the end is that of {task.name}")
