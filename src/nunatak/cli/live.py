"""Shows work as it goes on: redrawn in place on a terminal, a line a change elsewhere, JSON lines on request."""

from __future__ import annotations

import re
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from nunatak.cli.show import dataset_lines, show_status
from nunatak.cli.talk import out_json, say
from nunatak.client.statuses import DatasetStatus, Status

_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")


def follow(changes: Iterator[Status], as_json: bool) -> Mapping[str, Any]:
    """Show every change; return the last status."""
    last: Mapping[str, Any] = {}
    lines, before = 0, None
    for status in changes:
        last = status.plain
        if as_json:
            out_json(last)
            sys.stdout.flush()
        elif sys.stdout.isatty():
            whole = isinstance(status, DatasetStatus)
            found = dataset_lines(last) if whole else [str(status)]
            lines = _redraw(_fitting(found, *shutil.get_terminal_size()), lines)
        elif isinstance(status, DatasetStatus) or _step(last) != before:
            say(str(status))
        before = _step(last)
    if lines and "jobs" in last:
        _redraw(dataset_lines(last), lines)
    elif last and not as_json:
        show_status(last)
    return last


def _step(plain: Mapping[str, Any]) -> object:
    """Return what is a change of its own of a part of a dataset, beside what a task that runs used so far."""
    return plain["state"], plain.get("attempt"), plain.get("tasks")


def _fitting(lines: list[str], columns: int, rows: int) -> list[str]:
    """Return what is no wider and no higher than a terminal: what is drawn over has to be where it was drawn."""
    shown = lines if len(lines) < rows else [*lines[: max(1, rows - 2)], f"  ... {len(lines) - max(1, rows - 2)} more"]
    return [cut(line, columns) for line in shown]


def cut(line: str, columns: int) -> str:
    """Return a line that takes at most so many columns; colours take none, letters of East Asia two."""
    parts, left = [], columns
    for part in _COLOUR.split(line):
        if part.startswith("\x1b"):
            parts.append(part)
            continue
        for letter in part:
            left -= 2 if unicodedata.east_asian_width(letter) in "WF" else 1
            if left >= 0:
                parts.append(letter)
    return "".join(parts)


def _redraw(lines: list[str], before: int) -> int:
    """Write lines over those written before."""
    up = f"\x1b[{before}A" if before else ""
    sys.stdout.write(up + "".join(f"\x1b[2K{line}\n" for line in lines) + "\x1b[J")
    sys.stdout.flush()
    return len(lines)


@contextmanager
def progress(words: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on stderr if that is a terminal; call what is given with how much is done."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(words, total=total)
        yield lambda done: shown.update(task, completed=done)
