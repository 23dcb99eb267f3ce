"""Writes the reference pages of the command line from the command line itself: `python -m nunatak.cli.reference DIR`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer import Context
from typer.main import get_command

from nunatak.cli.group import INTERRUPTED, WORK_FAILED
from nunatak.cli.main import VERBS, app
from nunatak.core.errors import KINDS

_HEAD = """\
# Command line

Data goes to stdout, talk to stderr. `--json` prints JSON in place of text; an error is then one line of JSON on stderr,
`{"error": {"code": ..., "detail": ..., "hint": ..., "exit_code": ...}}`, with a `code` that stays the same from version to
version. Colours are for terminals only, and `NO_COLOR` turns them off. `NUNATAK_URL` and `NUNATAK_TOKEN` override what
`nunatak login` saved; without either, the installation that `nunatak up` runs on this machine is used (`NUNATAK_DATA` says
where it is, if not in the usual place). `NUNATAK_DEBUG=1` shows where an error came from.

`nunatak --install-completion` lets bash, zsh, fish and PowerShell complete words from the next terminal on: verbs, options,
states, and addresses, which come from the server: datasets, the newest first, then what is in them. `--show-completion`
prints what it installs.

An ADDRESS is `42` (dataset), `42/17` (job), `42/17/propagate` (task), `42/17/propagate#2` (attempt) or `42/analyze` (a task
done once a dataset).
"""
_CODES = """\
# Exit codes

One for each class of errors; [the errors](../../src/nunatak/core/errors.py) are the same in the API and in Python.

| code | what happened | HTTP |
|---|---|---|
| 0 | it was done | 2xx |
| 1 | an internal error: please report it, with what `NUNATAK_DEBUG=1` shows | 500 |
"""


def command_page() -> str:
    """Return the page of all verbs, in Markdown."""
    root: Any = get_command(app)
    parts = [_HEAD]
    for verb in VERBS:
        command = root.get_command(None, verb.name)
        parts += _sections(f"nunatak {verb.name}", command)
    return "\n".join(parts)


def _sections(name: str, command: Any) -> Iterator[str]:
    below = getattr(command, "commands", None)
    if below:
        for word, inner in below.items():
            yield from _sections(f"{name} {word}", inner)
        if not command.invoke_without_command:
            return
    params = [item for item in command.get_params(Context(command)) if not getattr(item, "hidden", False)]
    words = [_argument(item) for item in params if item.param_type_name == "argument"]
    yield f"## `{' '.join([name, *words])}`\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    rows = [_row(item) for item in params if item.name != "help"]
    if rows:
        yield "\n".join(["| | |", "|---|---|", *rows]) + "\n"


def _argument(item: Any) -> str:
    word = (item.metavar or item.name.upper()).strip("[]")
    word += "..." if item.nargs == -1 else ""
    return word if item.required else f"[{word}]"


def _row(item: Any) -> str:
    if item.param_type_name == "argument":
        head = _argument(item)
    else:
        value = "" if item.is_flag else f" {(item.metavar or item.name.upper())}"
        head = ", ".join(item.opts) + value
    default = item.default
    shown = default not in (None, False, "", ()) and not callable(default)
    return f"| `{head}` | {item.help or ''}{f' Default: {default}.' if shown else ''} |"


def exit_page() -> str:
    """Return the page of exit codes, in Markdown."""
    rows = []
    for kind in KINDS:
        said = (inspect.getdoc(kind) or "").splitlines()[0].rstrip(".")
        status = "401, 403" if kind.status == 403 else f"{kind.status}"
        rows.append(f"| {kind.exit_code} | {said} (`{kind.kind}`) | {status} |")
    rows.append(f"| {WORK_FAILED} | the command did its part, but the work it waited for failed or was held | |")
    rows.append(f"| {INTERRUPTED} | Ctrl-C | |")
    return _CODES + "\n".join(rows) + "\n"


def write(directory: Path) -> None:
    """Write both pages into a directory."""
    (directory / "cli.md").write_text(command_page())
    (directory / "exit-codes.md").write_text(exit_page())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
