"""Verbs that list what a dataset has: tasks, files, recipe."""

from __future__ import annotations

import difflib
from typing import Annotated

import typer

from nunatak.cli.completing import task_states
from nunatak.cli.look import client
from nunatak.cli.talk import AsJson, Where, out, out_json, plain, say, table
from nunatak.core.units import memory_text

app = typer.Typer(rich_markup_mode=None)


@app.command()
def tasks(
    where: Where,
    state: Annotated[str | None, typer.Option(help="Only in this state.", autocompletion=task_states)] = None,
    task: Annotated[str | None, typer.Option(help="Only of this name.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the tasks of a dataset, or of a job, that were touched, in order of job and task."""
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
        say("no such tasks were begun" if state or task else "no task of it was begun")


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
def recipe(
    where: Where,
    revision: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="This revision, in place of the present one.")
    ] = None,
    against: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Print what differs from this revision.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the recipe of a dataset as it was written, or what differs between two revisions."""
    found = client().recipe(where, revision)
    if against is not None:
        _differs(str(client().recipe(where, against)["source"]), str(found["source"]), against, as_json)
        return
    if as_json:
        out_json(dict(found))
        return
    out(plain(str(found["source"]).rstrip("\n")))


def _differs(old: str, new: str, against: int, as_json: bool) -> None:
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=2))[2:]
    if as_json:
        out_json({"against": against, "difference": lines})
    elif lines:
        out(plain("\n".join(lines)))
    else:
        say("the two are written alike")
