"""Slots as people say them: `100 slots 4 GB`, `20 slots 2 cpu 1 gpu 8 GB 12 h at madison`."""

from __future__ import annotations

import re

from nunatak.core import units
from nunatak.core.errors import Invalid
from nunatak.core.work import Shape
from nunatak.engines.fates import Place
from nunatak.simulation.engines_file import SLOTS_MOST, EngineEntry
from nunatak.simulation.resources import Resource

HINT = 'write it as "100 slots 4 GB" or "20 slots 2 cpu 1 gpu 8 GB 12 h at madison"'
_FORM = re.compile(r"\s*(\d{1,7})\s+slots?\b(?:\s+(?:of|with))?(?P<each>.*?)(?:\bat\s+(?P<site>[\w.@-]+))?\s*\Z")
_PART = re.compile(r"\s*,?\s*(\d+(?:\.\d*)?)\s*([A-Za-z]+)(\s+disk)?")
_COUNTS = {"cpu": "cpu", "cpus": "cpu", "core": "cpu", "cores": "cpu", "gpu": "gpu", "gpus": "gpu"}


def slots_of(text: str, number: int = 1) -> Resource:
    """Read slots; what is not said is as in a file of engines. Raises `Invalid`."""
    found = _FORM.match(text)
    if not found or not 1 <= int(found[1]) <= SLOTS_MOST:
        raise Invalid(f"{text!r} is not a number of slots", code="bad-slots", hint=HINT)
    amounts, place = dict[str, int](), 0
    each = found["each"].rstrip(" ,")
    while place < len(each):
        part = _PART.match(each, place)
        if not part:
            raise Invalid(f"{each[place:].strip()!r} says nothing of a slot", code="bad-slots", hint=HINT)
        name, amount = _amount(part[1], part[2], bool(part[3]))
        if name in amounts:
            raise Invalid(f"{text!r} gives the {name} twice", code="bad-slots", hint=HINT)
        amounts[name], place = amount, part.end()
    entry = EngineEntry(name=f"more-{number}", slots=int(found[1]))
    slot = Shape(**{**{key: getattr(entry.resource().slot, key) for key in Shape.__slots__}, **amounts})
    resource = entry.resource()
    return Resource(resource.name, found["site"] or "a new site", resource.slots, slot, Place(resource.place.hosts))


def _amount(number: str, unit: str, disk: bool) -> tuple[str, int]:
    """Return what is meant and how much of it: counts, bytes, seconds."""
    if unit in _COUNTS:
        if not number.isdigit() or not 0 < int(number) <= 1024:
            raise Invalid(f"{number} {unit} is not a number of them", code="bad-slots", hint=HINT)
        return _COUNTS[unit], int(number)
    try:
        return "disk" if disk else "memory", units.memory(f"{number} {unit}")
    except Invalid:
        return "time", units.seconds(f"{number} {unit}")
