"""Collects what is wrong in a recipe, each thing with its place and in words a person understands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nunatak.core.errors import Invalid, Problem
from nunatak.datasets.functions import kind as kind_of
from nunatak.datasets.yaml_source import Path, Source, failure

GONE: Any = object()
"""Stands for a value that was reported and left out."""


def quoted(value: object) -> str:
    """Return a value as a message shows it: in double quotes, shortened."""
    text = str(value)
    return f'"{text if len(text) <= 80 else text[:77] + "..."}"'


class Report:
    """Collects problems with their places."""

    def __init__(self, filename: str, source: Source) -> None:
        """Start with none."""
        self.filename = filename
        self.source = source
        self.problems: list[Problem] = []

    def add(self, path: Path, message: str, hint: str = "", *, key: bool = False, file: str = "") -> None:
        """Note a problem at the value under `path`, or at its key."""
        line, column = (0, 0) if file else self.source.place(path, key=key)
        self.problems.append(Problem(message, dotted(path), hint, file or self.filename, line, column))

    def error(self, path: Path, error: Invalid) -> None:
        """Note what an error says."""
        template = error.data.get("template", "")
        message = f"in {quoted(template)}: {error.message}" if template else error.message
        self.add(path, message, error.hint)

    def touches(self, path: Path) -> bool:
        """Tell whether something under `path` has a problem."""
        start = dotted(path)
        return any(item.path == start or item.path.startswith((start + ".", start + "[")) for item in self.problems)

    def raise_if_any(self) -> None:
        """Raise one `Invalid` with all problems."""
        if self.problems:
            raise failure(self.problems, self.filename)


def dotted(path: Path) -> str:
    """Write a path as `tasks.generate.outputs[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def wrong_type(value: Any, says: str, path: Path, report: Report) -> Any:
    """Report a value of another kind."""
    found = kind_of(value)
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        found += f" {quoted(value)}" if isinstance(value, str) else f" ({value})"
    hint = "text that begins with { needs quotes" if isinstance(value, Mapping) and "text" in says else ""
    report.add(path, f"expected {says}, found {found}", hint)
    return GONE
