"""The pure functions an expression may call, and the bounds every value of an expression keeps."""

from __future__ import annotations

import hashlib
import json
import math
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nunatak.core.errors import Invalid

MOST_BITS = 1024
"""Whole numbers have at most this many bits."""
MOST_TEXT = 65_536
"""Texts have at most this many characters."""
MOST_ITEMS = 10_000
"""Lists have at most this many values, those of lists inside them included."""

_SPEC = re.compile(r"(?:[^{}]?[<>=^])?[ +-]?#?0?(\d{0,3})[,_]?(?:\.\d{1,2})?[bdeEfFgGosxX%]?\Z")
_WHOLE = re.compile(r"\s*[+-]?[0-9]{1,300}\s*\Z")


def refuse(message: str, hint: str = "") -> Invalid:
    """Make the error of an expression."""
    return Invalid(message, code="bad-expression", hint=hint)


def kind(value: object) -> str:
    """Say what a value is, as people do."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, Mapping):
        return "a table"
    return "nothing (null)" if value is None else "a list"


def bounded(value: Any) -> Any:
    """Return `value` if it is within bounds. Raises `Invalid`."""
    if isinstance(value, int):
        if value.bit_length() > MOST_BITS:
            raise refuse(f"a number is over {MOST_BITS} bits", "use smaller numbers")
    elif isinstance(value, str):
        if len(value) > MOST_TEXT:
            raise refuse(f"a text is over {MOST_TEXT} characters")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise refuse("a number is not finite")
    elif isinstance(value, complex):
        raise refuse("a number is not real", "a root of a negative number?")
    elif value is not None:
        _weigh(value, MOST_ITEMS + 1)
    return value


def _weigh(value: Any, left: int) -> int:
    if isinstance(value, Mapping):
        value = value.values()
    left -= 1
    if left < 0:
        raise refuse(f"a list is over {MOST_ITEMS} values")
    if not isinstance(value, str | int | float | None):
        for item in value:
            left = _weigh(item, left)
    return left


def formatted(value: Any, spec: str) -> str:
    """Return `value` in a format such as `06d` or `.3f`. Raises `Invalid`."""
    if not _SPEC.match(spec):
        raise refuse(f'"{spec}" is not a format', 'write one like 06d, .3f or >8; write "{{" and "}}" for braces')
    if isinstance(value, list | tuple | Mapping) or value is None:
        raise refuse(f'{kind(value)} has no format "{spec}"')
    try:
        return format(value, spec)
    except (ValueError, TypeError, OverflowError):
        raise refuse(f'{kind(value)} has no format "{spec}"', "d is for whole numbers, f for any, s for text") from None


def text_of(value: Any) -> str:
    """Return a value as it is written in a word. Raises `Invalid` for a list, a table and null."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    hint = 'make it a word of its own, or write join(LIST, ",")' if isinstance(value, list | tuple) else ""
    raise refuse(f"{kind(value)} cannot be part of a text", hint)


def _numbers(values: Sequence[Any], what: str) -> Sequence[Any]:
    for value in values:
        if not isinstance(value, int | float):
            raise refuse(f"{what} needs numbers, not {kind(value)}")
    return values


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise refuse(f"{what} needs text, not {kind(value)}", f"{what}(str(...))")
    return value


def _list(value: Any, what: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise refuse(f"{what} needs a list, not {kind(value)}")
    return value


def _whole(value: Any, what: str, least: int, most: int) -> int:
    if not isinstance(value, int):
        raise refuse(f"{what} needs a whole number, not {kind(value)}", "int(...)")
    if not least <= value <= most:
        raise refuse(f"{what} needs a number from {least} to {most}, not {value}")
    return value


def _extreme(pick: Callable[[Any], Any], what: str) -> Callable[..., Any]:
    def call(*values: Any) -> Any:
        given = _list(values[0], what) if len(values) == 1 else values
        if not given:
            raise refuse(f"{what} of an empty list")
        if not all(isinstance(item, str) for item in given):
            _numbers(given, what)
        return pick(given)

    return call


def _round(value: Any, digits: Any = None) -> Any:
    _numbers([value], "round")
    return round(value) if digits is None else round(value, _whole(digits, "round", -30, 30))


def _int(value: Any) -> int:
    if isinstance(value, str) and not _WHOLE.match(value):
        raise refuse(f'"{value[:40]}" is not a whole number')
    if not isinstance(value, int | float | str):
        raise refuse(f"int needs a number or text, not {kind(value)}")
    return int(value)


def _float(value: Any) -> float:
    if not isinstance(value, int | float | str):
        raise refuse(f"float needs a number or text, not {kind(value)}")
    try:
        return float(value)
    except ValueError:
        raise refuse(f'"{str(value)[:40]}" is not a number') from None


def _len(value: Any) -> int:
    if not isinstance(value, str | list | tuple | Mapping):
        raise refuse(f"len needs text, a list or a table, not {kind(value)}")
    return len(value)


def _range(*bounds: Any) -> list[int]:
    numbers = [_whole(item, "range", -(2**62), 2**62) for item in bounds]
    if len(numbers) == 3 and numbers[2] == 0:
        raise refuse("range needs a step other than 0")
    if len(range(*numbers)) > MOST_ITEMS:
        raise refuse(f"a list is over {MOST_ITEMS} values")
    return list(range(*numbers))


def _zfill(value: Any, width: Any) -> str:
    return text_of(value).zfill(_whole(width, "zfill", 0, 999))


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=dict)


