"""Shows work as it goes on: redrawn in place on a terminal, a line a change elsewhere, JSON lines on request."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from nunatak.cli.show import dataset_lines, show_status
from nunatak.cli.talk import out_json, say
from nunatak.client.statuses import DatasetStatus, Status


def follow(changes: Iterator[Status], as_json: bool) -> Mapping[str, Any]:
    """Show every change; return the last status."""
    last: Mapping[str, Any] = {}
    lines = 0
    for status in changes:
        last = status.plain
        if as_json:
            out_json(last)
            sys.stdout.flush()
        elif sys.stdout.isatty() and isinstance(status, DatasetStatus):
            lines = _redraw(dataset_lines(last), lines)
        else:
            say(str(status))
    if last and not as_json and not lines:
        show_status(last)
    return last


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
