"""Expressions: text to a typed, bounded function of names, by a small part of Python's grammar; never `eval`."""

from __future__ import annotations

import ast
import operator
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from nunatak.core.errors import Invalid
from nunatak.core.spelling import nearest
from nunatak.datasets.functions import FUNCTIONS, MOST_BITS, MOST_ITEMS, MOST_TEXT, bounded, kind, refuse

MOST_LENGTH = 1000
"""Characters of one expression."""
MOST_NODES = 200
"""Operations and values in one expression."""
MOST_DEPTH = 25
"""Levels of one expression."""

Evaluate = Callable[[Mapping[str, Any]], Any]
_PARSING = threading.Lock()  # the warning filters, silenced while parsing, belong to the whole process
_CONSTANTS: Mapping[str, Any] = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression: call `evaluate` with a scope; `names` and `functions` are those it mentions."""

    text: str
    evaluate: Evaluate
    names: frozenset[str]
    functions: frozenset[str]


def unknown_name(name: str, known: Iterable[str]) -> Invalid:
    """Make the error of a name that stands for nothing."""
    return refuse(f'"{name}" is not a known name', nearest(name, (item for item in known if item.isidentifier())))


@lru_cache(maxsize=8192)
def compile_expression(text: str) -> Expression:
    """Compile an expression. Raises `Invalid` if it is malformed, uses what is not allowed, or is over a limit."""
    if len(text) > MOST_LENGTH:
        raise refuse(f"an expression is over {MOST_LENGTH} characters", "split it over parameters")
    if not text.strip():
        raise refuse("an expression is empty", 'write "{{" and "}}" for braces')
    try:
        with _PARSING, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise refuse(f'"{text}" is not an expression', 'write "{{" and "}}" for braces') from None
    compiler = _Compiler(text)
    evaluate = compiler.build(tree.body, 1)
    return Expression(text, evaluate, frozenset(compiler.names), frozenset(compiler.functions))


class _Compiler:
    """Turns a whitelisted syntax tree into nested closures, so that expanding a million jobs parses once."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: set[str] = set()
        self.functions: set[str] = set()
        self.nodes = 0

    def build(self, node: ast.expr, depth: int) -> Evaluate:
        self.nodes += 1
        if self.nodes > MOST_NODES or depth > MOST_DEPTH:
            raise refuse("an expression is over its cost limit", "split it over parameters")
        method = getattr(self, "_" + type(node).__name__.lower(), None)
        if method is None:
            raise refuse(f'"{ast.unparse(node)[:80]}" is not allowed in an expression')
        built: Evaluate = method(node, depth + 1)
        return built

    def _constant(self, node: ast.Constant, _: int) -> Evaluate:
        if not isinstance(node.value, int | float | str) and node.value is not None:
            raise refuse(f'"{ast.unparse(node)[:80]}" is not allowed in an expression')
        value = bounded(node.value)
        return lambda _: value

    def _name(self, node: ast.Name, _: int) -> Evaluate:
        name = node.id
        if name in _CONSTANTS:
            value = _CONSTANTS[name]
            return lambda _: value
        self.names.add(name)

        def evaluate(scope: Mapping[str, Any]) -> Any:
            try:
                return scope[name]
            except KeyError:
                raise unknown_name(name, scope) from None

        return evaluate

    def _list(self, node: ast.List | ast.Tuple, depth: int) -> Evaluate:
        items = [self.build(item, depth) for item in node.elts]
        return lambda scope: bounded([item(scope) for item in items])

    _tuple = _list

    def _attribute(self, node: ast.Attribute, depth: int) -> Evaluate:
        owner, key = self.build(node.value, depth), node.attr
        return lambda scope: _look_up(owner(scope), key)

    def _subscript(self, node: ast.Subscript, depth: int) -> Evaluate:
        owner, key = self.build(node.value, depth), self.build(node.slice, depth)
        return lambda scope: _look_up(owner(scope), key(scope))

    def _unaryop(self, node: ast.UnaryOp, depth: int) -> Evaluate:
        operand = self.build(node.operand, depth)
        if isinstance(node.op, ast.Not):
            return lambda scope: not operand(scope)
        sign = {ast.USub: -1, ast.UAdd: 1}.get(type(node.op))
        if sign is None:
            raise refuse(f'"{ast.unparse(node)[:80]}" is not allowed in an expression')
        return lambda scope: _negate(operand(scope), sign)

    def _binop(self, node: ast.BinOp, depth: int) -> Evaluate:
        call = _ARITHMETIC.get(type(node.op))
        if call is None:
            raise refuse(f'"{ast.unparse(node)[:80]}" is not allowed in an expression')
        left, right = self.build(node.left, depth), self.build(node.right, depth)
        return lambda scope: bounded(_guarded(call, left(scope), right(scope)))

    def _boolop(self, node: ast.BoolOp, depth: int) -> Evaluate:
        parts = [self.build(item, depth) for item in node.values]
        stop_at = isinstance(node.op, ast.Or)

        def evaluate(scope: Mapping[str, Any]) -> Any:
            value = None
            for part in parts:
                value = part(scope)
                if bool(value) is stop_at:
                    break
            return value

        return evaluate

    def _ifexp(self, node: ast.IfExp, depth: int) -> Evaluate:
        test, yes, no = (self.build(item, depth) for item in (node.test, node.body, node.orelse))
        return lambda scope: yes(scope) if test(scope) else no(scope)

    def _compare(self, node: ast.Compare, depth: int) -> Evaluate:
        first = self.build(node.left, depth)
        rest = [
            (_COMPARISONS.get(type(op)), self.build(item, depth))
            for op, item in zip(node.ops, node.comparators, strict=True)
        ]
        if any(call is None for call, _ in rest):
            raise refuse(f'"{ast.unparse(node)[:80]}" is not allowed in an expression', "compare with == or !=")

        def evaluate(scope: Mapping[str, Any]) -> bool:
            left = first(scope)
            for call, item in rest:
                right = item(scope)
                if not _compared(call, left, right):
                    return False
                left = right
            return True

        return evaluate

    def _call(self, node: ast.Call, depth: int) -> Evaluate:
        if not isinstance(node.func, ast.Name) or node.keywords:
            raise refuse(f'"{ast.unparse(node)[:80]}" is not allowed in an expression')
        name = node.func.id
        function = FUNCTIONS.get(name)
        if function is None:
            raise refuse(f'"{name}" is not a known function', nearest(name, FUNCTIONS))
        if not function.least <= len(node.args) <= function.most:
            raise refuse(f'"{ast.unparse(node)[:80]}" has the wrong number of values', f"write {function.says}")
        self.functions.add(name)
        call, values = function.call, [self.build(item, depth) for item in node.args]
        if function.drawn:
            return lambda scope: bounded(_called(call, [scope, *[item(scope) for item in values]]))
        return lambda scope: bounded(_called(call, [item(scope) for item in values]))


