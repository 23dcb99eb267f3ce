"""Calculations and formats of IceProd, of values that depend on the job, in the recipe language."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from nunatak.iceprod.bounds import refuse
from nunatak.iceprod.deferred import Deferred, depends, mixed, pieces_of
from nunatak.iceprod.printing import STRICT_CONVERSION, print_strict


def calculated(source: str, known: dict[str, str]) -> tuple[str, bool]:
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


def printed(form: str, values: Sequence[Any]) -> Any:
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
    return mixed(parts)


def _conversion(conversion: str, value: Any) -> list[str | tuple[Deferred, str]]:
    if not depends(value):
        return [print_strict(conversion, [value])]
    kind, flags = conversion[-1], conversion[1:-1]
    if kind == "s" and not flags:
        return pieces_of(value)
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
