"""What an attempt uses while it runs, as its worker measured it last: read without trust, as a task may have written it. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

AMOUNTS = ("wall", "cpu", "memory", "disk", "gpu")
"""As in the usage of an outcome: seconds and bytes, up to now."""
STREAM = "using"
"""Its name as a stream of logs, each part of which is all there is."""
MOST = 32_768
"""Bytes of which it is read."""
_MOST_AMOUNT = 2**62


def using_of(plain: Any) -> dict[str, float | int | None] | None:
    """Return the amounts of a usage, null for what was not measured; None for what is not one."""
    if not isinstance(plain, dict) or not all(_possible(plain.get(name)) for name in AMOUNTS):
        return None
    found: dict[str, float | int | None] = {name: plain.get(name) for name in AMOUNTS}
    whole = {name: int(amount) for name in ("memory", "disk") if (amount := found[name]) is not None}
    return None if found["wall"] is None else {**found, **whole}


def read_using(data: bytes) -> dict[str, float | int | None] | None:
    """Return the amounts in the bytes of a `usage.json`; None where it cannot be understood."""
    try:
        return using_of(json.loads(data)) if len(data) <= MOST else None
    except (ValueError, RecursionError):
        return None


def text_of(using: Mapping[str, float | int | None]) -> bytes:
    """Return amounts as JSON."""
    return json.dumps({name: using[name] for name in AMOUNTS}, separators=(",", ":")).encode()


def _possible(amount: Any) -> bool:
    if amount is None:
        return True
    return type(amount) in (int, float) and math.isfinite(amount) and 0 <= amount <= _MOST_AMOUNT
