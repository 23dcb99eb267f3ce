"""What an attempt used over time, as its worker measured it: kept beside its logs, so that no row of the database grows."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nunatak.core.address import Address
from nunatak.tasks.logs.keeping import LogStore
from nunatak.tasks.logs.places import COURSE

MOST = 100
"""Points that are taken; workers send at most 60."""
MOST_BYTES = 16_384
SHORTEST = 60.0
"""Seconds from which on a worker tells it."""


@dataclass(frozen=True, slots=True)
class Course:
    """For each step of so many seconds: `memory` in bytes at most, `cpu` and `gpu` as how many were busy (() if none)."""

    step: float
    memory: tuple[float, ...]
    cpu: tuple[float, ...]
    gpu: tuple[float, ...] = ()

    @property
    def seconds(self) -> float:
        """Return how long it is."""
        return self.step * len(self.memory)

    def to_plain(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return {**asdict(self), "seconds": self.seconds}


def read(data: bytes) -> Course | None:
    """Return what a worker wrote, None if it cannot be understood: programs can write there, too."""
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(plain, Mapping):
        return None
    step = _amount(plain.get("step"))
    memory, cpu, gpu = (_amounts(plain.get(name, [])) for name in ("memory", "cpu", "gpu"))
    if (
        not step
        or not memory
        or cpu is None
        or gpu is None
        or len(cpu) != len(memory)
        or len(gpu) not in (0, len(memory))
    ):
        return None
    return Course(step, memory, cpu, gpu)


def _amounts(plain: Any) -> tuple[float, ...] | None:
    if not isinstance(plain, list) or len(plain) > MOST:
        return None
    found = tuple(amount for item in plain if (amount := _amount(item)) is not None)
    return found if len(found) == len(plain) else None


def _amount(plain: Any) -> float | None:
    known = isinstance(plain, int | float) and not isinstance(plain, bool)
    return plain if known and math.isfinite(plain) and 0 <= plain < 1e18 else None


def course(logs: LogStore, address: Address) -> Course | None:
    """Return what is kept of an attempt; None for one that was short, or has not ended, or whose logs are gone."""
    part = logs.read(address, COURSE, 0, MOST_BYTES)
    return read(part.data) if part.data and part.next >= part.total else None
