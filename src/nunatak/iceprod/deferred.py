"""Values that are known only when a job is, as expressions of the recipe language, and texts with such values in them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nunatak.iceprod.bounds import refuse
from nunatak.iceprod.strict import Strict, number

UNKNOWN = object()
PERHAPS = "perhaps"
"""The kind of a name that is empty in some jobs, and no word of a command there."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """A value that depends on the job (or that somebody may set): `code` is its expression.

    `known` is the value as it stands in the configuration, where it does not depend on the job.
    """

    code: str
    known: Any = UNKNOWN
    kind: str = ""  # "int" or "number" if it is one for sure; PERHAPS

    @property
    def numeric(self) -> str:
        """The expression as a number."""
        if isinstance(self.known, str):
            found = number(self.known)
            if found is None:
                raise refuse(f'"{self.known}" is no number')
            return f"{type(found).__name__}({self.code})"
        return self.code if self.known is not UNKNOWN or self.kind else f"float({self.code})"

    @property
    def whole(self) -> bool:
        """Tell whether it is a whole number for sure."""
        return self.kind == "int" or (isinstance(self.known, int) and not isinstance(self.known, bool))


@dataclass(frozen=True, slots=True)
class Mixed:
    """A text with deferred values in it: literal pieces, and pairs of a value and its format ("" for none)."""

    parts: tuple[str | tuple[Deferred, str], ...]

    @property
    def template(self) -> str:
        """The text as a template of the recipe language."""
        return "".join(
            part.replace("{", "{{").replace("}", "}}") if isinstance(part, str) else _hole(*part) for part in self.parts
        )

    @property
    def code(self) -> str:
        """The text as one expression."""
        pieces = [
            literal(part)
            if isinstance(part, str)
            else f"format({part[0].code}, {json.dumps(part[1])})" if part[1] else f"str({part[0].code})"
            for part in self.parts
        ]  # fmt: skip
        return f"({' + '.join(pieces)})"


def _hole(value: Deferred, form: str) -> str:
    return f"{{{value.code}:{form}}}" if form else f"{{{value.code}}}"


def template(value: Any) -> Any:
    """Return a worked out value as the recipe writes it: braces doubled, deferred values as expressions."""
    if isinstance(value, Deferred):
        return f"{{{value.code}}}"
    if isinstance(value, Mixed):
        return value.template
    if isinstance(value, str):
        return value.replace("{", "{{").replace("}", "}}")
    if isinstance(value, list):
        return [template(item) for item in value]
    if isinstance(value, dict):
        return {key: template(item) for key, item in value.items()}
    return value


def depends(value: Any) -> bool:
    """Tell whether a worked out value has something deferred in it."""
    if isinstance(value, str | Deferred | Mixed):
        return not isinstance(value, str)
    if isinstance(value, list):
        return any(map(depends, value))
    return isinstance(value, dict) and any(map(depends, value.values()))


def literal(text: str) -> str:
    """Return a text as an expression; a quote in it is never escaped, since templates end at the next one."""
    pieces = [json.dumps(piece, ensure_ascii=False) for piece in text.split('"')]
    if len(pieces) == 1:
        return pieces[0]
    joined = " + '\"' + ".join(pieces)
    return f"({joined})"


def code(value: Any) -> str:
    """Return a worked out value as an expression of the recipe language. Raises `Invalid` for a table."""
    if isinstance(value, Deferred | Mixed):
        return value.code
    if isinstance(value, list):
        return f"[{', '.join(map(code, value))}]"
    if isinstance(value, dict):
        raise refuse("a table cannot be part of an expression")
    return literal(value) if isinstance(value, str) else json.dumps(value)


def pieces_of(value: Any) -> list[str | tuple[Deferred, str]]:
    """Return a worked out value as pieces of a text. Raises `Invalid` for a list or table that depends on the job."""
    if isinstance(value, Mixed):
        return list(value.parts)
    if isinstance(value, Deferred) and not (isinstance(value.known, list | dict) and depends(value.known)):
        if value.known is True or value.known is False or value.known is None or isinstance(value.known, list | dict):
            return [Strict._shown(value.known)]  # the recipe language writes these otherwise
        return [(value, "")]
    if depends(value):
        raise refuse("a list or a table that depends on the job is part of a text")
    return [Strict._shown(value)]


def mixed(parts: Sequence[str | tuple[Deferred, str]]) -> Any:
    """Put pieces together: a plain text where nothing in them is deferred, else a `Mixed`."""
    joined: list[str | tuple[Deferred, str]] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    if all(isinstance(part, str) for part in joined):
        return "".join(map(str, joined))
    return Mixed(tuple(joined))
