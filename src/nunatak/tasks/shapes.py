"""Shapes get small numbers, so that tasks carry an integer and claims go by an index."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable

from sqlalchemy import Connection

from nunatak.core.work import Shape
from nunatak.tasks import store


class ShapeBook:
    """Numbers of shapes and shapes of numbers. Rows are never changed, so what was once read stays true."""

    def __init__(self) -> None:
        """Begin empty."""
        self._numbers: dict[str, int] = {}
        self._shapes: dict[int, Shape] = {}
        self._lock = threading.Lock()

    def numbers(self, tx: Connection, shapes: Iterable[Shape]) -> dict[Shape, int]:
        """Return the number of each shape, adding those that are new."""
        wanted = {shape: shape.key() for shape in set(shapes)}
        missing = sorted({key for key in wanted.values() if key not in self._numbers})
        found: dict[str, int] = {}
        if missing:
            store.ADD_SHAPES(tx, v=[(key,) for key in missing])
            found = {row.key: row.shape for row in store.SHAPES_BY_KEY(tx, v=[(key,) for key in missing])}
        return {shape: self._numbers.get(key) or found[key] for shape, key in wanted.items()}

    def shapes(self, tx: Connection, numbers: Iterable[int]) -> dict[int, Shape]:
        """Return the shape of each number; 0 (not known yet) is left out."""
        wanted = {number for number in numbers if number}
        missing = sorted(wanted - self._shapes.keys())
        if missing:
            rows = store.SHAPES(tx, v=[(number,) for number in missing])
            with self._lock:
                for row in rows:
                    self._shapes[row.shape] = Shape.from_plain(json.loads(row.key))
                    self._numbers[row.key] = row.shape
        return {number: self._shapes[number] for number in wanted}
