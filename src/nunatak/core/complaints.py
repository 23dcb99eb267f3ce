"""What is wrong with a value that somebody gave, in our words: of what pydantic found at the edges and in settings. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nunatak.core.units import count_text

_WORDS: Mapping[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
    "literal_error": "must be one of {expected}",
    "enum": "must be one of {expected}",
    "string_pattern_mismatch": "is not written as it has to be: it has to match {pattern}",
    "dict_type": "must be an object with names",
    "model_type": "must be an object with names",
    "model_attributes_type": "must be an object with names",
    "none_required": "must be null",
    "json_invalid": "is not JSON: {error}",
}  # fmt: skip
_KINDS: Mapping[str, str] = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "string": "text", "list": "a list",
    "path": "a path", "bytes": "bytes",
}  # fmt: skip
_LENGTHS = {"string_too_long": "character", "too_long": "item", "string_too_short": "character", "too_short": "item"}


def complaint(item: Mapping[str, Any]) -> str:
    """Return one error of pydantic (`type`, `msg`, `ctx`) in words that follow the name of a value: `must be at least 1`."""
    kind, more = str(item["type"]), dict(item.get("ctx") or {})
    if kind in _LENGTHS:
        noun, long = _LENGTHS[kind], kind.endswith("long")
        bound = int(more["max_length" if long else "min_length"])
        return f"must have at {'most' if long else 'least'} {count_text(bound, noun)}"
    what = _KINDS.get(kind.removesuffix("_type").removesuffix("_parsing").removesuffix("_from_float"))
    if what and kind not in _WORDS:
        return f"must be {what}"
    form = _WORDS.get(kind)
    try:
        return form.format(**{name: _number(value) for name, value in more.items()}) if form else _as_it_is(item)
    except KeyError:
        return _as_it_is(item)


def _as_it_is(item: Mapping[str, Any]) -> str:
    return str(item["msg"]).removeprefix("Value error, ")


def _number(value: object) -> str:
    """Return a bound as people write it: 0 and not 0.0, 1000000 and not 1e+06."""
    return f"{value:.0f}" if isinstance(value, float) and value == int(value) else str(value)