def _look_up(owner: Any, key: Any) -> Any:
    if isinstance(owner, Mapping):
        if not isinstance(key, str | int | float):
            raise refuse(f"a table is looked up by text, not by {kind(key)}")
        if key not in owner:
            raise refuse(f'there is no "{key}" in this table', nearest(str(key), map(str, owner)))
        return owner[key]
    if isinstance(key, str) and hasattr(owner, "by"):
        return _look_up(owner.by, key)
    if not isinstance(owner, list | tuple | str):
        raise refuse(f"{kind(owner)} has no parts to look up")
    if not isinstance(key, int):
        raise refuse(f"{kind(owner)} is looked up by number, not by {kind(key)}")
    if not -len(owner) <= key < len(owner):
        raise refuse(f"there is no number {key} in {kind(owner)} of {len(owner)}", "the first is number 0")
    return owner[key]


def _number(value: Any) -> bool:
    return isinstance(value, int | float)


def _negate(value: Any, sign: int) -> Any:
    if not _number(value):
        raise refuse(f"{kind(value)} has no sign")
    return -value if sign < 0 else +value


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return [*left, *right]
    if (_number(left) and _number(right)) or (isinstance(left, str) and isinstance(right, str)):
        return left + right
    hint = "str(...) makes text of a number" if str in (type(left), type(right)) else ""
    raise refuse(f"cannot add {kind(left)} and {kind(right)}", hint)


def _multiply(left: Any, right: Any) -> Any:
    if isinstance(left, int) and not _number(right):
        left, right = right, left
    if isinstance(right, int) and isinstance(left, str | list | tuple):
        most = MOST_TEXT if isinstance(left, str) else MOST_ITEMS
        if len(left) * right > most:
            raise refuse(f"{kind(left)} would be over {most} long")
        return left * right if isinstance(left, str) else list(left) * right
    return _pure(operator.mul, "multiply")(left, right)


def _power(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int) and abs(left) > 1 and right * left.bit_length() > MOST_BITS:
        raise refuse(f"a number would be over {MOST_BITS} bits", "use smaller numbers, or 10.0 ** x")
    return _pure(operator.pow, "raise")(left, right)


def _pure(call: Callable[[Any, Any], Any], verb: str) -> Callable[[Any, Any], Any]:
    def evaluate(left: Any, right: Any) -> Any:
        if not (_number(left) and _number(right)):
            raise refuse(f"cannot {verb} {kind(left)} and {kind(right)}")
        return call(left, right)

    return evaluate


_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: _add,
    ast.Sub: _pure(operator.sub, "subtract"),
    ast.Mult: _multiply,
    ast.Div: _pure(operator.truediv, "divide"),
    ast.FloorDiv: _pure(operator.floordiv, "divide"),
    ast.Mod: _pure(operator.mod, "divide"),
    ast.Pow: _power,
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}


def _guarded(call: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    try:
        return call(left, right)
    except ZeroDivisionError:
        raise refuse("a division by zero") from None
    except OverflowError:
        raise refuse("a number is too large") from None


def _compared(call: Any, left: Any, right: Any) -> bool:
    try:
        return bool(call(left, right))
    except TypeError:
        raise refuse(f"cannot compare {kind(left)} and {kind(right)}") from None


def _called(call: Callable[..., Any], values: list[Any]) -> Any:
    try:
        return call(*values)
    except (OverflowError, ValueError):
        raise refuse("a number is too large or not finite") from None
