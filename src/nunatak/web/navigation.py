"""What leads from every page to the others: listed once, in order."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A place: its path, what it is called, and the key that leads there after `g`."""

    path: str
    name: str
    key: str


NAVIGATION = (
    Entry("/datasets", "My work", "d"),
    Entry("/new", "New", "c"),
    Entry("/errors", "Errors", "e"),
    Entry("/sites", "Sites", "s"),
    Entry("/usage", "Usage", "u"),
)
"""Every page that is not below another."""
