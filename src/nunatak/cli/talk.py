"""How commands speak: data to stdout, talk to stderr, JSON on request, plain tables, colours only for people."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from nunatak.cli.completing import addresses
from nunatak.core.units import time_text

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Where = Annotated[
    str,
    typer.Argument(
        metavar="ADDRESS", help="42, 42/17, 42/17/propagate, 42/17/propagate#2, 42/analyze", autocompletion=addresses
    ),
]
Wheres = Annotated[
    list[str],
    typer.Argument(metavar="ADDRESS", help="One or more of 42, 42/17, 42/17/propagate", autocompletion=addresses),
]

STYLES: Mapping[str, str] = {
    "done": "32", "running": "34", "queued": "36", "ready": "33", "waiting": "2", "held": "35", "failed": "31;1",
    "open": "34", "ended": "2",
}  # fmt: skip
"""Terminal colours of states."""
BARS: Mapping[str, str] = {
    "done": "█", "running": "▓", "queued": "▒", "ready": "░", "waiting": "·", "held": "=", "failed": "!",
}  # fmt: skip
"""What a bar is made of, so that it can be read without colours."""


def plain(text: str) -> str:
    """Return text from elsewhere without what a terminal would obey: control characters become `?`, new lines stay."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def out(text: str) -> None:
    """Print data."""
    sys.stdout.write(text + "\n")


def say(text: str) -> None:
    """Print talk."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def out_json(value: Any) -> None:
    """Print one JSON value on a line."""
    out(json.dumps(value, ensure_ascii=False, default=str))


def colourful() -> bool:
    """Tell whether stdout is a terminal that wants colours (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def coloured(text: str, state: str) -> str:
    """Return text in the colour of a state."""
    style = STYLES.get(state)
    return f"\x1b[{style}m{text}\x1b[0m" if style and colourful() else text


def table(head: Sequence[str], rows: Sequence[Sequence[str]], states: int = -1) -> None:
    """Print rows in columns; the column `states` is coloured by what it says."""
    if not rows:
        return
    rows = [[plain(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        if states >= 0 and row is not head:
            cells[states] = coloured(cells[states], row[states])
        out("  ".join(cells).rstrip())


def bar(counts: Mapping[str, int], width: int = 24) -> str:
    """Return a bar with a part for each state; a state with any task gets at least one letter."""
    total = counts.get("total", 0)
    if not total:
        return " " * width
    parts = {state: max(1, round(width * counts.get(state, 0) / total)) for state in BARS if counts.get(state, 0)}
    while sum(parts.values()) > width:
        parts[max(parts, key=lambda state: parts[state])] -= 1
    while sum(parts.values()) < width:
        parts[max(parts, key=lambda state: parts[state])] += 1
    return "".join(coloured(BARS[state] * length, state) for state, length in parts.items())


def age(moment: str | None, now: datetime | None = None) -> str:
    """Return how long ago something was, as `5 min`."""
    if not moment:
        return ""
    then = datetime.fromisoformat(moment)
    return time_text(max(0, round(((now or datetime.now(UTC)) - then).total_seconds())))


def clock_time(moment: str | None) -> str:
    """Return a time to the second, in UTC, as `2026-11-20 23:19:35`."""
    return moment[:19].replace("T", " ") if moment else ""


def agreed(question: str) -> bool:
    """Ask; no answer, as where there is no terminal, is a no."""
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        return False
