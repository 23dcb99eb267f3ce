"""How templates become code: what they do at every word (look into a dictionary, escape, call a macro) is done the short way.

Nothing else about them changes: all that is written out is escaped unless it is `Markup`. `written` gives plain text where
Jinja2 makes an object of each piece, as all pieces are joined in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import markupsafe
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.runtime import Context, Macro
from jinja2.utils import missing
from markupsafe import Markup, escape

from nunatak.web.assets import url_of

OF_DICTS = frozenset(dir(dict))
"""What stays a method of a dictionary, whatever its keys are."""
PLAIN = frozenset({FunctionType, MethodType, BuiltinFunctionType, type(url_of)})
"""Kinds of what may be called as it is."""
NUMBERS = frozenset({int, float, bool})
"""Kinds whose text has nothing to escape."""
ABSENT = [(missing,) * n for n in range(20)]
_new_text = str.__new__
_escaped: Callable[[str], str] = getattr(markupsafe, "_escape_inner", escape)
"""Escapes what is plain text, without an object around it; earlier versions have it in `escape` alone."""


def looked_up(environment: Any, thing: Any, name: str) -> Any:
    """Return `thing.name` of a template, where `name` is no method of a dictionary: its entry, if `thing` is one."""
    if type(thing) is dict:
        try:
            return thing[name]
        except KeyError:
            pass
    return environment.getattr(thing, name)


def written(value: Any) -> str:
    """Return a value as it is written into a page: escaped, unless it is markup."""
    kind = type(value)
    if kind is str:
        return _escaped(value)
    if kind is Markup:
        return value  # type: ignore[no-any-return]
    return str(value) if kind in NUMBERS else escape(value)


def called(context: Context, what: Any, *args: Any, **options: Any) -> Any:
    """Call something from a template. Macros get what they were not given as `missing`, and give markup."""
    kind = type(what)
    if kind is Macro:
        more = len(what.arguments) - len(args)
        if options or more < 0 or what.caller or what.catch_kwargs or what.catch_varargs:
            return what(context.eval_ctx, *args, **options)
        return _new_text(Markup, what._func(*args, *ABSENT[more]))
    if kind in PLAIN and not hasattr(what, "jinja_pass_arg"):
        return what(*args, **options)
    return context.call(what, *args, **options)


def joined(parts: Sequence[Any]) -> str:
    """Return what `~` makes of its parts: markup if any of them is, then the others are escaped."""
    if Markup in map(type, parts):
        return _new_text(Markup, "".join(map(written, parts)))
    return "".join(map(str, parts))


class QuickCode(CodeGenerator):
    """Writes the code of a template."""

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802
        """Begin with what is used below."""
        self.writeline(f"from {__name__} import called, joined, looked_up, written")
        super().visit_Template(node, frame)

    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:  # noqa: N802
        """Write `thing.name`."""
        if node.attr in OF_DICTS:
            super().visit_Getattr(node, frame)
            return
        self.write("looked_up(environment, ")
        self.visit(node.node, frame)
        self.write(f", {node.attr!r})")

    def visit_Call(self, node: nodes.Call, frame: Frame, forward_caller: bool = False) -> None:  # noqa: N802
        """Write a call. No function of ours asks for the variables of loops and blocks, so none is told."""
        self.write("called(context, ")
        self.visit(node.node, frame)
        self.signature(node, frame, {"caller": "caller"} if forward_caller else None)
        self.write(")")

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        """Write `a ~ b`."""
        self.write("joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo) -> None:  # noqa: ARG002
        self.write("written(")
