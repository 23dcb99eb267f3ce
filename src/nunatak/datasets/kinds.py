"""What a single value of a recipe may be: each kind checks and writes its own JSON Schema, so the two cannot drift."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from nunatak.core import units
from nunatak.core.errors import Invalid
from nunatak.core.spelling import nearest
from nunatak.datasets.report import GONE, Report, quoted, wrong_type
from nunatak.datasets.yaml_source import Path

Schema = dict[str, Any]
TEMPLATE = r"\{"


class Kind(Protocol):
    """One kind of value."""

    @property
    def says(self) -> str:
        """What is expected, in words."""

    def accepts(self, value: Any) -> bool:
        """Tell by its type alone whether the value is meant as this kind."""

    def check(self, value: Any, path: Path, report: Report) -> Any:
        """Return the value as it is used from here on, or `GONE` after reporting."""

    def schema(self, shared: dict[str, Schema]) -> Schema:
        """Return the JSON Schema; tables with a title go into `shared`."""


@dataclass(frozen=True)
class Text:
    """A text, not empty, perhaps of a pattern."""

    says: str = "text"
    pattern: str = ""
    most: int = 10_000
    advice: str = ""
    known: tuple[str, ...] = ()

    def accepts(self, value: Any) -> bool:
        """Accept text."""
        return isinstance(value, str)

    def check(self, value: Any, path: Path, report: Report) -> Any:
        """Return the text."""
        if not isinstance(value, str):
            return wrong_type(value, self.says, path, report)
        if not value.strip():
            report.add(path, f"expected {self.says}, found nothing")
            return GONE
        if len(value) > self.most:
            report.add(path, f"the text is over {self.most} characters")
            return GONE
        if self.pattern and not re.search(self.pattern, value):
            report.add(path, f"{quoted(value)} is not {self.says}", self._hint(value))
            return GONE
        return value

    def _hint(self, value: str) -> str:
        return nearest(value, self.known) if self.known else self.advice

    def schema(self, shared: dict[str, Schema]) -> Schema:  # noqa: ARG002
        """A string."""
        extra = {"pattern": self.pattern} if self.pattern else {}
        return {"type": "string", "minLength": 1, "maxLength": self.most, **extra}


@dataclass(frozen=True)
class Flag:
    """True or false."""

    says: str = "true or false"

    def accepts(self, value: Any) -> bool:
        """Accept true and false."""
        return isinstance(value, bool)

    def check(self, value: Any, path: Path, report: Report) -> Any:
        """Return it."""
        if not isinstance(value, bool):
            hint = "write true or false" if str(value).lower() in ("yes", "no", "on", "off") else ""
            report.add(path, f"expected true or false, found {quoted(value)}", hint)
            return GONE
        return value

    def schema(self, shared: dict[str, Schema]) -> Schema:  # noqa: ARG002
        """A boolean."""
        return {"type": "boolean"}


@dataclass(frozen=True)
class Whole:
    """A whole number within bounds, or where `template` a text with an expression that gives one."""

    least: int
    most: int
    template: bool = False

    @property
    def says(self) -> str:
        """What is expected."""
        return f"a whole number from {self.least} to {self.most}"

    def accepts(self, value: Any) -> bool:
        """Accept numbers."""
        return isinstance(value, int | float) or (self.template and isinstance(value, str))

    def check(self, value: Any, path: Path, report: Report) -> Any:
        """Return it."""
        if self.template and isinstance(value, str) and "{" in value:
            return value
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            return wrong_type(value, self.says, path, report)
        if not self.least <= value <= self.most:
            report.add(path, f"{value} is not from {self.least} to {self.most}")
            return GONE
        return int(value)

    def schema(self, shared: dict[str, Schema]) -> Schema:  # noqa: ARG002
        """An integer, or a string with an expression."""
        plain: Schema = {"type": "integer", "minimum": self.least, "maximum": self.most}
        return {"anyOf": [plain, {"type": "string", "pattern": TEMPLATE}]} if self.template else plain


def amount(value: Any, of: Callable[[Any], int], least: int = 1, usual: str = "") -> int:
    """Return an amount in base units. Raises `Invalid`; `least` catches a forgotten unit."""
    try:
        number = of(value)
    except Invalid as error:
        raise Invalid(error.message.replace(repr(value), quoted(value)), code=error.code, hint=error.hint) from None
    if number < least:
        raise Invalid(
            f"{quoted(value)} is only {number} bytes", code="bad-amount", hint=f'did you mean "{value} {usual}"?'
        )
    return number


@dataclass(frozen=True)
class Amount:
    """An amount of memory, disk or time, with its unit, or a text with an expression that gives one."""

    of: str
    least: int = 1

    @property
    def says(self) -> str:
        """What is expected."""
        return 'a length of time such as "1 h"' if self.of == "time" else f'an amount of {self.of} such as "2 GB"'

    def read(self, value: Any) -> int:
        """Return bytes or seconds. Raises `Invalid`."""
        return amount(value, units.seconds if self.of == "time" else units.memory, self.least, "GB")

    def accepts(self, value: Any) -> bool:
        """Accept text and numbers."""
        return isinstance(value, str | int | float) and not isinstance(value, bool)

    def check(self, value: Any, path: Path, report: Report) -> Any:
        """Return it as written."""
        if not self.accepts(value):
            return wrong_type(value, self.says, path, report)
        if isinstance(value, str) and "{" in value:
            return value
        try:
            self.read(value)
        except Invalid as error:
            report.error(path, error)
            return GONE
        return value

    def schema(self, shared: dict[str, Schema]) -> Schema:  # noqa: ARG002
        """A number or a string with a unit."""
        names = "s|sec|seconds?|m|min|minutes?|h|hr|hours?|d|days?|w|weeks?"
        if self.of != "time":
            names = "B|b|bytes?|[kKMGT]|[kKmMGgTt]i?[bB]"
        pattern = rf"^\s*\+?\d+(\.\d*)?([eE][+-]?\d+)?\s*({names})?\s*$|\{{"
        return {"anyOf": [{"type": "number", "minimum": self.least}, {"type": "string", "pattern": pattern}]}


@dataclass(frozen=True)
class Anything:
    """A value of a parameter: text, number, true, false, list or table, as deep as one likes."""

    says: str = "a value"

    def accepts(self, value: Any) -> bool:
        """Accept all but nothing."""
        return value is not None

    def check(self, value: Any, path: Path, report: Report) -> Any:
        """Return it."""
        if value is None:
            report.add(path, "expected a value, found nothing", 'write "" for an empty text')
            return GONE
        return value

    def schema(self, shared: dict[str, Schema]) -> Schema:  # noqa: ARG002
        """Any but null."""
        return {"not": {"type": "null"}}


@dataclass(frozen=True)
class Simple:
    """Text, a number, true or false; used as text."""

    says: str = "text or a number"

    def accepts(self, value: Any) -> bool:
        """Accept scalars."""
        return isinstance(value, str | int | float)

    def check(self, value: Any, path: Path, report: Report) -> Any:
        """Return it as text."""
        if not isinstance(value, str | int | float):
            return wrong_type(value, self.says, path, report)
        return ("true" if value else "false") if isinstance(value, bool) else str(value)

    def schema(self, shared: dict[str, Schema]) -> Schema:  # noqa: ARG002
        """A scalar."""
        return {"type": ["string", "number", "boolean"]}
