"""Templates: text with `{expression}` or `{expression:format}` in it, and values made of such texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from nunatak.core.errors import Invalid
from nunatak.datasets.expression import Expression, compile_expression, unknown_name
from nunatak.datasets.functions import MOST_TEXT, bounded, formatted, refuse, text_of

MOST_HOLES = 100
"""Expressions in one template."""
_OPEN, _CLOSE = "([{", ")]}"


@dataclass(frozen=True, slots=True)
class Hole:
    """One `{...}`: an expression and a format, "" for none; a format may have holes of its own."""

    expression: Expression
    spec: Template | None

    def render(self, scope: Mapping[str, Any]) -> str:
        """Return the text to put here."""
        value = self.expression.evaluate(scope)
        return text_of(value) if self.spec is None else formatted(value, self.spec.render(scope))


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template; `names` and `functions` are those its expressions mention."""

    text: str
    parts: tuple[str | Hole, ...]
    names: frozenset[str]
    functions: frozenset[str]
    constant: str | None  # the text if there is no expression in it
    sole: Hole | None  # the expression if it is all there is, without a format: then its type is kept

    def value(self, scope: Mapping[str, Any]) -> Any:
        """Return the typed value. Raises `Invalid`."""
        sole = self.sole
        if sole is None:
            return self.render(scope)
        try:
            return sole.expression.evaluate(scope)
        except Invalid as error:
            raise self._placed(error) from None

    def render(self, scope: Mapping[str, Any]) -> str:
        """Return the text. Raises `Invalid`."""
        if self.constant is not None:
            return self.constant
        try:
            text = "".join([part if part.__class__ is str else part.render(scope) for part in self.parts])  # type: ignore[union-attr]
        except Invalid as error:
            raise self._placed(error) from None
        if len(text) > MOST_TEXT:
            raise refuse(f"a text is over {MOST_TEXT} characters")
        return text

    def words(self, scope: Mapping[str, Any]) -> list[str]:
        """Return the words this one word becomes: several if it is exactly one expression that gives a list."""
        if self.sole is None:
            return [self.render(scope)]
        value = self.value(scope)
        return [text_of(item) for item in value] if isinstance(value, list | tuple) else [self.render(scope)]

    def _placed(self, error: Invalid) -> Invalid:
        if "template" in error.data:
            return error
        short = self.text if len(self.text) <= 100 else self.text[:97] + "..."
        return Invalid(error.message, code=error.code, hint=error.hint, template=short)


@lru_cache(maxsize=8192)
def compile_template(text: str) -> Template:
    """Compile a template. Raises `Invalid`."""
    parts: list[str | Hole] = []
    literal: list[str] = []
    at = 0
    while at < len(text):
        letter = text[at]
        if letter in "{}" and text[at : at + 2] == letter * 2:
            literal.append(letter)
            at += 2
        elif letter == "}":
            raise refuse('a "}" has no "{" before it', 'write "}}" for a brace')
        elif letter == "{":
            if literal:
                parts.append("".join(literal))
                literal = []
            hole, at = _hole(text, at + 1)
            parts.append(hole)
        else:
            literal.append(letter)
            at += 1
    if literal or not parts:
        parts.append("".join(literal))
    return _assembled(text, parts)


def _assembled(text: str, parts: list[str | Hole]) -> Template:
    holes = [part for part in parts if isinstance(part, Hole)]
    if len(holes) > MOST_HOLES:
        raise refuse(f"a text has over {MOST_HOLES} expressions", "split it over parameters")
    names = frozenset(name for hole in holes for name in _mentions(hole, "names"))
    functions = frozenset(name for hole in holes for name in _mentions(hole, "functions"))
    sole = holes[0] if len(parts) == 1 and holes and holes[0].spec is None else None
    constant = None if holes else "".join(str(part) for part in parts)
    return Template(text, tuple(parts), names, functions, constant, sole)


def _mentions(hole: Hole, what: str) -> frozenset[str]:
    own: frozenset[str] = getattr(hole.expression, what)
    return own if hole.spec is None else own | getattr(hole.spec, what)


def _hole(text: str, start: int) -> tuple[Hole, int]:
    colon, end = hole_end(text, start)
    expression = compile_expression(text[start : end if colon < 0 else colon])
    if colon < 0:
        return Hole(expression, None), end + 1
    spec = compile_template(text[colon + 1 : end])
    if spec.constant is not None and spec.constant:
        formatted(0 if spec.constant[-1] != "s" else "", spec.constant)
    return Hole(expression, spec), end + 1


def hole_end(text: str, start: int) -> tuple[int, int]:
    """Return where the format's colon (-1: none) and the closing brace are. Raises `Invalid` if it is never closed."""
    depth, quote, colon = 0, "", -1
    for at in range(start, len(text)):
        letter = text[at]
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"" and colon < 0:
            quote = letter
        elif letter == "}" and depth == 0:
            return colon, at
        elif letter in _OPEN:
            depth += 1
        elif letter in _CLOSE:
            depth -= 1
        elif letter == ":" and depth == 0 and colon < 0:
            colon = at
    raise refuse('a "{" is never closed', 'write "{{" for a brace')


@dataclass(frozen=True, slots=True)
class Mentioned:
    """A value of a recipe, compiled: a template, or a list or table of them."""

    evaluate: Callable[[Mapping[str, Any]], Any]
    names: frozenset[str]
    functions: frozenset[str]


def compile_value(value: Any) -> Mentioned:
    """Compile a value whose texts are templates. Raises `Invalid`."""
    if isinstance(value, str):
        template = compile_template(value)
        constant = template.constant
        if constant is not None:
            return Mentioned(lambda _: constant, frozenset(), frozenset())
        return Mentioned(template.value, template.names, template.functions)
    if isinstance(value, Mapping):
        table = {key: compile_value(item) for key, item in value.items()}
        return _joined(
            table.values(), lambda scope: bounded({key: item.evaluate(scope) for key, item in table.items()})
        )
    if isinstance(value, list | tuple):
        items = [compile_value(item) for item in value]
        return _joined(items, lambda scope: bounded([item.evaluate(scope) for item in items]))
    constant = bounded(value)
    return Mentioned(lambda _: constant, frozenset(), frozenset())


def _joined(parts: Any, evaluate: Callable[[Mapping[str, Any]], Any]) -> Mentioned:
    kept = list(parts)
    names = frozenset(name for part in kept for name in part.names)
    return Mentioned(evaluate, names, frozenset(name for part in kept for name in part.functions))


class Scope(dict[str, Any]):
    """Names with their values; parameters are evaluated when first asked for, so only those needed are."""

    __slots__ = ("pending",)

    def __init__(self, known: Mapping[str, Any], pending: Mapping[str, Mentioned]) -> None:
        """Start with the values known, and the parameters that can be had from them."""
        super().__init__(known)
        self.pending = pending

    def __missing__(self, name: str) -> Any:
        """Evaluate a parameter, once."""
        if name not in self.pending:
            raise unknown_name(name, [*self, *self.pending])
        value = self[name] = self.pending[name].evaluate(self)
        return value
