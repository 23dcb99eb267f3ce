"""Verbs of operators on nodes: node ls, node drain, node undrain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from nunatak.cli.look import client
from nunatak.cli.talk import AsJson, age, out, out_json, plain, say, table
from nunatak.core.units import seconds

app = typer.Typer(rich_markup_mode=None)
node = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Show how nodes stand; drain them.")
app.add_typer(node, name="node")

NodeName = Annotated[str, typer.Argument(metavar="SITE/NODE", help="As nunatak node ls shows it.")]


@node.command("ls")
def list_nodes(
    every: Annotated[bool, typer.Option("--all", help="Those that are fine as well, in a table.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show nodes, and features at sites, that are not fine: why, until when, whose move it is."""
    found = client().nodes(every=every)
    rows = list(found.items)
    if as_json:
        out_json(rows)
    elif every:
        head = ("node", "health", "speed", "attempts of late", "faults", "heard of")
        table(head, [_line(row) for row in rows])
    else:
        for row in rows:
            out(plain(f"{row['sentence']}\n    {row['move']}".rstrip()))
    if found.spared:
        say(plain(found.spared))
    if not rows:
        say("no node was heard of yet" if every else "all nodes are fine")


def _line(row: Mapping[str, Any]) -> tuple[str, ...]:
    speed = "-" if row["speed"] is None else f"{row['speed']:.2f}"
    return row["name"], row["health"], speed, str(row["attempts"]), str(row["faults"]), age(row["seen"])


@node.command()
def drain(
    name: NodeName,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it is shown to everybody.")] = "",
    lasting: Annotated[str | None, typer.Option("--for", metavar="TIME", help="For how long, as '2h'.")] = None,
    as_json: AsJson = False,
) -> None:
    """Give a node no new work, for good or for some time; what runs there goes on."""
    _show(client().drain_node(name, reason=reason, seconds=seconds(lasting) if lasting else None), as_json)


@node.command()
def undrain(name: NodeName, as_json: AsJson = False) -> None:
    """Give a node work again, whoever drained it."""
    _show(client().undrain_node(name), as_json)


def _show(row: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        out_json(row)
    else:
        out(plain(row["sentence"]))
