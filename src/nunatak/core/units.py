"""Amounts with units as users write them: `2 GB`, `90 min`. Memory is in bytes, time in seconds inside."""

from __future__ import annotations

import difflib
import math
import re
from functools import lru_cache

from nunatak.core.errors import Invalid

_MEMORY = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_TIME = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_ALIASES = {
    "sec": "s", "second": "s", "seconds": "s", "minute": "min", "minutes": "min", "m": "min", "hour": "h", "hours": "h",
    "hr": "h", "day": "d", "days": "d", "week": "w", "weeks": "w", "b": "B", "byte": "B", "bytes": "B", "kb": "kB", "KB": "kB",
    "mb": "MB", "Mb": "MB", "gb": "GB", "Gb": "GB", "tb": "TB", "kib": "KiB", "mib": "MiB", "gib": "GiB", "tib": "TiB",
    "K": "kB", "k": "kB", "M": "MB", "G": "GB", "T": "TB",
}  # fmt: skip
_FORM = re.compile(r"\s*([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*([A-Za-z]*)\s*\Z")
MOST_MEMORY = 2**50
MOST_TIME = 366 * 86400


def memory(value: str | float) -> int:
    """Return bytes for `2 GB`, `512 MiB` or a number of bytes. Raises `Invalid`."""
    return math.ceil(_amount(value, _MEMORY, "an amount of memory", "GB", MOST_MEMORY, "1 PB"))


def seconds(value: str | float) -> int:
    """Return seconds for `10 min`, `1.5 h` or a number of seconds, rounded up. Raises `Invalid`."""
    return math.ceil(duration(value))


def duration(value: str | float) -> float:
    """Return seconds likewise, and parts of a second as they are. Raises `Invalid`."""
    return _amount(value, _TIME, "a length of time", "h", MOST_TIME, "a year")


def _amount(value: str | float, units: dict[str, int], what: str, usual: str, most: int, most_text: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Invalid(f"{value!r} is not {what}", code="bad-unit", hint=f'write it as "2 {usual}"')
    found = _FORM.match(str(value))
    if not found:
        raise Invalid(f"{value!r} is not {what}", code="bad-unit", hint=f'write it as "2 {usual}"')
    number, unit = float(found[1]), found[2]
    name = unit if unit in units else _ALIASES.get(unit, "")
    if unit and name not in units:
        near = difflib.get_close_matches(unit, units, 1, 0.3)
        hint = f'did you mean "{found[1]} {near[0] if near else usual}"?'
        raise Invalid(f"{value!r} is not {what}", code="bad-unit", hint=hint)
    amount = number * (units[name] if unit else 1)
    if not math.isfinite(amount) or amount <= 0:
        raise Invalid(f"{value!r} must be more than zero", code="bad-amount")
    if amount > most:
        raise Invalid(f"{value!r} is more than {most_text}", code="bad-amount", hint="check the unit")
    return amount


def count_text(n: int, one: str, many: str = "") -> str:
    """Return a number with its noun: `1 job`, `12 jobs`."""
    return f"{n} {one if n == 1 else many or one + 's'}"


def memory_text(amount: float) -> str:
    """Return bytes as people say it: `1.5 GB`."""
    for unit in ("TB", "GB", "MB", "kB"):
        if amount >= _MEMORY[unit]:
            return f"{amount / _MEMORY[unit]:.3g} {unit}"
    return f"{amount:.0f} B"


@lru_cache(maxsize=10_000)
def time_text(amount: float) -> str:
    """Return seconds as people say it: `41 s`, `1 h 30 min`."""
    if amount < 60:
        return f"{amount:.3g} s"
    total = round(amount)
    days, hours, minutes, rest = total // 86400, total // 3600 % 24, total // 60 % 60, total % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next(index for index, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)
