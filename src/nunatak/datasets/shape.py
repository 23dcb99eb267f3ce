"""What a task needs, as written, to a shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nunatak.core.errors import Invalid
from nunatak.core.work import Shape
from nunatak.datasets.kinds import Amount, Text, Whole
from nunatak.datasets.report import quoted
from nunatak.datasets.schema import NEEDS
from nunatak.datasets.template import compile_value


def shape_from(needs: Mapping[str, Any], scope: Mapping[str, Any]) -> Shape:
    """Return the rounded shape. Raises `Invalid` where an expression fails or gives what cannot be asked for."""
    return Shape(**{key: need(key, value, scope) for key, value in needs.items()}).rounded()


def need(key: str, value: Any, scope: Mapping[str, Any]) -> Any:
    """Return one need in base units. Raises `Invalid`."""
    kind = NEEDS.fields[key].kind
    found = compile_value(value).evaluate(scope)
    if isinstance(kind, Amount):
        return kind.read(found)
    if isinstance(kind, Whole):
        if isinstance(found, bool) or not isinstance(found, int | float) or found != int(found):
            raise Invalid(f"{quoted(found)} is not a whole number", code="bad-amount")
        if not kind.least <= found <= kind.most:
            raise Invalid(f"{found} is not from {kind.least} to {kind.most}", code="bad-amount")
        return int(found)
    if isinstance(kind, Text):
        return str(found)
    return tuple(str(item) for item in (found if isinstance(found, list | tuple) else [found]))
