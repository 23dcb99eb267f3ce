"""A checked configuration to a recipe: its tasks, what they run, read, make and need."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nunatak.iceprod.commands import Run, add_module
from nunatak.iceprod.deferred import Deferred, Mixed, template
from nunatak.iceprod.findings import Path
from nunatak.iceprod.nearest import nearest
from nunatak.iceprod.needs import batch_system, needs
from nunatak.iceprod.scope import Scope, Whole, table_name
from nunatak.iceprod.strict import whole
from nunatak.iceprod.taskfiles import TaskFiles
from nunatak.iceprod.transfers import TOOL, TOOLS, Files, Move, by_tool, moving, scheme

DEFAULTS = {
    "resource_url": "http://prod-exe.icecube.wisc.edu/",
    "data_url": "gsiftp://gridftp.icecube.wisc.edu/",
    "svn_repository": "http://code.icecube.wisc.edu/svn/",
}
"""The options that IceProd gives where a configuration does not."""


@dataclass(slots=True)
class Made:
    """A task as the recipe has it, with what others may read of it."""

    name: str
    entry: dict[str, Any]
    files: Files
    after: list[str]


@dataclass(slots=True)
class Draft:
    """The recipe while it is put together."""

    shared: Whole
    task_files: TaskFiles
    tasks: dict[str, Made] = field(default_factory=dict)
    sources: dict[str, None] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    helpers: set[str] = field(default_factory=set)


def draft(shared: Whole, task_files: TaskFiles) -> Draft:
    """Return all tasks; what is wrong is noted."""
    made = Draft(shared, task_files)
    config = shared.config
    if not config["tasks"]:
        shared.findings.wrong(("tasks",), "there are no tasks")
    names = [task["name"] for task in config["tasks"]]
    outer = Scope(shared, {**DEFAULTS, **config["options"]}).inside(config["steering"]["parameters"])
    for number, task in enumerate(config["tasks"]):
        path: Path = ("tasks", number)
        if not isinstance(task["name"], str) or not task["name"].strip():
            shared.findings.wrong((*path, "name"), "the task has no name")
        elif task["name"] in names[:number]:
            shared.findings.wrong(
                (*path, "name"), f'"{task["name"]}" is the name of another task too', "give it another name"
            )
        else:
            after = _after(task["depends"], number, names, (*path, "depends"), shared)
            made.tasks[task["name"]] = _task(made, number, task, after, outer)
    _colliding(made)
    return made


def _after(depends: Any, number: int, names: Sequence[Any], path: Path, shared: Whole) -> list[str]:
    found: list[str] = []
    for place, given in enumerate(depends if isinstance(depends, list) else [depends]):
        if given in names:
            other = names.index(given)
        elif whole(given) is not None:
            other = int(whole(given) or 0)
        elif isinstance(given, str) and (":" in given or "/" in given):
            shared.findings.add(
                "dropped", (*path, place), f"{given} is a task of another dataset",
                "submit when that one is done, or name its files as inputs: 41/{job}/TASK/FILE",
            )  # fmt: skip
            continue
        else:
            shared.findings.wrong(
                (*path, place), f"there is no task {json.dumps(given)}", nearest(str(given), map(str, names))
            )
            continue
        if not 0 <= other < len(names):
            shared.findings.wrong(
                (*path, place), f"there is no task number {other}", f"there are {len(names)}; the first is 0"
            )
        elif other == number:
            shared.findings.wrong((*path, place), "the task depends on itself", "remove it")
        elif other > number:
            shared.findings.wrong(
                (*path, place), f'"{names[other]}" comes later', "put the tasks in the order they run"
            )
        else:
            found.append(names[other])
    return list(dict.fromkeys(found))


def _task(made: Draft, number: int, task: Mapping[str, Any], after: list[str], outer: Scope) -> Made:
    path: Path = ("tasks", number)
    shared, name = made.shared, task["name"]
    files, run = Files(), Run()
    address = Mixed(((Deferred("dataset"), ""), "-", (Deferred("job"), ""), f"-{name}"))
    named = outer.with_options(task=name, task_id=address, debug=False)
    files.take(made.task_files.data(task, path, shared.findings), named)
    files.take(shared.config["steering"]["data"], named)
    inside = named.inside(task["parameters"])
    files.take(task["data"], inside)
    if not task["trays"]:
        shared.findings.wrong((*path, "trays"), "the task has no trays, and so nothing to run")
    for place, tray in enumerate(task["trays"]):
        _tray(run, files, tray, (*path, "trays", place), inside)
    asked, features = needs(task, path, outer.with_options(task=number))
    batch_system(task["batchsys"] or shared.config["steering"]["batchsys"], path, outer)
    _tokens(task, path, shared)
    return _written(made, name, path, run, files, after, asked, features)


def _tray(run: Run, files: Files, tray: Mapping[str, Any], path: Path, outside: Scope) -> None:
    findings = outside.whole.findings
    times = whole(outside.text(tray["iterations"], (*path, "iterations")))
    if times is None or times < 1:
        findings.wrong((*path, "iterations"), f"{json.dumps(tray['iterations'])} is no number of times", "at least 1")
        return
    if not tray["modules"]:
        findings.wrong((*path, "modules"), "the tray has no modules, and so nothing to run")
    if times * len(tray["modules"]) > 100:
        findings.wrong((*path, "iterations"), "over 100 commands in one task", "use several tasks")
        return
    for turn in range(times):
        inside = outside.with_options(iter=turn).inside(tray["parameters"])
        files.take(tray["data"], inside)
        for place, module in enumerate(tray["modules"]):
            at = (*path, "modules", place)
            innermost = inside.inside(module["parameters"])
            files.take(module["data"], innermost)
            known = innermost.with_options(input=files.names("input"), output=files.names("output"))
            add_module(run, module, at, known)


def _tokens(task: Mapping[str, Any], path: Path, shared: Whole) -> None:
    for prefix, scopes in task["token_scopes"].items() if isinstance(task["token_scopes"], dict) else ():
        shared.findings.add(
            "dropped", (*path, "token_scopes", prefix), f"files there need a token with {scopes}",
            "the engine or the site has to have one",
        )  # fmt: skip
    if task["task_files"] and not task["token_scopes"]:
        shared.findings.add("translated", (*path, "task_files"), "without token_scopes, which IceProd 3.2 would refuse")


def _written(
    made: Draft, name: str, path: Path, run: Run, files: Files, after: list[str], asked: dict[str, Any], features: list[str]
) -> Made:  # fmt: skip
    findings = made.shared.findings
    before = _ancestors(made, after)
    commands, inputs, outputs = _moved(made, run, files, before, features)
    helpers = sorted(run.helpers | ({TOOL} if len(commands) > len(run.commands) else set()))
    made.helpers |= set(helpers)
    fetched = {template(move.name) for move in files.inputs.values()} | set(run.fetched)
    beside = [source for source in run.sources if source not in fetched]
    for written, text in run.written.items():
        if made.written.setdefault(written, text) != text:
            hint = "give one of them another name"
            findings.wrong(path, f"{written} is written by two tasks with different content", hint)
    made.sources |= dict.fromkeys(beside)
    image = asked.pop("image", "")
    if "/cvmfs/" in json.dumps([commands, image]):
        features.append("cvmfs")
        findings.add("asks", path, "CVMFS on the machine: the feature cvmfs")
    asked |= {"features": sorted(set(features))} if features else {}
    entry = {
        "after": after,
        "run": [_short(command) for command in commands] if len(commands) != 1 else _short(commands[0]),
        "files": [*beside, *run.written, *helpers],
        "inputs": inputs,
        "outputs": outputs,
        "needs": asked,
        "environment": {"image": image} if image else {},
    }
    return Made(name, {key: value for key, value in entry.items() if value}, files, after)


def _moved(
    made: Draft, run: Run, files: Files, before: Sequence[Made], features: list[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the commands, those that move files by tools of the node around the modules', the inputs and the outputs."""
    findings = made.shared.findings
    first, last, inputs, outputs = [], [], [], []
    for move in files.inputs.values():
        feature = "" if _maker(move, before) else by_tool(move, findings)
        if feature:
            features.append(feature)
            first.append(moving("get", move))
        else:
            inputs.append(_input(move, before, made))
    inputs += [{"from": template(url), "to": local} for local, url in run.fetched.items()]
    for move in files.outputs.values():
        feature = by_tool(move, findings)
        if feature:
            features.append(feature)
            last.append(moving("put", move))
        else:
            outputs.append(_output(move))
    return [*first, *run.commands, *last], inputs, outputs