def _stem(path: Any) -> str:
    return posixpath.splitext(posixpath.basename(_text(path, "stem")))[0]


def _join(items: Any, between: Any = " ") -> str:
    return _text(between, "join").join(text_of(item) for item in _list(items, "join"))


def _draw(scope: Mapping[str, Any], salt: Any) -> int:
    """Return 256 bits that depend on the dataset, the job and the task alone (SHA-256, FIPS 180-4)."""
    where = [scope["dataset"], scope.get("job", -1), scope["task"], salt]
    return int.from_bytes(hashlib.sha256(_json(where).encode()).digest(), "big")


def _seed(scope: Mapping[str, Any], salt: Any = "") -> int:
    return _draw(scope, ["seed", salt]) % (2**31 - 1) + 1


def _random(scope: Mapping[str, Any], least: Any, most: Any, salt: Any = "") -> int:
    low, high = _whole(least, "random", -(2**63), 2**63), _whole(most, "random", -(2**63), 2**63)
    if low > high:
        raise refuse(f"random needs a smaller and a larger number, not {low} and {high}")
    return low + _draw(scope, ["random", salt]) % (high - low + 1)


def _choice(scope: Mapping[str, Any], items: Any, salt: Any = "") -> Any:
    if not _list(items, "choice"):
        raise refuse("choice of an empty list")
    return items[_draw(scope, ["choice", salt]) % len(items)]


def _iceprod(scope: Mapping[str, Any], text: Any, names: Any, cut: Any = False) -> Any:
    """Return a text of an IceProd configuration worked out for a job, `cut` into words if so; `names` is what it refers to."""
    from nunatak.iceprod.levels import (
        expand_levels,
    )  # few recipes need them, and loading takes longer than a short command
    from nunatak.iceprod.words import word_of, words_of

    options = {"dataset": scope["dataset"], "dataset_id": scope["dataset"], "jobs_submitted": scope["jobs"]}
    if "job" in scope:
        options["job"] = scope["job"]
    found = expand_levels(_text(text, "iceprod"), _plain(names), options, scope["task"])
    if cut:
        return word_of(str(found)) if cut == "word" else words_of(str(found))
    return found if isinstance(found, str | int | float | bool | list) else str(found)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


@dataclass(frozen=True, slots=True)
class Function:
    """A function with how many values it takes; `drawn` ones are given the scope, for their seed."""

    call: Callable[..., Any]
    least: int
    most: int
    says: str
    drawn: bool = False


FUNCTIONS: Mapping[str, Function] = {
    "abs": Function(lambda value: abs(_numbers([value], "abs")[0]), 1, 1, "abs(x)"),
    "bool": Function(bool, 1, 1, "bool(x)"),
    "ceil": Function(lambda value: math.ceil(_numbers([value], "ceil")[0]), 1, 1, "ceil(x): the whole number above"),
    "choice": Function(
        _choice, 1, 2, "choice(list): one of the list, by dataset, job and task; choice(list, salt)", True
    ),
    "float": Function(_float, 1, 1, "float(x)"),
    "floor": Function(
        lambda value: math.floor(_numbers([value], "floor")[0]), 1, 1, "floor(x): the whole number below"
    ),
    "format": Function(lambda value, spec: formatted(value, _text(spec, "format")), 2, 2, 'format(x, "06d")'),
    "iceprod": Function(
        _iceprod, 2, 3, "iceprod(text, names, cut): a text of an IceProd configuration; its importer writes these", True
    ),
    "int": Function(_int, 1, 1, "int(x)"),
    "join": Function(_join, 1, 2, 'join(list, ","): one text'),
    "json": Function(_json, 1, 1, "json(x): as JSON"),
    "len": Function(_len, 1, 1, "len(x)"),
    "lower": Function(lambda value: _text(value, "lower").lower(), 1, 1, "lower(text)"),
    "max": Function(_extreme(max, "max"), 1, 100, "max(a, b, ...) or max(list)"),
    "min": Function(_extreme(min, "min"), 1, 100, "min(a, b, ...) or min(list)"),
    "name": Function(lambda path: posixpath.basename(_text(path, "name")), 1, 1, 'name("data/a.i3") is "a.i3"'),
    "random": Function(
        _random, 2, 3, "random(1, 6): a whole number, by dataset, job and task; random(1, 6, salt)", True
    ),
    "range": Function(_range, 1, 3, "range(n), range(a, b), range(a, b, step): a list"),
    "round": Function(_round, 1, 2, "round(x), round(x, digits)"),
    "seed": Function(_seed, 0, 1, "seed(): from 1 to 2147483647, by dataset, job and task; seed(salt): another", True),
    "stem": Function(_stem, 1, 1, 'stem("data/a.i3") is "a"'),
    "str": Function(text_of, 1, 1, "str(x)"),
    "suffix": Function(lambda path: posixpath.splitext(_text(path, "suffix"))[1], 1, 1, 'suffix("data/a.i3") is ".i3"'),
    "sum": Function(lambda items: sum(_numbers(_list(items, "sum"), "sum")), 1, 1, "sum(list)"),
    "upper": Function(lambda value: _text(value, "upper").upper(), 1, 1, "upper(text)"),
    "zfill": Function(_zfill, 2, 2, 'zfill(7, 3) is "007"'),
}
"""Every function, by name."""
