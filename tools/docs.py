"""Writes the generated pages of docs/reference anew; with --check, names those that are stale and exits with 1."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import engines_page

from nunatak.api import document
from nunatak.api.app import bare_app
from nunatak.cli import reference
from nunatak.core import settings_page, states
from nunatak.datasets.schema import json_schema_text
from nunatak.tasks.verdicts import catalogue

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"


def states_page() -> str:
    """Return the page of states."""
    rows = [f"| {a} | {b} | {why} |" for a, nexts in states.CHANGES.items() for b, why in nexts.items()]
    return "\n".join(
        [
            "# States",
            "",
            "Every change that a task may make. A job or dataset has no state of its own making: a dataset is `open` while a",
            "task is ready, queued or running; else `failed` if a task failed, else `held` if one is held, else `open` if one",
            "waits, else `done`. A hold on a dataset shows as `held` unless all is done. A job is `failed` if a task of it",
            "failed, else `held` if one is held, else `done` when its last tasks are, else `open`.",
            "",
            "```mermaid",
            states.diagram(),
            "```",
            "",
            "| from | to | when |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


PAGES: Mapping[str, Callable[[], str]] = {
    "api.md": lambda: document.page(bare_app()),
    "cli.md": reference.command_page,
    "engines.md": engines_page.page,
    "exit-codes.md": reference.exit_page,
    "openapi.json": lambda: document.text(bare_app()),
    "recipe.schema.json": json_schema_text,
    "settings.md": settings_page.page,
    "states.md": states_page,
    **{f"verdicts/{name}": partial(str, text) for name, text in catalogue.pages().items()},
}
"""Every generated page of docs/reference and what makes it."""


def main() -> int:
    """Write or check; return the exit code."""
    code = 0
    for name, make in PAGES.items():
        file, text = REFERENCE / name, make()
        if file.exists() and file.read_text("utf-8") == text:
            continue
        if "--check" in sys.argv[1:]:
            print(f"docs/reference/{name} is stale: python tools/docs.py writes it anew", file=sys.stderr)
            code = 1
        else:
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, "utf-8")
            print(f"docs/reference/{name}")
    return code


if __name__ == "__main__":
    sys.exit(main())
