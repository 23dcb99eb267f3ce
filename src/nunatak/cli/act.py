"""Verbs that act: hold, release, retry, cancel, close, more."""

from __future__ import annotations

from typing import Annotated

import typer

from nunatak.cli.look import client
from nunatak.cli.talk import AsJson, Where, Wheres, out, out_json

app = typer.Typer(rich_markup_mode=None)
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept in the history.")]


def _act(verb: str, addresses: list[str], reason: str, as_json: bool) -> None:
    changed = getattr(client(), verb)(*addresses, reason=reason)
    if as_json:
        out_json({"changed": changed})
    else:
        out(f"{verb}: {changed} changed")


@app.command()
def hold(addresses: Wheres, reason: Reason = "", as_json: AsJson = False) -> None:
    """Stop datasets, jobs or tasks, running ones too, until they are released."""
    _act("hold", addresses, reason, as_json)


@app.command()
def release(addresses: Wheres, reason: Reason = "", as_json: AsJson = False) -> None:
    """Let go on what was held."""
    _act("release", addresses, reason, as_json)


@app.command()
def retry(addresses: Wheres, reason: Reason = "", as_json: AsJson = False) -> None:
    """Try failed tasks again."""
    _act("retry", addresses, reason, as_json)


@app.command()
def cancel(addresses: Wheres, reason: Reason = "", as_json: AsJson = False) -> None:
    """End datasets, jobs or tasks for good."""
    _act("cancel", addresses, reason, as_json)


@app.command()
def close(addresses: Wheres, reason: Reason = "", as_json: AsJson = False) -> None:
    """Let datasets get no new jobs."""
    _act("close", addresses, reason, as_json)


@app.command()
def more(
    address: Where, jobs: Annotated[int, typer.Option(min=1, help="How many jobs to add.")], as_json: AsJson = False
) -> None:
    """Add jobs at the end of a dataset."""
    total = client().more(address, jobs)
    if as_json:
        out_json({"dataset": int(address.partition("/")[0]), "jobs": total})
    else:
        out(f"dataset {address} has {total} jobs now")
