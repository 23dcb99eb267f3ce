"""A checked configuration to a recipe: its tasks, what they run, read, make and need."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nunatak.iceprod.batchsys import batch_system
from nunatak.iceprod.commands import Run, add_module
from nunatak.iceprod.deferred import Deferred, Mixed, template
from nunatak.iceprod.findings import Findings, Path
from nunatak.iceprod.linking import Made, Makers, colliding
from nunatak.iceprod.naming import before, numbered, recipe_names
from nunatak.iceprod.needs import needs
from nunatak.iceprod.scope import Scope, Whole, table_name
from nunatak.iceprod.strict import whole
from nunatak.iceprod.taskfiles import TaskFiles
from nunatak.iceprod.transfers import Files

DEFAULTS = {
    "resource_url": "http://prod-exe.icecube.wisc.edu/",
    "data_url": "gsiftp://gridftp.icecube.wisc.edu/",
    "svn_repository": "http://code.icecube.wisc.edu/svn/",
}
"""The options that IceProd gives where a configuration does not."""


@dataclass(slots=True)
class Draft:
    """The recipe while it is put together."""

    shared: Whole
    task_files: TaskFiles
    makers: Makers
    tasks: dict[str, Made] = field(default_factory=dict)
    sources: dict[str, None] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    helpers: set[str] = field(default_factory=set)


def draft(shared: Whole, task_files: TaskFiles) -> Draft:
    """Return all tasks; what is wrong is noted."""
    made = Draft(shared, task_files, Makers(shared.findings, shared.jobs))
    config = shared.config
    tasks = config["tasks"]
    if not tasks:
        shared.findings.wrong(("tasks",), "there are no tasks")
    task_files.strangers(tasks, shared.findings)
    names, known = recipe_names(tasks, shared.findings), numbered(tasks)
    shared.at = ("steering", "parameters")
    outer = Scope(shared, {**DEFAULTS, **config["options"]}).inside(config["steering"]["parameters"])
    for number, (task, name) in enumerate(zip(tasks, names, strict=True)):
        if name is not None:
            place = ("tasks", number, "depends")
            earlier, others = before(
                task["depends"], number, known, len(tasks), place, shared.findings, shared.datasets
            )
            after = [found for other in earlier if (found := names[other]) is not None]
            made.tasks[name] = _task(made, number, name, task, after, outer)
            if others:
                made.tasks[name].entry = {"after": [*after, *others], **_but_after(made.tasks[name].entry)}
            made.makers.add(made.tasks[name])
    colliding(made.tasks.values(), made.makers)
    return made


def _but_after(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "after"}


def _task(made: Draft, number: int, name: str, task: Mapping[str, Any], after: list[str], outer: Scope) -> Made:
    path: Path = ("tasks", number)
    shared = made.shared
    shared.at = path
    files, run = Files(tokens=tuple(filter(None, task["token_scopes"]))), Run()
    address = Mixed(((Deferred("dataset"), ""), "-", (Deferred("job"), ""), f"-{task['name']}"))
    named = outer.with_options(task=task["name"], task_id=address, debug=False)
    known = files.take(made.task_files.data(task, path, shared.findings), named)
    known = known.together(files.take(shared.config["steering"]["data"], named))
    inside = named.inside(task["parameters"])
    known = known.together(files.take(task["data"], inside))
    if not task["trays"]:
        shared.findings.wrong((*path, "trays"), "the task has no trays, and so nothing to run")
    for place, tray in enumerate(task["trays"]):
        _tray(run, files, known, tray, (*path, "trays", place), inside)
    count = Deferred(f"(jobs * {len(shared.config['tasks'])})", kind="int")
    asked, features = needs(task, path, outer.with_options(task=number, tasks_submitted=count))
    steered, by_task = shared.config["steering"]["batchsys"], task["batchsys"]
    where: Path = path if by_task else ("steering",)
    told = batch_system(by_task or steered, (*where, "batchsys"), outer)
    features += told.features
    features += _tokens(task, path, shared, files)
    return _written(made, name, path, run, files, after, asked, features, told.engines)


def _tray(run: Run, files: Files, known: Files, tray: Mapping[str, Any], path: Path, outside: Scope) -> None:
    findings = outside.whole.findings
    times = _times(tray["iterations"], (*path, "iterations"), outside, findings)
    if times is None:
        return
    if not tray["modules"]:
        findings.wrong((*path, "modules"), "the tray has no modules, and so nothing to run")
        return
    if times * len(tray["modules"]) > 100:
        findings.wrong((*path, "iterations"), "over 100 commands in one task", "use several tasks")
        return
    for turn in range(times):
        inside = outside.with_options(iter=turn).inside(tray["parameters"])
        in_tray = known.together(files.take(tray["data"], inside))
        for place, module in enumerate(tray["modules"]):
            at = (*path, "modules", place)
            innermost = inside.inside(module["parameters"])
            here = in_tray.together(files.take(module["data"], innermost))
            add_module(run, module, at, innermost.with_options(input=here.names("input"), output=here.names("output")))


def _times(given: Any, path: Path, outside: Scope, findings: Findings) -> int | None:
    """Return how often a tray is done; None, and a finding, if that is no number."""
    value = outside.text(given, path)
    if isinstance(value, Deferred) and isinstance(value.known, int | str):
        value = value.known
        findings.add("translated", path, f"{given} is {value} once and for all: --set does not change it")
    times = None if isinstance(value, bool) else whole(value)
    if times is None or times < 1:
        findings.wrong(path, f"{json.dumps(given)} is no number of times", "a whole number, at least 1")
        return None
    return times


def _tokens(task: Mapping[str, Any], path: Path, shared: Whole, files: Files) -> list[str]:
    """Return the feature of nodes that have the tokens for a task's files; note which tokens these are."""
    moved = [move.token for moves in (files.inputs, files.outputs) for move in moves.values() if move.token]
    for prefix, scopes in task["token_scopes"].items():
        place = (*path, "token_scopes", prefix)
        if prefix and any(url.startswith(prefix) for url in moved):
            shared.findings.add("asks", place, f"a token with {scopes} on the machine: the feature token")
        else:
            shared.findings.add("dropped", place, "no file of the task is there: no token is needed")
    if task["task_files"] and not task["token_scopes"]:
        shared.findings.add("translated", (*path, "task_files"), "without token_scopes, which IceProd 3.2 would refuse")
    return ["token"] if moved else []


