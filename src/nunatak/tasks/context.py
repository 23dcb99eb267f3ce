"""What every step on a dataset needs to know of it: its plan, graph and shape numbers. Read once, as plans never change."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import Connection

from nunatak.core.errors import NotFound
from nunatak.datasets import store as datasets_store
from nunatak.datasets.expand import shape_of
from nunatak.datasets.graph import Graph
from nunatak.datasets.plan import Plan
from nunatak.tasks.shapes import ShapeBook


@dataclass(frozen=True)
class Context:
    """One dataset's plan, its graph, and for each task the number of its shape (0: depends on the job)."""

    dataset: int
    plan: Plan
    graph: Graph
    base: tuple[int, ...]


class Contexts:
    """Contexts of datasets; plans are kept by content, so a new revision is noticed."""

    def __init__(self, book: ShapeBook | None = None) -> None:
        """Begin with nothing read."""
        self.book = book or ShapeBook()
        self._plan = lru_cache(maxsize=512)(self._parse)
        self._graphs: dict[str, tuple[Graph, tuple[int, ...]]] = {}

    @staticmethod
    def _parse(text: str) -> Plan:
        return Plan.from_plain(json.loads(text))

    def of(self, tx: Connection, datasets: Iterable[int]) -> dict[int, Context]:
        """Return the context of each dataset. Raises `NotFound` for one that is not there."""
        wanted = sorted(set(datasets))
        rows = datasets_store.PLANS(tx, wanted=[(dataset,) for dataset in wanted]) if wanted else ()
        found = {row.dataset: self._context(tx, row.dataset, row.recipe) for row in rows}
        for dataset in wanted:
            if dataset not in found:
                raise NotFound(f"there is no dataset {dataset}", code="no-dataset", hint="nunatak ls shows yours")
        return found

    def one(self, tx: Connection, dataset: int) -> Context:
        """Return one context."""
        return self.of(tx, [dataset])[dataset]

    def _context(self, tx: Connection, dataset: int, digest: str) -> Context:
        if digest not in self._graphs:
            plan = self._plan(datasets_store.RECIPE(tx, digest=digest)[0].plan)
            if len(self._graphs) > 512:
                self._graphs.clear()
            self._graphs[digest] = (Graph(plan), self.base_shapes(tx, plan))
        graph, base = self._graphs[digest]
        return Context(dataset, graph.plan, graph, base)

    def base_shapes(self, tx: Connection, plan: Plan) -> tuple[int, ...]:
        """Return the number of each task's shape, 0 where it depends on the job."""
        numbers = self.book.numbers(tx, [task.shape for task in plan.tasks if task.shape])
        return tuple(numbers[task.shape] if task.shape else 0 for task in plan.tasks)

    def shape_numbers(
        self, tx: Connection, context: Context, keys: Iterable[tuple[int, int]]
    ) -> dict[tuple[int, int], int]:
        """Return the shape number of each (job, task), working out those that depend on the job."""
        numbers: dict[tuple[int, int], int] = {}
        varying = {}
        for job, task in keys:
            if context.base[task]:
                numbers[job, task] = context.base[task]
            else:
                varying[job, task] = shape_of(context.plan, task, job)
        if varying:
            known = self.book.numbers(tx, varying.values())
            numbers.update({key: known[shape] for key, shape in varying.items()})
        return numbers
