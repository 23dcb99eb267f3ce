"""The verb usage: who or what used how much, and what was lost of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from nunatak.cli.look import client
from nunatak.cli.talk import AsJson, out_json, say, table

app = typer.Typer(rich_markup_mode=None)


@app.command()
def usage(
    by: Annotated[str, typer.Option(metavar="WHAT", help="user, group, dataset, site or cause.")] = "user",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show core- and GPU-hours that were occupied, and how much of them was lost; the largest first."""
    rows = list(client().usage(by, limit=limit))
    if as_json:
        out_json(rows)
        return
    head = (by, "core-hours", "GPU-hours", "share", "lost core-hours", "lost", "attempts", "counts")
    table(head, [_line(row, by) for row in rows])
    if not rows:
        say("no attempt has ended yet")


def _line(row: Mapping[str, Any], by: str) -> tuple[str, ...]:
    return (
        row["words"] if by == "cause" else row["name"] or "(no group)",
        f"{row['core_hours']:.2f}",
        f"{row['gpu_hours']:.2f}",
        f"{100 * row['share']:.0f} %",
        f"{row['lost_core_hours']:.2f}",
        f"{100 * row['lost_share']:.0f} %",
        str(row["attempts"]),
        f"{row['counts_core']:.2f}",
    )
