"""How far what is asked for may be changed: by what the user wrote, and by what there is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from nunatak.core.work import Shape


class Mode(StrEnum):
    """How far what is asked for may be changed."""

    OFF = "off"  # ask what is written
    WITHIN = "within"  # ask less, or more up to what retries may ask for
    AUTO = "auto"  # ask whatever is needed, up to the largest that any site offers


@dataclass(frozen=True, slots=True)
class Limits:
    """Between which amounts a task may ask."""

    least: Shape
    most: Shape


def limits_of(
    written: Shape,
    mode: Mode,
    memory_most: int = 0,
    largest: Shape | None = None,
    *,
    disk_most: int = 0,
    time_most: int = 0,
) -> Limits:
    """Return the limits of a task that was `written` so.

    `memory_most` and the like are up to where retries may raise each (0: not), `largest` the largest that any site offers.
    """
    if mode is Mode.OFF:
        return Limits(written, written)
    least = replace(written, memory=0, disk=0, time=0)
    most = replace(
        written,
        memory=max(written.memory, memory_most),
        disk=max(written.disk, disk_most),
        time=max(written.time, time_most),
    )
    if mode is Mode.AUTO and largest is not None:
        # Nothing offered today is no reason to ask for less than was written.
        memory, disk = max(most.memory, largest.memory), max(most.disk, largest.disk)
        most = replace(most, memory=memory, disk=disk, time=max(most.time, largest.time))
    return Limits(least, most)
