"""Verbs that act: hold, release, retry, cancel, close, more, split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nunatak.cli.group import INTERRUPTED
from nunatak.cli.look import client
from nunatak.cli.talk import AsJson, Where, Wheres, agreed, out, out_json, say
from nunatak.core.units import count_text

if TYPE_CHECKING:
    from nunatak.client.results import Divided

app = typer.Typer(rich_markup_mode=None)
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept in the history.")]

NOTHING = {
    "hold": "all of it is held already, or has ended",
    "release": "nothing of it is held",
    "retry": "nothing of it has failed",
    "cancel": "nothing of it is left to end",
    "close": "every job has begun, and no more can be added",
}
"""What to say where a verb changed nothing."""


def _act(verb: str, addresses: list[str], reason: str, as_json: bool, **more: str) -> None:
    changed = getattr(client(), verb)(*addresses, reason=reason, **more)
    if as_json:
        out_json({"changed": changed})
    else:
        out(f"{verb}: {changed} changed")
        if not changed:
            say(f"{NOTHING[verb]}; see: nunatak status {addresses[0]}")


@app.command()
def hold(addresses: Wheres, reason: Reason = "", as_json: AsJson = False) -> None:
    """Stop datasets, jobs or tasks, running ones too, until they are released."""
    _act("hold", addresses, reason, as_json)


@app.command()
def release(addresses: Wheres, reason: Reason = "", as_json: AsJson = False) -> None:
    """Let go on what was held."""
    _act("release", addresses, reason, as_json)


@app.command()
def retry(
    addresses: Wheres,
    reason: Reason = "",
    signature: Annotated[
        str, typer.Option(help="Of datasets: those tasks alone that failed like this group of `nunatak errors`.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Try failed tasks again: all of them, or those of one group of failures."""
    _act("retry", addresses, reason, as_json, signature=signature)


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
        out(f"dataset {address} has {count_text(total, 'job')} now")


@app.command()
def split(
    address: Where,
    into: Annotated[
        int | None,
        typer.Option(min=2, metavar="N", help="How many jobs each becomes; else as many as its sites advise."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Divide jobs that have not begun into smaller ones, in a new dataset."""
    to = client()
    plan = to.split(address, into, preview=True)
    for note in plan.notes:
        say(f"note: {note}")
    if not yes and not agreed(_question(plan)):
        say("nothing was changed; --yes does not ask")
        raise typer.Exit(INTERRUPTED)
    made = to.split(address, plan.pieces)
    if as_json:
        out_json(made.plain)
    else:
        out(f"dataset {made.made}")
        say(
            f"of dataset {made.dataset}, {count_text(made.moved, 'job is', 'jobs are')} {count_text(made.jobs, 'job')} now;"
            " the others go on where they are"
        )


def _question(plan: Divided) -> str:
    each = f"{plan.low}" if plan.low == plan.high else f"{plan.high} or {plan.low}"
    into = f"divide {count_text(plan.moved, 'job')} of dataset {plan.dataset} into {plan.jobs}"
    return f"{into} with {plan.parameter} {each} instead of {plan.whole}?"
