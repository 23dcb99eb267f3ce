"""Values that are known only when a job is, as expressions of the recipe language; what strict expansion leaves of a text."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nunatak.iceprod.bounds import Meter, refuse
from nunatak.iceprod.names import Names
from nunatak.iceprod.printing import STRICT_CONVERSION, NotPrintable, print_strict
from nunatak.iceprod.reading import Literal, LookUp, Phrase, Text, inner, split
from nunatak.iceprod.strict import Strict, number, structure, whole

UNKNOWN = object()


@dataclass(frozen=True, slots=True)
class Deferred:
    """A value that depends on the job (or that somebody may set): `code` is its expression.

    `known` is the value as it stands in the configuration, where it does not depend on the job.
    """

    code: str
    known: Any = UNKNOWN
    kind: str = ""  # "int" or "number" if it is one for sure

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


class Partial(Strict):
    """Works out what can be worked out before a job is known; `later` says which names cannot be, or should not.

    `later(table, key)` is a `Deferred` for a name that stays a name, or None. All else is as in `Strict`.
    """

    def __init__(self, names: Names, meter: Meter, later: Callable[[str, str], Deferred | None]) -> None:
        """Begin with nothing worked out."""
        super().__init__(names, meter)
        self.later = later
        self.drawn = 0

    def referred(self, table: str, key: str) -> Any:
        """Return the deferred value of a name, or what it stands for."""
        found = self.later(table, key)
        return super().referred(table, key) if found is None else found

    def _joined(self, text: Text) -> Any:
        parts: list[str | tuple[Deferred, str]] = []
        for part in text.parts:
            value = part.text if isinstance(part, Literal) else self.part(part)
            parts += _pieces(value)
        return _mixed(parts)

    @staticmethod
    def _shown(value: Any) -> str:
        if isinstance(value, Deferred) and value.known is not UNKNOWN:
            return Strict._shown(value.known)
        if depends(value):
            raise refuse("a name or a calculation is put together from what depends on the job")
        return Strict._shown(value)

    def _look_up(self, look: LookUp) -> Any:
        owner, index = self.part(look.owner), self.text(look.index)
        if not depends(owner) and not depends(index):
            return super()._look_up(look)
        if isinstance(owner, str):
            owner = structure(owner)
        if isinstance(owner, Deferred) and isinstance(owner.known, dict):
            owner = owner.known
        if isinstance(owner, dict) and isinstance(index, Deferred) and index.known is not UNKNOWN:
            return Strict._entry(owner, index.known, look)
        if isinstance(owner, dict):
            raise refuse("which entry of a table is meant depends on the job", at=look.at)
        place = (
            index.numeric
            if isinstance(index, Deferred)
            else code(number(index) if number(index) is not None else index)
        )
        items = owner.known if isinstance(owner, Deferred) else owner
        kinds = {type(item) for item in items} if isinstance(items, list) else {None}
        kind = "int" if kinds == {int} else "number" if kinds <= {int, float} else ""
        known = UNKNOWN
        if isinstance(items, list) and not depends(index) and whole(index) is not None:
            at = whole(index) or 0
            if not -len(items) <= at < len(items):
                raise refuse(
                    f"there is no number {at} in {look.owner.text} of {len(items)}", "the first is 0", at=look.at
                )
            known = items[at]
        return Deferred(f"{code(owner)}[{place}]", known, kind)

    def _eval(self, phrase: Phrase) -> Any:
        values = [part if isinstance(part, Literal) else self.part(part) for part in phrase.value.parts]
        if not any(isinstance(value, Deferred | Mixed) for value in values):
            return super()._eval(phrase)
        source, known, ints = "", dict[str, str](), True
        for value in values:
            if isinstance(value, Literal):
                source += value.text
            elif isinstance(value, Deferred):
                name = f"later_{len(known)}"
                known[name] = value.numeric
                source += name
                ints = ints and (value.whole or value.numeric.startswith("int("))
            else:
                source += f"({self._shown(value).strip()})"
        found, exact = _arithmetic(source.strip(), known)
        return Deferred(found, kind="int" if ints and exact else "number")

    def _sprintf(self, phrase: Phrase) -> Any:
        pieces = [self._word(piece) for piece in phrase.value.pieces]
        if not any(map(depends, pieces)):
            return super()._sprintf(phrase)
        if depends(pieces[0]):
            raise refuse("the format of $sprintf depends on the job")
        try:
            return _printed(str(pieces[0]), pieces[1:])
        except NotPrintable as error:
            raise refuse(str(error)) from None

    def _choice(self, phrase: Phrase) -> Any:
        choices = list(self._values(phrase))
        if not choices or choices == [""]:
            raise refuse("there is nothing to choose from")
        self.drawn += 1
        salt = f", {self.drawn}" if self.drawn > 1 else ""
        return Deferred(f"choice({code(choices)}{salt})")

    def _len(self, phrase: Phrase) -> Any:
        value = self.text(phrase.value)
        return Deferred(f"len({code(value)})", kind="int") if depends(value) else super()._len(phrase)

    def _values(self, phrase: Phrase) -> Sequence[Any]:
        value = self.text(phrase.value)
        if isinstance(value, Deferred) and isinstance(value.known, list):
            return [Deferred(f"{value.code}[{index}]", item) for index, item in enumerate(value.known)]
        if depends(value):
            return [self.text(piece) for piece in split(inner(phrase.value), quotes=False)]
        return super()._values(phrase)

    def _reduced(self, function: Callable[[Any], Any]) -> Callable[[Phrase], Any]:
        plainly = super()._reduced(function)

        def reduced(phrase: Phrase) -> Any:
            value = self.text(phrase.value)
            if not depends(value):
                return plainly(phrase)
            if isinstance(value, Deferred) and isinstance(value.known, list):
                return Deferred(f"{function.__name__}({value.code})", kind="number")
            items = [
                item.numeric if isinstance(item, Deferred) else code(number(item)) for item in self._values(phrase)
            ]
            return Deferred(f"{function.__name__}([{', '.join(items)}])", kind="number")

        return reduced


def _numeric(value: Any) -> str:
    if isinstance(value, Deferred):
        return value.numeric
    found = None if isinstance(value, Mixed) else number(value)
    if found is None:
        raise refuse(f'"{template(value)}" is no number')
    return code(found)


def _pieces(value: Any) -> list[str | tuple[Deferred, str]]:
    if isinstance(value, Mixed):
        return list(value.parts)
    if isinstance(value, Deferred):
        if value.known is True or value.known is False or value.known is None or isinstance(value.known, list | dict):
            return [Strict._shown(value.known)]  # the recipe language writes these otherwise
        return [(value, "")]
    if depends(value):
        raise refuse("a list or a table that depends on the job is part of a text")
    return [Strict._shown(value)]


def _mixed(parts: Sequence[str | tuple[Deferred, str]]) -> Any:
    joined: list[str | tuple[Deferred, str]] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    if all(isinstance(part, str) for part in joined):
        return "".join(map(str, joined))
    return Mixed(tuple(joined))


def _arithmetic(source: str, known: dict[str, str]) -> tuple[str, bool]:
    """Return a calculation as an expression of the recipe language, and whether whole numbers make it a whole number."""
    try:
        tree = ast.parse(source, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise refuse(f'"{source[:100]}" cannot be calculated') from None
    whole_only = not any(
        isinstance(node, ast.Div | ast.Pow) or (isinstance(node, ast.Constant) and not isinstance(node.value, int))
        for node in ast.walk(tree)
    )
    return ast.unparse(_Calculation(known).visit(tree)), whole_only


class _Calculation(ast.NodeTransformer):
    """Lets through what both languages calculate alike."""

    ALIKE = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.Constant, ast.Name, ast.Load, ast.USub, ast.UAdd)
    OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)

    def __init__(self, known: dict[str, str]) -> None:
        self.known = known

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if not isinstance(node, (*self.ALIKE, *self.OPERATORS)):
            raise refuse("what depends on the job is calculated with + - * / // % and ** only")
        if isinstance(node, ast.Constant) and (isinstance(node.value, bool) or not isinstance(node.value, int | float)):
            raise refuse("a calculation has something that is no number")
        return super().generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id not in self.known:
            raise refuse(f'"{node.id}" is no number')
        return ast.parse(self.known[node.id], mode="eval").body


def _printed(form: str, values: Sequence[Any]) -> Any:
    """Return `$sprintf` as a text with formats of the recipe language."""
    parts: list[str | tuple[Deferred, str]] = []
    left, at = list(values), 0
    for found in STRICT_CONVERSION.finditer(form):
        parts.append(form[at : found.start()])
        at = found.end()
        if found.group() == "%%":
            parts.append("%")
            continue
        if not left:
            raise refuse("$sprintf has more conversions than values")
        parts += _conversion(found.group(), left.pop(0))
    parts.append(form[at:])
    if left:
        raise refuse("$sprintf has more values than conversions")
    if any(isinstance(part, str) and "%" in STRICT_CONVERSION.sub("", form) for part in parts):
        raise refuse("there is a % that begins no conversion", "write %% for the sign itself")
    return _mixed(parts)


def _conversion(conversion: str, value: Any) -> list[str | tuple[Deferred, str]]:
    if not depends(value):
        return [print_strict(conversion, [value])]
    kind, flags = conversion[-1], conversion[1:-1]
    if kind == "s" and not flags:
        return _pieces(value)
    if not isinstance(value, Deferred):
        raise refuse(f"{conversion} of a text that depends on the job")
    width = flags.lstrip("#0- +")
    signs = flags[: len(flags) - len(width)]
    if kind in "sr c" or (kind in "diuxXo" and "." in width) or (set(signs) - set("0+ -")):
        raise refuse(f"{conversion} of what depends on the job")
    align = "<" if "-" in signs else ""
    sign = "+" if "+" in signs else " " if " " in signs else ""
    zero = "0" if "0" in signs and not align else ""
    if kind in "diuxXo":
        counted = value if value.whole else Deferred(f"int({value.numeric})", kind="int")
        return [(counted, f"{align}{sign}{zero}{width}{'d' if kind in 'diu' else kind}")]
    real = value if not isinstance(value.known, str) else Deferred(value.numeric)
    return [(real, f"{align}{sign}{zero}{width}{kind}")]
