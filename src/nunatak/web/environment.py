"""The one environment of all templates: autoescape, strict, and quick where pages spend their time."""

from __future__ import annotations

from functools import cache
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from jinja2.runtime import Context, Macro

from nunatak import __version__
from nunatak.web import words
from nunatak.web.assets import url_of
from nunatak.web.navigation import NAVIGATION

OF_DICTS = frozenset(dir(dict))
PLAIN = frozenset({FunctionType, MethodType, BuiltinFunctionType, type(url_of)})
"""Kinds of what may be called as it is."""


class QuickContext(Context):
    """Calls macros, functions and methods of dictionaries without asking each what it would like to be told."""

    def call(self, called: Any, *args: Any, **kwargs: Any) -> Any:
        """Call something from a template."""
        kind = type(called)
        if kind is not Macro and (kind not in PLAIN or hasattr(called, "jinja_pass_arg")):
            return super().call(called, *args, **kwargs)
        kwargs.pop("_loop_vars", None)
        kwargs.pop("_block_vars", None)
        return called(self.eval_ctx, *args, **kwargs) if kind is Macro else called(*args, **kwargs)


class Templates(Environment):
    """Looks into dictionaries, which views are made of, before it tries attributes; their methods stay what they are."""

    context_class = QuickContext

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return `obj.attribute` of a template."""
        if type(obj) is dict and attribute in obj and attribute not in OF_DICTS:
            return obj[attribute]
        return super().getattr(obj, attribute)


@cache
def environment() -> Templates:
    """Return the environment."""
    made = Templates(
        loader=PackageLoader("nunatak.web"),
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        undefined=StrictUndefined,
    )
    made.globals.update(asset=url_of, navigation=NAVIGATION, version=__version__, link=words.link, spans=words.spans)
    made.filters.update(words.FILTERS)
    return made
