"""Verbs of recipes: check and try need no server, submit makes a dataset."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nunatak.cli.group import INTERRUPTED
from nunatak.cli.look import client, settle
from nunatak.cli.show import fact
from nunatak.cli.talk import AsJson, out, out_json, say
from nunatak.core.address import Address, parse
from nunatak.core.errors import Invalid, NotFound
from nunatak.core.units import count_text

if TYPE_CHECKING:
    from nunatak.cli.trial import Trial

app = typer.Typer(rich_markup_mode=None)

Recipe = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe file.")]
Jobs = Annotated[int | None, typer.Option("--jobs", min=1, help="How many jobs, in place of what the recipe says.")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Replace a parameter of the recipe; repeatable.")
]
Job = Annotated[int, typer.Option("--job", min=0, help="Which job.")]


def parameters_of(sets: Sequence[str] | None) -> dict[str, str]:
    """Read `k=v` words. Raises `Invalid`."""
    found = {}
    for word in sets or ():
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise Invalid(f"--set {word!r} has no value", code="bad-set", hint="write --set NAME=VALUE")
        found[name.strip()] = value
    return found


@app.command()
def check(recipe: Recipe, jobs: Jobs = None, sets: Sets = None, as_json: AsJson = False) -> None:
    """Check a recipe file and the files it names, without a server; every problem is printed with its place."""
    from nunatak.client import sending

    plan = sending.read(recipe, jobs, parameters_of(sets)).plan()
    tasks = [task.name for task in plan.tasks]
    if as_json:
        out_json({"name": plan.name, "jobs": plan.jobs, "tasks": tasks})
    else:
        out(f"{recipe}: {plan.name} is fine: {count_text(plan.jobs, 'job')}, tasks {', '.join(tasks)}")


@app.command("try")
def try_job(
    what: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE|ADDRESS",
            help="A recipe file, or what was submitted: 42, 42/17, 42/analyze, 42/17/propagate, or as it was: 42/17/propagate#2",
        ),
    ],
    job: Annotated[int | None, typer.Option("--job", min=0, help="Which job; the first, if not given.")] = None,
    task: Annotated[str | None, typer.Option(help="Only this task, and those it needs.")] = None,
    to: Annotated[
        Path | None, typer.Option(file_okay=False, help="An empty directory for the outputs; else a fresh one is made.")
    ] = None,
    jobs: Jobs = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Run one job here in the foreground and keep its outputs in a directory that is printed.

    Of a recipe file, no server is asked. Of an address, the server gives recipe, files and what earlier tasks made; the
    commands are those of the submitter and run with your rights. Outputs never go where those of the real task are.
    """
    trial = _trial(what, job, task, to, jobs, parameters_of(sets))
    try:
        outcomes = trial.run()
    except KeyboardInterrupt:
        say(f"\nstopped; logs and sandboxes are in {trial.directory}")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        out_json({"directory": str(trial.directory), "tasks": [outcome.to_plain() for outcome in outcomes]})
    else:
        for outcome in outcomes:
            for file in outcome.outputs:
                out(str(trial.path_of(file)))
    trial.conclude(outcomes)


def _trial(
    what: str, job: int | None, task: str | None, to: Path | None, jobs: int | None, parameters: dict[str, str]
) -> Trial:
    """Prepare a trial of a recipe file, or of what is at an address where there is no such file."""
    from nunatak.cli.trial import Trial

    address = None if Path(what).is_file() else _address(what)
    if address is None and not Path(what).exists():
        raise NotFound(
            f"there is no recipe {what}, nor is that an address", code="no-recipe",
            hint="an address is 42 (dataset), 42/17 (job), 42/17/propagate (task) or 42/analyze",
        )  # fmt: skip
    if address is None:
        return Trial.prepare(Path(what), job or 0, task, to, jobs, parameters)
    if jobs is not None or parameters:
        raise Invalid(
            f"{address} has the jobs and parameters it was submitted with", code="bad-use",
            hint=f"--jobs and --set are for recipe files; its own is printed by: nunatak recipe {address.dataset}",
        )  # fmt: skip
    from nunatak.cli import submitted

    return submitted.prepare(client(), submitted.wanted(address, job, task), to)


def _address(text: str) -> Address | None:
    try:
        return parse(text)
    except Invalid:
        return None


@app.command()
def submit(
    recipe: Recipe,
    jobs: Jobs = None,
    sets: Sets = None,
    name: Annotated[str | None, typer.Option(help="Call the dataset this.")] = None,
    team: Annotated[str | None, typer.Option(help="The group whose share it uses.")] = None,
    priority: Annotated[float | None, typer.Option(help="Against your other datasets; 1 if not given.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what one job would do, exactly.")] = False,
    job: Job = 0,
    watch: Annotated[bool, typer.Option("--watch", help="Then follow it until it is settled.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send a recipe, with the files it names, and make it a dataset."""
    parameters = parameters_of(sets)
    if dry_run:
        _dry_run(recipe, jobs, parameters, job, as_json)
        return
    made = client().submit(recipe, jobs=jobs, parameters=parameters, name=name, team=team, priority=priority)
    if as_json:
        out_json({"dataset": made.dataset, "url": made.url, "warnings": list(made.warnings)})
    else:
        for warning in made.warnings:
            say(f"warning: {warning}")
        out(f"dataset {made.dataset}")
        say(f"`nunatak status {made.dataset}` or {made.url}")
    if watch:
        settle(str(made.dataset), as_json)


def _dry_run(recipe: Path, jobs: int | None, parameters: Mapping[str, str], job: int, as_json: bool) -> None:
    from nunatak.client import sending
    from nunatak.datasets.expand import dry_run

    tasks = dry_run(sending.read(recipe, jobs, parameters).plan(), job)
    if as_json:
        out_json(tasks)
        return
    say(f"job {job} as it would be in dataset 1, with the store at file:///store:")
    for task in tasks:
        out(f"{task['task']}{' (once a dataset)' if task['once'] else ''}")
        for line in _lines(task):
            out(f"  {line}")


def _lines(task: Mapping[str, Any]) -> list[str]:
    """Say what a task would do, exactly: commands, files, requests, surroundings."""
    lines = []
    for command in task["commands"]:
        words = command["argv"][0] if command["shell"] else shlex.join(command["argv"])
        before = "".join(f"{name}={shlex.quote(value)} " for name, value in command["variables"].items())
        after = f" < {command['stdin']}" if command["stdin"] else ""
        lines.append(f"{'sh' if command['shell'] else 'run'}: {before}{words}{after}")
    lines += [f"input: {item['name']} <- {item['url']}" for item in task["inputs"]]
    if task["left_out"]:
        lines.append(f"input: the same of {task['left_out']} more jobs, also in commands")
    lines += [f"output: {item['name']} -> {item['url']}" for item in task["outputs"]]
    lines.append(f"needs: {fact('shape', task['shape'])}")
    around = task["environment"]
    lines += [f"variable: {name}={value}" for name, value in around["variables"].items()]
    return lines + [f"{key}: {around[key]}" for key in ("setup", "image", "requirements") if around[key]]
