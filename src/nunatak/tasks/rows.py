"""Short tasks in a row: how many of a claim's tasks share a place, by how long they were seen to take."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from nunatak.core.work import Grouping, Shape
from nunatak.datasets.program import Recorded
from nunatak.tasks import store
from nunatak.tasks.checkpoints import Kept
from nunatak.tasks.learning.evidence import Evidence
from nunatak.tasks.learning.groups import Size, group_size, group_time, groups
from nunatak.tasks.learning.sketch import EMPTY, Sketch

AGE = 3.0
"""Seconds for which it is remembered how long tasks take."""
ALONE = 30.0
"""Seconds after which it is looked again at tasks that are too long to be grouped: that seldom changes."""

Task = tuple[int, int]  # dataset, number in the plan


class Row(NamedTuple):
    """A series of one claim: its number in the answer, and what is asked of the engine for all of it."""

    number: int
    shape: Shape


class Claimed(NamedTuple):
    """One task leased to an engine; `shape` is what it asks for, `inputs` are the recorded outputs of its parents.

    `checkpoint` is what an earlier attempt kept.
    """

    dataset: int
    job: int
    task: int
    attempt: int
    lease: int
    shape: int
    inputs: tuple[Recorded, ...] = ()
    avoid: tuple[str, ...] = ()  # nodes on which it should not be tried
    checkpoint: Kept | None = None
    row: Row | None = None  # the series it runs in
    recipe: str = ""  # the digest of the revision it runs by


class Durations:
    """How long tasks were seen to take, as of a few seconds ago: read once for many claims."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._lock = threading.Lock()
        self._until: dict[Task, float] = {}
        self._took: dict[Task, Sketch] = {}

    def of(self, tx: Connection, tasks: Iterable[Task], now: float, target: float) -> Mapping[Task, Sketch]:
        """Return the distribution of the seconds that attempts took, for each task."""
        wanted = set(tasks)
        with self._lock:
            old = sorted(task for task in wanted if not 0 < self._until.get(task, 0.0) - now <= ALONE)
        if old:
            found = dict.fromkeys(old, EMPTY)
            for row in store.EVIDENCE(tx, v=old):
                found[row.dataset, row.task] = Evidence.from_text(row.evidence).time.used
            self._keep(found, now, target)
        with self._lock:
            return {task: self._took.get(task, EMPTY) for task in wanted}

    def _keep(self, found: Mapping[Task, Sketch], now: float, target: float) -> None:
        with self._lock:
            if len(self._took) > 100_000:
                self._took.clear()
                self._until.clear()
            for task, took in found.items():
                self._took[task] = took
                self._until[task] = now + (ALONE if took.count and took.mean() > target else AGE)


class Rule(NamedTuple):
    """How tasks of one kind share the places of one engine: `each` in one place, of what took so long and has this shape."""

    took: Sketch
    grouping: Grouping
    shape: Shape
    each: int


def size(took: Sketch, grouping: Grouping, shape: Shape, offer: Shape, ready: int) -> int:
    """Return how many tasks of a shape go into one place of an engine that has `offer` in all; so many are ready."""
    parts = [(offer.cpu, shape.cpu), (offer.gpu, shape.gpu), (offer.memory, shape.memory), (offer.disk, shape.disk)]
    slots = min((have // need for have, need in parts if need), default=1)
    return group_size(took, shape, ready, max(1, slots), grouping).n


def in_rows(claimed: Sequence[Claimed], rule: Rule, first: int) -> list[Claimed]:
    """Return the claimed tasks of one kind with their series, as even as can be; series are numbered from `first`."""
    each = Size(rule.each, group_time(rule.took, rule.shape, rule.each, rule.grouping), "")
    made: list[Claimed] = []
    for group in groups([((), item, rule.shape) for item in claimed], {(): each}):
        row = Row(first, group.shape) if len(group.members) > 1 else None
        first += row is not None
        made += [item._replace(row=row) for item in group.members]
    return made


def series(claimed: Sequence[Claimed]) -> int:
    """Return how many series there are among claimed tasks."""
    return len({item.row.number for item in claimed if item.row})


def places(claimed: Sequence[Claimed]) -> int:
    """Return how many places of an engine some claimed tasks take."""
    return sum(item.row is None for item in claimed) + series(claimed)
