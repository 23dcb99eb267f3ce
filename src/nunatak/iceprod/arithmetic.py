"""`$eval`: arithmetic of numbers, by a small part of Python's grammar and with bounded numbers."""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from nunatak.iceprod.bounds import MOST_BITS, refuse

MOST_LENGTH = 4096
"""Characters of one calculation."""
MOST_NESTED = 60
"""Operations in each other."""
FORBIDDEN = ("import", "open", "for", "while", "def", "class", "lambda")
"""What a calculation may not contain, not even as a part of a word."""

_DOUBLE: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitXor: operator.xor,
}
_SINGLE: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


class NotArithmetic(Exception):  # noqa: N818
    """The text is no calculation of numbers, or has no result (a division by zero, say)."""


@lru_cache(maxsize=4096)
def calculate(text: str) -> Any:
    """Return the number a calculation gives. Raises `NotArithmetic`, and `Invalid` for one that costs too much."""
    if len(text) > MOST_LENGTH:
        raise refuse(f"a calculation is over {MOST_LENGTH} characters")
    if any(word in text for word in FORBIDDEN):
        raise NotArithmetic(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text).body[0].value  # type: ignore[attr-defined]
    except (SyntaxError, ValueError, AttributeError, IndexError, RecursionError, MemoryError):
        raise NotArithmetic(text) from None
    try:
        return _value(tree, MOST_NESTED)
    except (TypeError, ArithmeticError, ValueError):
        raise NotArithmetic(text) from None


def _value(node: ast.AST | None, left: int) -> Any:
    if left < 0:
        raise refuse(f"a calculation has over {MOST_NESTED} operations in each other")
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | complex):
        if isinstance(node.value, bool):
            raise NotArithmetic
        return _bounded(node.value)
    if isinstance(node, ast.BinOp) and type(node.op) in _DOUBLE:
        one, other = _value(node.left, left - 1), _value(node.right, left - 1)
        if isinstance(node.op, ast.Pow):
            _weigh_power(one, other)
        return _bounded(_DOUBLE[type(node.op)](one, other))
    if isinstance(node, ast.UnaryOp):
        return _SINGLE[type(node.op)](_value(node.operand, left - 1))
    raise NotArithmetic


def _weigh_power(base: Any, exponent: Any) -> None:
    whole = isinstance(base, int) and isinstance(exponent, int) and exponent > 0
    if whole and base.bit_length() * exponent > 2 * MOST_BITS:
        raise refuse(f"a number is over {MOST_BITS} bits", "use smaller numbers")


def _bounded(number: Any) -> Any:
    if isinstance(number, int) and number.bit_length() > MOST_BITS:
        raise refuse(f"a number is over {MOST_BITS} bits", "use smaller numbers")
    return number
