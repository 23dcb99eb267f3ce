"""The catalogue of verdicts: every kind with its stable number, what causes it, what Nunatak does, what to type."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from nunatak.tasks.verdicts.advice import fill, general
from nunatak.tasks.verdicts.entries import Entry
from nunatak.tasks.verdicts.entries_files import FILES
from nunatak.tasks.verdicts.entries_limits import LIMITS
from nunatak.tasks.verdicts.entries_nodes import NODES
from nunatak.tasks.verdicts.entries_program import PROGRAM
from nunatak.tasks.verdicts.kinds import Kind, Whose
from nunatak.tasks.verdicts.treatments import TREATMENTS

CATALOGUE: Mapping[Kind, Entry] = {**LIMITS, **NODES, **FILES, **PROGRAM}
"""One entry for every kind but `ok`."""

BY_ID: Mapping[str, Kind] = {entry.id: kind for kind, entry in CATALOGUE.items()}

EXAMPLE = "42/17/propagate#2"
WHOSE: Mapping[Whose, str] = {
    Whose.YOURS: "Yours.",
    Whose.SITES: "The site's: its operator has to mend it.",
    Whose.OF_DATA: "Of whoever keeps the data.",
    Whose.OURS: "Ours: of whoever runs this installation of Nunatak.",
    Whose.NOBODY: "Nobody's.",
}


def find(name: str) -> Kind | None:
    """Return the kind of a number or name as a person types it: `NUN-OOM`, `nun-oom`, `oom`, `out-of-memory`."""
    text = name.strip().lower()
    if text in (kind.value for kind in CATALOGUE):
        return Kind(text)
    return BY_ID.get(text.upper()) or BY_ID.get(f"NUN-{text.upper()}")


def page_name(kind: Kind) -> str:
    """Return the file name of a kind's page below docs/reference/verdicts: it never changes."""
    return f"{CATALOGUE[kind].id}.md"


def page(kind: Kind) -> str:
    """Return the page of one kind as Markdown."""
    entry, whose = CATALOGUE[kind], TREATMENTS[kind].whose
    advice = general(kind, EXAMPLE)
    return "\n".join(
        [
            f"# {entry.id}: {entry.title}",
            "",
            f"Shown as `{kind}`. Whose move: {WHOSE[whose]}",
            "",
            "## Cause",
            "",
            _paragraph(entry.cause),
            "",
            "## What Nunatak does",
            "",
            _paragraph(entry.does),
            "",
            "## What to do",
            "",
            f"{advice[0].upper()}{advice[1:]}.",
            "",
            *(["```console", *(f"$ {fill(line, EXAMPLE)}" for line in entry.type), "```", ""] if entry.type else []),
        ]
    )


def _paragraph(text: str) -> str:
    return textwrap.fill(text, 130, break_long_words=False, break_on_hyphens=False)


def index() -> str:
    """Return the page that lists all kinds as Markdown."""
    rows = [
        f"| [{entry.id}]({page_name(kind)}) | `{kind}` | {entry.title} | {TREATMENTS[kind].whose or 'nobody’s'} |"
        for kind, entry in CATALOGUE.items()
    ]
    head = [
        "# Verdicts",
        "",
        "What can become of an attempt. Numbers and names are stable; addresses in the examples are those of",
        f"`{EXAMPLE}`: dataset 42, job 17, task `propagate`, attempt 2.",
        "",
        "| number | name | what happened | whose move |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *rows, ""])


def pages() -> dict[str, str]:
    """Return every page by its file name."""
    return {"README.md": index(), **{page_name(kind): page(kind) for kind in CATALOGUE}}
