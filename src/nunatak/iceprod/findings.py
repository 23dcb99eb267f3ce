"""What there is to say about a configuration: what is wrong, what was translated or dropped, where the two modes differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nunatak.core.errors import Invalid, Problem
from nunatak.iceprod.positions import Path, Place, nearest, places

__all__ = ["KINDS", "Finding", "Findings", "Path", "spelled"]

KINDS = ("wrong", "differs", "dropped", "translated", "asks", "shell")
"""`wrong` stops the import; `differs`: exact and strict give different values; `asks`: a feature a machine must have;
`shell`: only a shell can do this."""


def spelled(path: Path) -> str:
    """Return a place as people write it: `tasks[0].trays[1].modules[0].args`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to say, with its place in the configuration: its dotted key; line and column from 1, 0 if it has none."""

    kind: str
    path: str
    message: str
    hint: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """One line: `14:9 tasks[0].trays: message (hint)`."""
        tail = f" ({self.hint})" if self.hint else ""
        place = f"{self.line}:{self.column} " if self.line and self.path else ""
        return f"{place}{self.path}: {self.message}{tail}" if self.path else f"{self.message}{tail}"


@dataclass(slots=True)
class Findings:
    """Collects findings, each once. `text` is the JSON they are about."""

    text: str = ""
    found: dict[Finding, None] = field(default_factory=dict)
    places: Mapping[Path, Place] | None = None

    def add(self, kind: str, path: Path, message: str, hint: str = "") -> None:
        """Note one."""
        if self.places is None:
            self.places = places(self.text)
        line, column = nearest(path, self.places)
        self.found[Finding(kind, spelled(path), message, hint, line, column)] = None

    def wrong(self, path: Path, message: str, hint: str = "") -> None:
        """Note what stops the import."""
        self.add("wrong", path, message, hint)

    def guarded(self, path: Path, work: Callable[[], Any], instead: Any) -> Any:
        """Return what `work` gives; where it raises `Invalid`, note that as wrong and return `instead`."""
        try:
            return work()
        except Invalid as error:
            phrase = error.data.get("phrase")
            self.wrong(
                path,
                f"{phrase}: {error.message}" if phrase and phrase not in error.message else error.message,
                error.hint,
            )
            return instead
        except RecursionError:
            self.wrong(path, "phrases and the values they refer to stand too deep in each other", "use fewer of them")
            return instead

    def of(self, kind: str) -> list[Finding]:
        """Return those of a kind."""
        return [finding for finding in self.found if finding.kind == kind]

    def raise_if_wrong(self, filename: str) -> None:
        """Raise `Invalid` (code `bad-configuration`) with everything that is wrong."""
        wrong = self.of("wrong")
        if wrong:
            wrong.sort(key=lambda item: (item.line, item.column))
            problems = [Problem(item.message, item.path, item.hint, filename, item.line, item.column) for item in wrong]
            some = f"{len(wrong)} problems" if len(wrong) > 1 else str(problems[0])
            raise Invalid(f"{filename} cannot be imported: {some}", code="bad-configuration", problems=problems)
