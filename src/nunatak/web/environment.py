"""The one environment of all templates: autoescape, strict, and quick where pages spend their time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.runtime import Context
from markupsafe import Markup

from nunatak import __version__
from nunatak.core.states import shown_state
from nunatak.web import words
from nunatak.web.assets import url_of
from nunatak.web.navigation import NAVIGATION
from nunatak.web.quick import OF_DICTS, QuickCode


class Passing(Context):
    """What one drawing of a page sees. It says of itself where the drawing keeps them, to be taken apart in the end."""

    def __init__(self, environment: Environment, parent: dict[str, Any], *more: Any, **options: Any) -> None:
        """Begin with what is seen from outside."""
        super().__init__(environment, parent, *more, **options)
        parent.get(KEPT, []).append(self)


KEPT = " kept"
"""No template can ask for this name."""


class Templates(Environment):
    """Looks into dictionaries, which views are made of, before it tries attributes; their methods stay what they are."""

    code_generator_class = QuickCode
    context_class = Passing

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return `obj.attribute` of a template."""
        if type(obj) is dict and attribute in obj and attribute not in OF_DICTS:
            return obj[attribute]
        return super().getattr(obj, attribute)


def drawn(template: str, values: dict[str, Any]) -> str:
    """Return a page. What it was made of goes at once: its macros know the context that knows them.

    Left to the search for garbage, the data of a hundred pages would wait for it, and one page in a hundred for the search.
    """
    kept: list[Context] = []
    try:
        return environment().get_template(template).render({**values, KEPT: kept})
    finally:
        for context in kept:
            context.vars.clear()
        kept.clear()


@cache
def environment() -> Templates:
    """Return the environment."""
    made = Templates(
        loader=PackageLoader("nunatak.web"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        undefined=StrictUndefined,
    )
    made.globals.update(
        asset=url_of,
        navigation=NAVIGATION,
        version=__version__,
        link=words.link,
        spans=words.spans,
        shown_state=shown_state,
        drawn_bar=drawn_bar,
    )
    made.filters.update(words.FILTERS)
    return made


def drawn_bar(counts: Mapping[str, int], address: str, small: bool) -> Markup:
    """Return the bar of tasks by state; most datasets of a list are as they were at the last look."""
    return _drawn_bar(tuple(counts.items()), address, small)


@lru_cache(maxsize=2000)
def _drawn_bar(counts: tuple[tuple[str, int], ...], address: str, small: bool) -> Markup:
    draw: Any = environment().get_template("state_bar.html").module
    drawn: Markup = draw.state_bar(dict(counts), address, small)
    return drawn
