"""The verb usage: who or what used how much, and what was lost of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import typer

from nunatak.cli.completing import one_of
from nunatak.cli.look import client
from nunatak.cli.talk import AsJson, out_json, say, table

app = typer.Typer(rich_markup_mode=None)
DAYS = ["%Y-%m-%d"]
SPANS = one_of("user", "group", "dataset", "site", "cause", "day", "month")


@app.command()
def usage(
    by: Annotated[
        str, typer.Option(metavar="WHAT", help="user, group, dataset, site, cause, day or month.", autocompletion=SPANS)
    ] = "user",
    since: Annotated[datetime | None, typer.Option(metavar="DAY", formats=DAYS, help="From this day (UTC) on.")] = None,
    until: Annotated[datetime | None, typer.Option(metavar="DAY", formats=DAYS, help="To this day.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show core- and GPU-hours that were occupied, and how much of them was lost; the largest first, or the latest day."""
    days = [day and day.date() for day in (since, until)]
    rows = list(client().usage(by, since=days[0], until=days[1], limit=limit))
    if as_json:
        out_json(rows)
        return
    head = (by, "core-hours", "GPU-hours", "share", "lost core-hours", "lost", "attempts", "counts")
    table(head, [_line(row, by) for row in rows])
    if not rows:
        say("no attempt ended in these days" if any(days) else "no attempt has ended yet")


def _line(row: Mapping[str, Any], by: str) -> tuple[str, ...]:
    return (
        row["words"] if by == "cause" else row["name"] or "(no group)",
        f"{row['core_hours']:.2f}",
        f"{row['gpu_hours']:.2f}",
        f"{100 * row['share']:.0f} %",
        f"{row['lost_core_hours']:.2f}",
        f"{100 * row['lost_share']:.0f} %",
        str(row["attempts"]),
        "" if row["counts_core"] is None else f"{row['counts_core']:.2f}",
    )
