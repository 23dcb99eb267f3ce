"""Shows a dataset in a notebook: a small table with one bar a task, in colours that the colour-blind can tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from nunatak.client.counts import SHOWN, Counts

COLOURS = {
    "done": "#117733", "running": "#4477aa", "queued": "#88ccee", "ready": "#ddcc77", "waiting": "#dddddd",
    "held": "#aa4499", "failed": "#cc3311",
}  # fmt: skip
"""A colour for each state (P. Tol's palettes)."""


def dataset_html(title: str, said: str, per_task: Mapping[str, Counts]) -> str:
    """Return the table below `title: said`."""
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{_bar(counts)}</td><td>{escape(_words(counts))}</td></tr>"
        for name, counts in per_task.items()
    )
    return f"<div><b>{escape(title)}</b>: {escape(said)}<table>{rows}</table></div>"


def _bar(counts: Counts) -> str:
    parts = "".join(
        f'<div title="{count} {state}" '
        f'style="width:{100 * count / counts.total:.2f}%;background:{COLOURS[state]}"></div>'
        for state in SHOWN
        if (count := getattr(counts, state))
    )
    return f'<div style="display:flex;width:16em;height:0.8em">{parts}</div>'


def _words(counts: Counts) -> str:
    return ", ".join(f"{count} {state}" for state in SHOWN if (count := getattr(counts, state)))
