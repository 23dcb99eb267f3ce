"""Shapes get numbers, so that tasks carry an integer and claims go by an index. The number follows from the content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache

from sqlalchemy import Connection

from nunatak.core.work import Shape
from nunatak.tasks import store


@lru_cache(maxsize=10_000)
def number_of(shape: Shape, revision: int = 1) -> int:
    """Return a shape's number: the first 62 bits of its SHA-256, never 0, the same in every process and database.

    Tasks that are numbered anew since a revision of their recipe carry another number for the same shape, so that nobody
    takes them for those that are not yet.
    """
    text = shape.key() if revision == 1 else f"{revision} {shape.key()}"
    return int(hashlib.sha256(text.encode()).hexdigest()[:16], 16) >> 2 or 1


ANYTHING = Shape(cpu=0, memory=0, disk=0, time=0)
"""What fits everywhere: it stands for what has to be worked out before it can be claimed."""
NOT_KNOWN = number_of(ANYTHING)
"""What a task asks for that has to be numbered anew first."""


class ShapeBook:
    """Shapes by number. Numbers follow from the content, so what was once read stays true, whatever is rolled back."""

    def __init__(self) -> None:
        """Begin empty."""
        self._shapes: dict[int, Shape] = {}

    def enter(self, tx: Connection, shapes: Iterable[Shape], since: int = 1) -> None:
        """Write down shapes, so that their numbers can be read back; also those that they have since a revision."""
        numbers = {1, since}
        rows = sorted({(number_of(shape, revision), shape.key()) for shape in shapes for revision in numbers})
        if rows:
            store.ADD_SHAPES(tx, v=rows)

    def shapes(self, tx: Connection, numbers: Iterable[int]) -> dict[int, Shape]:
        """Return the shape of each number; 0 (not known yet) is left out."""
        wanted = {number for number in numbers if number}
        missing = sorted(wanted - self._shapes.keys())
        if missing:
            for row in store.SHAPES(tx, v=[(number,) for number in missing]):
                self._shapes[row.shape] = Shape.from_plain(json.loads(row.key))
        return {number: self._shapes[number] for number in wanted}
