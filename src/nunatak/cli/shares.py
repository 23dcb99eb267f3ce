"""Verbs of operators: shares, which says who gets how much."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from nunatak.cli.completing import one_of
from nunatak.cli.look import client
from nunatak.cli.talk import AsJson, out, out_json, say, table

app = typer.Typer(rich_markup_mode=None)
shares = typer.Typer(rich_markup_mode=None, help="Show who gets how much, or change it.")
app.add_typer(shares, name="shares")

Kind = Annotated[
    str,
    typer.Argument(
        metavar="KIND",
        help="group, user, dataset or site.",
        autocompletion=one_of("group", "user", "dataset", "site"),
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name; '*': all that have no cap of their own.")]


@shares.callback(invoke_without_command=True)
def list_shares(context: typer.Context, as_json: AsJson = False) -> None:
    """Show weights, caps, what was used, and who gets which part of the next places."""
    if context.invoked_subcommand is not None:
        return
    rows = list(client().shares())
    if as_json:
        out_json(rows)
        return
    head = ("kind", "name", "weight", "most running", "most queued", "used (core h)", "part", "running", "queued")
    table(head, [_line(row) for row in rows])
    if not rows:
        say("nobody has used anything or wants anything, and no rules are set")


def _line(row: Mapping[str, Any]) -> tuple[str, ...]:
    name = row["name"] or "(no group)"
    used = "" if row["used"] is None else f"{row['used']:.1f}"
    part = f"{100 * row['part']:.0f} %" if row["part"] else ""
    weight, running, queued = (
        "" if row[key] is None else f"{row[key]:g}" for key in ("weight", "most_running", "most_queued")
    )
    return row["kind"], name, weight, running, queued, used, part, str(row["running"]), str(row["queued"])


@shares.command("set")
def set_share(
    kind: Kind,
    name: Name,
    weight: Annotated[
        float | None, typer.Option(min=1e-6, help="Share against others of its kind; 1 if not set.")
    ] = None,
    running: Annotated[int | None, typer.Option(min=0, help="Most tasks queued or running at a time.")] = None,
    queued: Annotated[int | None, typer.Option(min=0, help="Most tasks that wait at engines at a time.")] = None,
    as_json: AsJson = False,
) -> None:
    """Set weight and caps of a group, user, dataset or site, in place of what was set before."""
    client().set_share(kind, name, weight=weight, running=running, queued=queued)
    if as_json:
        out_json({"kind": kind, "name": name, "weight": weight, "running": running, "queued": queued})
    else:
        out(f"set for {kind} {name}")


@shares.command("unset")
def unset_share(kind: Kind, name: Name, as_json: AsJson = False) -> None:
    """Treat a group, user, dataset or site like all others again."""
    client().unset_share(kind, name)
    if as_json:
        out_json({"kind": kind, "name": name})
    else:
        out(f"nothing is set for {kind} {name} any more")
