"""Verbs that look ahead: simulate (a recipe, without a server) and what-if (a live dataset with a change)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nunatak.cli.group import importing
from nunatak.cli.look import client
from nunatak.cli.recipes import Jobs, Recipe, Sets, parameters_of
from nunatak.cli.talk import AsJson, Where, out, out_json, say
from nunatak.core.errors import Invalid

if TYPE_CHECKING:
    from nunatak.simulation.copy import Rule
    from nunatak.simulation.resources import Resource

app = typer.Typer(rich_markup_mode=None)


@app.command()
def simulate(
    recipe: Recipe,
    engines: Annotated[Path, typer.Option("--engines", metavar="FILE", help="What engines there are, in YAML.")],
    jobs: Jobs = None,
    sets: Sets = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another run of luck.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Say when a recipe would be done on given engines, how busy they would be, and what would be lost. Needs no server."""
    with importing():
        from nunatak.client import sending
        from nunatak.simulation import forecast
        from nunatak.simulation.engines_file import read_engines
        from nunatak.simulation.results import words

    plan = sending.read(recipe, jobs, parameters_of(sets)).plan()
    found = forecast.simulate(plan, read_engines(engines, [task.name for task in plan.tasks]), seed)
    if as_json:
        out_json(found.to_plain())
        return
    for line in words(found):
        out(line)


@app.command("what-if")
def what_if(
    address: Where,
    add: Annotated[
        list[str] | None,
        typer.Option(
            "--add", metavar="SLOTS", help='Slots more, as "100 slots 4 GB" or "20 slots 2 cpu 1 gpu at madison".'
        ),
    ] = None,
    add_engine: Annotated[
        Path | None,
        typer.Option("--add-engine", metavar="FILE", help="The engines of a file as well, as simulate reads it."),
    ] = None,
    priority: Annotated[float | None, typer.Option(min=0.001, max=1000, help="The dataset's priority.")] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weight", metavar="WHO=WEIGHT", help="A weight: group=3 or user=3 for the dataset's own, group:NAME=3."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=50, help="How many runs of luck.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Say when a dataset would be done with more slots, another priority or other weights, against as it is."""
    with importing():
        from nunatak.datasets.plan import Plan
        from nunatak.simulation.whatif import Change, compare

    resources = _resources(add or [], add_engine)
    if not resources and priority is None and not weights:
        raise Invalid(
            "nothing would be otherwise", code="no-change", hint="--add, --add-engine, --priority or --weight"
        )
    server = client()
    snapshot = server.snapshot(address)
    change = Change(tuple(resources), priority, tuple(_rule(word, snapshot) for word in weights or ()))
    found = compare(snapshot, Plan.from_plain(server.plan(snapshot["recipe"])), change, range(seeds))
    if as_json:
        out_json(found.to_plain())
        return
    out(f"{found.dataset} as it is: {found.now.text}; engines {found.now.utilisation:.0%} busy")
    out(f"with {found.change}: {found.changed.text}; engines {found.changed.utilisation:.0%} busy")
    out(found.sentence)
    for note in found.notes:
        say(f"note: {note}")


def _resources(words: list[str], file: Path | None) -> list[Resource]:
    from nunatak.simulation.engines_file import read_engines
    from nunatak.simulation.slots import slots_of

    more = [slots_of(text, number) for number, text in enumerate(words, 1)]
    return [*more, *(entry.resource() for entry in read_engines(file).engines)] if file else more


def _rule(word: str, snapshot: Mapping[str, Any]) -> Rule:
    """Read `group=3`, `user=3` or `group:NAME=3`. Raises `Invalid`."""
    from nunatak.simulation.copy import Rule

    who, _, text = word.rpartition("=")
    kind, _, name = who.partition(":")
    own = {"group": snapshot["team"], "user": snapshot["owner"]}
    try:
        weight = float(text)
    except ValueError:
        weight = 0.0
    if kind not in own or not 0 < weight <= 1e6:
        hint = "write --weight group=3, user=3, group:NAME=3 or user:NAME=3"
        raise Invalid(f"--weight {word!r} is no weight", code="bad-weight", hint=hint)
    return Rule(kind, name or own[kind], weight)