def _written(
    made: Draft, name: str, path: Path, run: Run, files: Files, after: list[str], asked: dict[str, Any], features: list[str],
    engines: dict[str, Any],
) -> Made:  # fmt: skip
    findings = made.shared.findings
    commands, inputs, outputs = made.makers.moved(run, files, after, features)
    helpers = sorted(run.helpers)
    made.helpers |= set(helpers)
    fetched = {template(move.name) for move in files.inputs.values()} | set(run.fetched)
    beside = [source for source in run.sources if source not in fetched]
    beside += _kept(made, name, run, inputs)
    made.sources |= dict.fromkeys(source for source in beside if source not in made.written)
    image = asked.pop("image", "")
    if "/cvmfs/" in json.dumps([commands, image]):
        features.append("cvmfs")
        findings.add("asks", path, "CVMFS on the machine: the feature cvmfs")
    asked |= {"features": sorted(filter(None, set(features)))} if any(features) else {}
    entry = {
        "after": after,
        "run": [_short(command) for command in commands] if len(commands) != 1 else _short(commands[0]),
        "files": [*beside, *helpers],
        "inputs": inputs,
        "outputs": outputs,
        "needs": asked,
        "environment": {"image": image} if image else {},
        "engines": engines,
    }
    return Made(name, {key: value for key, value in entry.items() if value}, files, after)


def _kept(made: Draft, task: str, run: Run, inputs: list[dict[str, Any]]) -> list[str]:
    """Keep the files that a task has written from the configuration; return those that go by their own names.

    One of which another task has another content gets the task's name before its own, and its own where the task runs.
    """
    beside = []
    for name, text in run.written.items():
        if made.written.setdefault(name, text) == text:
            beside.append(name)
            continue
        other = f"{task}/{name}"
        made.written[other] = text
        inputs.append({"from": other, "to": name})
    return beside


def _short(command: dict[str, Any]) -> Any:
    return command["run"] if set(command) == {"run"} else command


def parameters(made: Draft) -> dict[str, Any]:
    """Return the parameters the recipe's tasks mention."""
    words = _words([[task.entry for task in made.tasks.values()], made.shared.tables])
    found: dict[str, Any] = {}
    pending = [name for name in made.shared.used if name in words]
    while pending:
        name = pending.pop(0)
        if name not in found:
            found[name] = template(made.shared.used[name][1])
            pending += [other for other in _words(found[name]) if other in made.shared.used]
    order = [name for name in made.shared.config["steering"]["parameters"] if name in found]
    listed = {name: found[name] for name in order}
    for number, table in enumerate(made.shared.tables):
        listed[table_name(number)] = table
    return listed


def _words(value: Any) -> set[str]:
    return set(re.findall(r"\w+", json.dumps(value)))
