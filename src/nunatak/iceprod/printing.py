"""`$sprintf`: texts put together after a C-like format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from nunatak.iceprod.bounds import MOST_KEPT, MOST_WIDTH, bounded_text, refuse

CONVERSION = re.compile(r"%[#0\- +]?[0-9]*+\.?[0-9]*+[csridufegExXo]")
"""A conversion IceProd knows: at most one flag, width, precision, kind."""
STRICT_CONVERSION = re.compile(r"%(?:%|[#0\- +]*+[0-9]*+(?:\.[0-9]*+)?([csridufegExXo]))")
"""A conversion of strict mode: any flags, and `%%` for the sign itself."""

_NUMBERS = re.compile(r"[0-9]+")


class NotPrintable(Exception):  # noqa: N818
    """Format and values do not fit each other."""


def print_exact(text: str) -> str:
    """Return what IceProd's `$sprintf(text)` gives: cut at every comma, values cast by their conversion.

    Raises `NotPrintable` where it leaves the phrase alone, `IndexError` where it gives up on the whole text.
    """
    return _kept_exact(text) if len(text) <= MOST_KEPT else _exact(text)


def _exact(text: str) -> str:
    quote = text[0]
    if quote in "'\"":
        end = text.find(quote, 1)
        form = text[1:end]
    else:
        end = text.find(",")
        form = text[:end]
    if end < 0:
        raise NotPrintable("the format does not end")
    comma = text.find(",", end)
    given = text[comma + 1 :].split(",") if comma >= 0 else []
    kinds = [found.group()[-1] for found in CONVERSION.finditer(form)]
    try:
        values = [_cast_exact(kind, value) for kind, value in zip(kinds, given, strict=False)]
        return filled(form, values) if kinds else form
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise NotPrintable(str(error)) from None


_kept_exact = lru_cache(maxsize=4096)(_exact)


def _cast_exact(kind: str, value: str) -> Any:
    if kind in "cs":
        return value[1:-1] if value[0] in "'\"" else value
    if kind == "r":
        return repr(value)
    return int(value) if kind in "xXo" else float(value)


def filled(form: str, values: Sequence[Any]) -> str:
    """Return a format with its values. Raises `TypeError` or `ValueError` if they do not fit, `Invalid` if it is too wide."""
    if any(len(digits) > 4 or int(digits) > MOST_WIDTH for digits in _widths(form)):
        raise refuse(f"a format asks for over {MOST_WIDTH} characters")
    return bounded_text(form % tuple(values))


def _widths(form: str) -> list[str]:
    return [
        digits
        for start in re.finditer("%", form)
        for digits in _NUMBERS.findall(re.match(r"[^a-zA-Z%]*", form[start.end() :]).group())  # type: ignore[union-attr]
    ]


def print_strict(form: str, values: Sequence[Any]) -> str:
    """Return a format with its values, each cast by its conversion; whole numbers keep all their digits.

    Raises `NotPrintable` with what does not fit.
    """
    kinds = [found.group(1) for found in STRICT_CONVERSION.finditer(form) if found.group(1)]
    if STRICT_CONVERSION.sub("", form).count("%"):
        raise NotPrintable("there is a % that begins no conversion; write %% for the sign itself")
    if len(kinds) != len(values):
        raise NotPrintable(f"the format has {len(kinds)} conversions, and {len(values)} values are given")
    try:
        return filled(form, [_cast_strict(kind, value) for kind, value in zip(kinds, values, strict=True)])
    except (TypeError, ValueError, OverflowError) as error:
        raise NotPrintable(str(error)) from None


def _cast_strict(kind: str, value: Any) -> Any:
    if kind in "cs":
        return str(value)
    if kind == "r":
        return repr(value)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise NotPrintable(f'"{value}" is no number, and %{kind} needs one')
    return _number(value, kind)


def _number(value: int | float | str, kind: str) -> int | float:
    try:
        if kind in "feEgG":
            return float(value)
        if isinstance(value, str):
            try:
                return int(value)
            except ValueError:
                value = float(value)
        if kind in "xXo" and value != int(value):
            raise NotPrintable(f'"{value}" is no whole number, and %{kind} needs one')
        return int(value)
    except (ValueError, OverflowError):
        raise NotPrintable(f'"{value}" is no number, and %{kind} needs one') from None