def _short(command: dict[str, Any]) -> Any:
    return command["run"] if set(command) == {"run"} else command


def _ancestors(made: Draft, after: Sequence[str]) -> list[Made]:
    found: dict[str, Made] = {}
    ahead = list(after)
    while ahead:
        name = ahead.pop()
        if name in made.tasks and name not in found:
            found[name] = made.tasks[name]
            ahead += made.tasks[name].after
    return list(found.values())


def _maker(move: Move, before: Sequence[Made]) -> tuple[str, str] | None:
    """Return the earlier task that makes a file, and what it calls it."""
    for task in before:
        for name, made in task.files.outputs.items():
            same = (
                template(made.url) == template(move.url)
                if move.url != ""
                else made.url == "" and name == template(move.name)
            )
            if same and move.kind == made.kind and not _by_a_tool(made):
                return task.name, name
    return None


def _by_a_tool(move: Move) -> bool:
    return scheme(move) in TOOLS


def _input(move: Move, before: Sequence[Made], made: Draft) -> dict[str, Any]:
    maker = _maker(move, before)
    name = template(move.name)
    if maker:
        source = "/".join(maker)
    elif move.url != "":
        source = template(move.url)
    else:
        if move.kind == "job_temp":
            made.shared.findings.wrong(
                move.path, f'no earlier task of the job makes "{name}"', "name the task that does in `depends`"
            )
        source = f"{{store}}/{{dataset}}/{move.kind}/{name}"
    entry: dict[str, Any] = {"from": source, "to": name}
    if move.optional:
        entry["optional"] = True
    return entry


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


