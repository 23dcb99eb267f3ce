"""What one transaction of reports says of nodes, as text: lines added up by node, task and kind of end. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from nunatak.tasks.verdicts.kinds import Kind

_KINDS = {kind.value: kind for kind in Kind}
_SPEED = "speed"
"""Stands where a line has its kind; who knows no such kind leaves the line out."""


class Line(NamedTuple):
    """Attempts of one task of a dataset that ended the same way on one node; `began` is when the first of them did.

    `wall` has the seconds of all of them. The engine tells the site, and the shape the features.
    """

    engine: int
    host: str
    dataset: int
    task: int
    shape: int
    kind: Kind
    n: int = 1
    began: float = 0.0
    wall: float = 0.0


class Later(NamedTuple):
    """A task that went well after other tries: those speak against the nodes they were made on, if this is another."""

    dataset: int
    job: int
    task: int
    attempt: int
    engine: int
    host: str


class Measured(NamedTuple):
    """How fast a core of a node was, against the reference."""

    engine: int
    host: str
    speed: float


class News:
    """Gathers what is to be told; nodes that only began something are told once."""

    def __init__(self, at: float) -> None:
        """Begin with nothing at a time (seconds since the epoch)."""
        self.at = at
        self._begun: set[tuple[int, str]] = set()
        self._lines: dict[tuple[int, str, int, int, int, Kind], list[float]] = {}
        self._later: list[Later] = []
        self._measured: list[Measured] = []

    def begun(self, nodes: Iterable[tuple[int, str]]) -> None:
        """Add nodes, by engine and host, on which attempts began."""
        self._begun.update(nodes)

    def ended(
        self, engine: int, host: str, dataset: int, task: int, shape: int, kind: Kind, began: float, wall: float
    ) -> None:
        """Add one attempt."""
        key = (engine, host, dataset, task, shape, kind)
        line = self._lines.get(key)
        if line is None:
            self._lines[key] = [1, began, wall]
            return
        line[0] += 1
        line[2] += wall
        if began < line[1]:
            line[1] = began

    def later(self, item: Later) -> None:
        """Add a task that went well at last."""
        self._later.append(item)

    def measured(self, item: Measured) -> None:
        """Add how fast a node was; it ended something there as well."""
        self._measured.append(item)

    def text(self) -> str:
        """Return it all; "" if there is nothing to tell."""
        known = {key[:2] for key in self._lines}
        begun = sorted(self._begun - known)
        if not begun and not known:
            return ""
        lines: list[tuple[Any, ...]] = [(*key, *numbers) for key, numbers in self._lines.items()]
        lines += [(item.engine, item.host, 0, 0, 0, _SPEED, item.speed) for item in self._measured]
        return json.dumps([self.at, begun, lines, self._later], separators=(",", ":"))


class Read(NamedTuple):
    """News as they were written."""

    at: float
    begun: tuple[tuple[int, str], ...]
    lines: tuple[Line, ...]
    later: tuple[Later, ...]
    measured: tuple[Measured, ...] = ()


def read(text: str) -> Read:
    """Read what `News.text` wrote; kinds of ends that this version does not know are left out."""
    at, begun, lines, later = json.loads(text)
    return Read(
        at,
        tuple((engine, host) for engine, host in begun),
        tuple(_lines(lines)),
        tuple(Later(*item) for item in later),
        tuple(Measured(line[0], line[1], line[6]) for line in lines if line[5] == _SPEED),
    )


def _lines(plain: Iterable[list[Any]]) -> Iterator[Line]:
    for engine, host, dataset, task, shape, kind, *numbers in plain:
        if kind in _KINDS:
            yield Line(engine, host, dataset, task, shape, _KINDS[kind], *numbers)
