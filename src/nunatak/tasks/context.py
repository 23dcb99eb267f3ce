"""What every step on a dataset needs to know of it: its plan, graph and shape numbers. Read once, as plans never change."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from nunatak.core.errors import NotFound
from nunatak.core.work import Shape
from nunatak.datasets import store as datasets_store
from nunatak.datasets.expand import shape_of
from nunatak.datasets.graph import Graph
from nunatak.datasets.plan import Plan
from nunatak.db.kept import Kept
from nunatak.db.statement import Row
from nunatak.tasks.followed import Followed
from nunatak.tasks.shapes import ShapeBook, number_of
from nunatak.tasks.sharing.usage import Decay

MOST = 10_000
MOST_GRAPHS = 500


@dataclass(frozen=True)
class Context:
    """One dataset's plan, its graph, and for each task the number of its shape (0: depends on the job)."""

    dataset: int
    plan: Plan
    graph: Graph
    base: tuple[int, ...]
    owner: str = ""
    team: str = ""


def context_of(dataset: int, graph: Graph, owner: str = "", team: str = "") -> Context:
    """Return the context of a dataset with this graph; whose it is need not be known where nothing is claimed."""
    base = tuple(number_of(task.shape) if task.shape else 0 for task in graph.plan.tasks)
    return Context(dataset, graph.plan, graph, base, owner, team)


class Contexts:
    """Contexts of datasets that are committed; equal plans share one graph."""

    def __init__(self, book: ShapeBook | None = None, decay: Decay | None = None, kept: Kept | None = None) -> None:
        """Begin with nothing read; `decay` says how fast what was used is forgotten, `kept` keeps what people look at."""
        self.kept = kept or Kept()
        self.book = book or ShapeBook()
        self.decay = decay or Decay()
        self.followed = Followed()
        self._known: dict[int, Context] = {}
        self._graphs: dict[str, Graph] = {}

    def of(self, tx: Connection, datasets: Iterable[int]) -> dict[int, Context]:
        """Return the context of each dataset. Raises `NotFound` for one that is not there."""
        found = {dataset: self._known[dataset] for dataset in set(datasets) if dataset in self._known}
        missing = sorted(set(datasets) - found.keys())
        for row in datasets_store.PLANS(tx, wanted=[(dataset,) for dataset in missing]) if missing else ():
            found[row.dataset] = self._context(tx, row)
        for dataset in missing:
            if dataset not in found:
                raise NotFound(f"there is no dataset {dataset}", code="no-dataset", hint="nunatak ls shows yours")
            self._remember(found[dataset])
        return found

    def _remember(self, context: Context) -> None:
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[context.dataset] = context

    def one(self, tx: Connection, dataset: int) -> Context:
        """Return one context."""
        return self.of(tx, [dataset])[dataset]

    def _context(self, tx: Connection, row: Row) -> Context:
        digest = row.recipe
        if digest not in self._graphs:
            if len(self._graphs) >= MOST_GRAPHS:
                self._graphs.clear()
            plan = Plan.from_plain(json.loads(datasets_store.RECIPE(tx, digest=digest)[0].plan))
            self._graphs[digest] = Graph(plan)
        return context_of(row.dataset, self._graphs[digest], row.owner, row.team)

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
            self.book.enter(tx, varying.values())
            numbers.update({key: number_of(shape) for key, shape in varying.items()})
        return numbers


def shape_for(context: Context, task: int) -> Shape:
    """Return what a task asks for as written; where that depends on the job, job 0 stands for all."""
    return context.plan.tasks[task].shape or shape_of(context.plan, task, 0)
