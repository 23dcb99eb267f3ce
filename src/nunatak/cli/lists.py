"""Verbs that list what a dataset has: tasks, files, recipe."""

from __future__ import annotations

from typing import Annotated

import typer

from nunatak.cli.look import client
from nunatak.cli.talk import AsJson, Where, out, out_json, plain, say, table
from nunatak.core.units import memory_text

app = typer.Typer(rich_markup_mode=None)


@app.command()
def tasks(
    where: Where,
    state: Annotated[str | None, typer.Option(help="Only in this state.")] = None,
    task: Annotated[str | None, typer.Option(help="Only of this name.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the tasks of a dataset that were touched, in order of job and task."""
    rows = [item.plain for item in client().tasks(where, state=state, task=task, limit=limit)]
    if as_json:
        out_json(rows)
        return
    lines = [
        (row["address"], row["state"], str(row["attempt"]), row["host"] or "", row["reason"] or "") for row in rows
    ]
    table(("task", "state", "attempt", "host", "reason"), lines, 1)
    if len(rows) == limit:
        say(f"the first {limit}; --limit shows more")
    if not rows:
        say("no tasks")


@app.command()
def files(where: Where, as_json: AsJson = False) -> None:
    """List the outputs that tasks of a dataset or job recorded; `nunatak get` brings them."""
    found = client().files(where)
    if as_json:
        out_json([item.plain for item in found])
        return
    for item in found:
        out(plain(f"{item.address}  {item.name}  {memory_text(item.size)}  {item.sha256}  {item.url}"))


@app.command()
def recipe(where: Where, as_json: AsJson = False) -> None:
    """Print the recipe of a dataset as it was written."""
    found = client().recipe(where)
    if as_json:
        out_json(dict(found))
        return
    out(plain(str(found["source"]).rstrip("\n")))
