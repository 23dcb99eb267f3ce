"""How pages say things: numbers with units, spans, shares, addresses as links. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from markupsafe import Markup, escape

from nunatak.core.address import Address, parse
from nunatak.core.units import memory_text, time_text
from nunatak.web.commands import page_of

NARROW = "\u202f"
"""A narrow space that does not break: between thousands."""


@lru_cache(maxsize=10_000)
def link(address: str | int | Address) -> str:
    """Return the path of the page of an address: `42/17/propagate#2` is at `/datasets/42/17/propagate/2`."""
    found = address if isinstance(address, Address) else parse(str(address))
    path = f"/datasets/{Address(found.dataset, found.job, found.task)}"
    return path if found.attempt is None else f"{path}/{found.attempt}"


@lru_cache(maxsize=10_000)
def number(value: float | None) -> str:
    """Return a whole number with its thousands apart; a dash for none."""
    if value is None:
        return "\u2013"
    return str(value) if type(value) is int and 0 <= value < 1000 else f"{value:,.0f}".replace(",", NARROW)


def amount(value: float | None) -> str:
    """Return a quantity to about three places: 0.042, 4.2, 118, 12 400."""
    if value is None:
        return "\u2013"
    return number(value) if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def share(value: float | None) -> str:
    """Return a share in percent: `<1 %`, `37 %`."""
    if value is None:
        return "\u2013"
    percent = 100 * value
    return f"<1{NARROW}%" if 0 < percent < 1 else f"{percent:.0f}{NARROW}%"


def size(value: float | None) -> str:
    """Return bytes with their unit."""
    return "\u2013" if value is None else memory_text(value).replace(" ", "\u00a0")


def span(seconds: float | None) -> str:
    """Return a length of time: `41 s`, `1 h 30 min`."""
    return "\u2013" if seconds is None else time_text(seconds).replace(" ", "\u00a0")


def spans(low: float, high: float) -> str:
    """Return a range of times in the unit of its longer end, without digits that nobody can know: `9-27 h`."""
    unit, name = next((size, name) for size, name, below in _UNITS if high < below)
    first, second = _few(low / unit), _few(high / unit)
    return f"{second}\u00a0{name}" if first == second else f"{first}\u2013{second}\u00a0{name}"


_UNITS = ((1.0, "s", 120.0), (60.0, "min", 7200.0), (3600.0, "h", 172_800.0), (86_400.0, "d", math.inf))


def _few(value: float) -> str:
    return f"{value:.1f}" if value < 9.95 and round(value, 1) % 1 else f"{value:.0f}"


def ago(seconds: float) -> str:
    """Return how long ago something was, in one unit: `now`, `3 min`, `2 d`."""
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{int(seconds // unit)}\u00a0{name} ago"
    return "now" if seconds < 5 else f"{int(seconds)}\u00a0s ago"


def moment(text: str | float) -> datetime:
    """Read a time as read models give it: RFC 3339, or seconds since the epoch."""
    return datetime.fromtimestamp(text, UTC) if isinstance(text, int | float) else datetime.fromisoformat(text)


@lru_cache(maxsize=10_000)
def exact(text: str | float) -> str:
    """Return a time to the second, in UTC."""
    return moment(text).strftime("%Y-%m-%d %H:%M:%S UTC")


def relative(text: str | float, now: float) -> str:
    """Return how long ago, or in how long."""
    seconds = now - moment(text).timestamp()
    return ago(seconds) if seconds >= 0 else f"in {spans(-seconds, -seconds)}"


def plural(n: int, one: str, many: str = "") -> str:
    """Return a number with its noun."""
    return f"{number(n)}\u00a0{one if n == 1 else many or one + 's'}"


PARTS = (
    ("done", "D", "done", ("done",)),
    ("running", "R", "running", ("running",)),
    ("ready", "Q", "ready or queued", ("ready", "queued")),
    ("waiting", "W", "waiting for others", ("waiting",)),
    ("needy", "!", "failed or held: need you", ("failed", "held")),
)
"""The five parts of a state bar: class, letter, meaning, the states of tasks it counts."""


def bar(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return the five parts of a state bar, each with its number, and its place and width in thousandths.

    A part that is not empty is wide enough to be seen.
    """
    sizes = [counts[states[0]] + (counts[states[1]] if len(states) > 1 else 0) for *_, states in PARTS]
    total = sum(sizes)
    widths = [max(12.0, 1000 * n / total) if n else 0.0 for n in sizes]
    scale = 1000 / sum(widths) if total else 0.0
    found, at = [], 0.0
    for (kind, letter, words, states), n, width in zip(PARTS, sizes, widths, strict=True):
        part: dict[str, Any] = {"kind": kind, "letter": letter, "words": words, "states": states, "n": n}
        part["x"], part["width"] = round(at, 1), round(width * scale, 1)
        found.append(part)
        at += width * scale
    return found


def bar_words(parts: list[dict[str, Any]]) -> str:
    """Return a state bar in words, for those who do not see it."""
    return ", ".join(f"{part['n']:,} {part['words']}" for part in parts if part["n"]) or "nothing yet"


DEEDS = {
    "submit": "submitted", "hold": "held", "release": "released", "retry": "tried again", "cancel": "cancelled",
    "close": "closed", "more": "more jobs", "needs": "asks for what was learnt", "edit": "changed", "split": "divided",
}  # fmt: skip
"""What was done, by the verb that did it."""


def deed(verb: str) -> str:
    """Return what was done as people say it; what is no verb of ours stays as it is."""
    return DEEDS.get(verb, verb)


_TYPED = re.compile(r"`([^`]+)`|(?<=: )(nunatak [^;`]+)")


@lru_cache(maxsize=2000)
def typed(advice: str) -> Markup:
    """Return advice with what is to be typed set apart: what stands in backticks, or from `: nunatak` to the next `;`.

    Where a page shows the same as a command, it leads there.
    """
    parts, at = [], 0
    for found in _TYPED.finditer(advice):
        command = found[1] or found[2]
        code, page = Markup("<code>{}</code>").format(command), page_of(command)
        parts += [
            escape(advice[at : found.start()]),
            Markup('<a href="{}">{}</a>').format(page, code) if page else code,
        ]
        at = found.end()
    return Markup("").join([*parts, escape(advice[at:])])


def brief(value: int) -> str:
    """Return a round number for an axis, short from 100 000 on: `500 k`, `1.5 M`."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if value >= max(size, 100_000):
            return f"{value / size:g}{NARROW}{letter}"
    return number(value)


FILTERS: Mapping[str, Callable[..., Any]] = {
    "number": number,
    "amount": amount,
    "share": share,
    "size": size,
    "span": span,
    "ago": ago,
    "exact": exact,
    "relative": relative,
    "plural": plural,
    "bar": bar,
    "bar_words": bar_words,
    "deed": deed,
    "typed": typed,
    "brief": brief,
}