def _colliding(made: Draft) -> None:
    """Note outputs that two jobs or two tasks would write to one place."""
    seen: dict[str, str] = {}
    for task in made.tasks.values():
        for move in task.files.outputs.values():
            place = template(move.url) if move.url != "" else ""
            if move.url == "" and move.kind in ("dataset_temp", "site_temp"):
                place = f"{move.kind}/{template(move.name)}"
            if not place:
                continue
            if place in seen:
                made.shared.findings.wrong(
                    move.path, f"{place} is an output of {seen[place]} too", "give one of them another name"
                )
            elif made.shared.jobs > 1 and "{" not in place.replace("{{", "").replace("}}", ""):
                made.shared.findings.wrong(
                    move.path, f"all {made.shared.jobs} jobs would write to {place}", "put $(job) into the name"
                )  # fmt: skip
            seen[place] = task.name


def parameters(made: Draft) -> dict[str, Any]:
    """Return the parameters the recipe's tasks mention."""
    text = json.dumps([task.entry for task in made.tasks.values()])
    found: dict[str, Any] = {}
    pending = [name for name in made.shared.used if name in text]
    while pending:
        name = pending.pop(0)
        if name not in found:
            found[name] = template(made.shared.used[name][1])
            pending += [other for other in made.shared.used if other in json.dumps(found[name])]
    order = [name for name in made.shared.config["steering"]["parameters"] if name in found]
    listed = {name: found[name] for name in order}
    for number, table in enumerate(made.shared.tables):
        listed[table_name(number)] = template(table)
    return listed
