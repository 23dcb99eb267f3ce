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
def number_of(shape: Shape) -> int:
    """Return a shape's number: the first 62 bits of its SHA-256, never 0, the same in every process and database."""
    return int(hashlib.sha256(shape.key().encode()).hexdigest()[:16], 16) >> 2 or 1


class ShapeBook:
    """Shapes by number. Numbers follow from the content, so what was once read stays true, whatever is rolled back."""

    def __init__(self) -> None:
        """Begin empty."""
        self._shapes: dict[int, Shape] = {}

    def enter(self, tx: Connection, shapes: Iterable[Shape]) -> None:
        """Write down shapes, so that their numbers can be read back."""
        rows = sorted({(number_of(shape), shape.key()) for shape in shapes})
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
