"""What every step on a dataset needs to know of it: its plan, graph and shape numbers. Read once a revision of its recipe."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from nunatak.core.errors import Invalid
from nunatak.core.work import Shape
from nunatak.datasets import store as datasets_store
from nunatak.datasets.expand import shape_of
from nunatak.datasets.graph import Graph
from nunatak.datasets.plan import Plan
from nunatak.datasets.revisions import revision_of, unknown
from nunatak.db.kept import Kept
from nunatak.db.statement import Row
from nunatak.tasks import store
from nunatak.tasks.asking import Learnt
from nunatak.tasks.shapes import ANYTHING, NOT_KNOWN, ShapeBook, number_of
from nunatak.tasks.sharing.usage import Decay

MOST = 10_000
MOST_GRAPHS = 500


@dataclass(frozen=True)
class Context:
    """One dataset's plan, its graph, and for each task the number of its shape (0: depends on the job).

    `plan` is that of the present `revision`; the numbers in `base` stay those of the first one: tasks are counted under
    them, so that no row changes when a recipe does. What is asked for in their place is in `asking.Learnt`. `anew` has the
    tasks that are numbered anew since a later revision, because what they ask for depends on the job, or did.
    """

    dataset: int
    plan: Plan
    graph: Graph
    base: tuple[int, ...]
    owner: str = ""
    team: str = ""
    revision: int = 1
    anew: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    def numbering(self, task: int) -> tuple[int, int]:
        """Return the revision since which a task is numbered anew (1: never), and the number of its shape (0: by job)."""
        return self.anew.get(task, (1, self.base[task]))


def context_of(
    dataset: int, graph: Graph, owner: str = "", team: str = "", revision: int = 1, first: Plan | None = None,
    anew: Mapping[int, tuple[int, int]] | None = None,
) -> Context:  # fmt: skip
    """Return the context of a dataset with this graph; whose it is need not be known where nothing is claimed.

    `first` is the plan of the first revision, where this is another.
    """
    base = tuple(number_of(task.shape) if task.shape else 0 for task in (first or graph.plan).tasks)
    return Context(dataset, graph.plan, graph, base, owner, team, revision, anew or {})


class Contexts:
    """Contexts of datasets that are committed; equal plans share one graph."""

    def __init__(self, book: ShapeBook | None = None, decay: Decay | None = None, kept: Kept | None = None) -> None:
        """Begin with nothing read; `decay` says how fast what was used is forgotten, `kept` keeps what people look at."""
        self.kept = kept or Kept()
        self.book = book or ShapeBook()
        self.decay = decay or Decay()
        self.owners: dict[int, tuple[str, str]] = {}  # team and owner of datasets, which never change
        self._known: dict[int, Context] = {}
        self._graphs: dict[str, Graph] = {}

    def of(self, tx: Connection, datasets: Iterable[int]) -> dict[int, Context]:
        """Return the context of each dataset, as this process last heard of it. Raises `NotFound` for one that is not there."""
        found = {dataset: known for dataset in set(datasets) if (known := self._known.get(dataset))}
        return self._completed(tx, found, sorted(set(datasets) - found.keys()))

    def at(self, tx: Connection, revisions: Mapping[int, int]) -> dict[int, Context]:
        """Return the context of each dataset, which is at this revision of its recipe just now."""
        known = {dataset: self._known.get(dataset) for dataset in revisions}
        found = {dataset: item for dataset, item in known.items() if item and item.revision == revisions[dataset]}
        return self._completed(tx, found, sorted(revisions.keys() - found.keys()))

    def _completed(self, tx: Connection, found: dict[int, Context], missing: Sequence[int]) -> dict[int, Context]:
        for row in datasets_store.PLANS(tx, wanted=[(dataset,) for dataset in missing]) if missing else ():
            found[row.dataset] = self._context(tx, row)
        for dataset in missing:
            if dataset not in found:
                raise unknown(dataset)
            self._remember(found[dataset])
        return found

    def _remember(self, context: Context) -> None:
        known = self._known.get(context.dataset)
        if known is not None and known.revision > context.revision:
            return  # read by a transaction that began before the recipe was edited
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[context.dataset] = context

    def forget(self, dataset: int) -> None:
        """Read a dataset anew when it is next asked for."""
        self._known.pop(dataset, None)

    def one(self, tx: Connection, dataset: int) -> Context:
        """Return one context, as it is now. Raises `NotFound`."""
        rows = datasets_store.PRESENT(tx, dataset=dataset)
        return self.at(tx, {row.dataset: row.revision for row in rows} or {dataset: 0})[dataset]

    def _context(self, tx: Connection, row: Row) -> Context:
        graph = self._graph(tx, row.recipe)
        first = graph.plan if row.first == row.recipe else self._graph(tx, row.first).plan
        anew = self._anew(tx, row.dataset, row.revision) if row.revision > 1 else {}
        return context_of(row.dataset, graph, row.owner, row.team, row.revision, first, anew)

    def _anew(self, tx: Connection, dataset: int, revision: int) -> dict[int, tuple[int, int]]:
        """Return which tasks are numbered anew since which revision, and under what; what came after `revision` is left out."""
        learnt = {row.task: Learnt.from_text(row.needs) for row in store.LESSONS_OF(tx, dataset=dataset) if row.needs}
        since = {task: max((n for n in of.anew if n <= revision), default=0) for task, of in learnt.items()}
        if not any(since.values()):
            return {}
        plans = self.plans(tx, dataset)
        shapes = {task: (n, plans[n].tasks[task].shape) for task, n in since.items() if n}
        return {task: (n, number_of(shape, n) if shape else 0) for task, (n, shape) in shapes.items()}

    def _graph(self, tx: Connection, digest: str) -> Graph:
        if digest not in self._graphs:
            if len(self._graphs) >= MOST_GRAPHS:
                self._graphs.clear()
            plan = Plan.from_plain(json.loads(datasets_store.RECIPE(tx, digest=digest)[0].plan))
            self._graphs[digest] = Graph(plan)
        return self._graphs[digest]

    def plans(self, tx: Connection, dataset: int) -> dict[int, Plan]:
        """Return the plans of all revisions of a dataset's recipe, in order."""
        return {row.revision: self._graph(tx, row.recipe).plan for row in datasets_store.REVISIONS(tx, dataset=dataset)}

    def plan_at(self, tx: Connection, dataset: int, revision: int) -> Plan:
        """Return the plan of a revision of a dataset's recipe. Raises `NotFound`."""
        return self._graph(tx, revision_of(tx, dataset, revision).recipe).plan

    def shape_numbers(
        self, tx: Connection, context: Context, keys: Iterable[tuple[int, int]]
    ) -> dict[tuple[int, int], int]:
        """Return the shape number of each (job, task), working out those that depend on the job.

        One that cannot be worked out is `NOT_KNOWN`: it fails when its turn comes.
        """
        numbers: dict[tuple[int, int], int] = {}
        varying: dict[int, dict[tuple[int, int], Shape]] = defaultdict(dict)
        for job, task in keys:
            since, number = context.numbering(task)
            if number:
                numbers[job, task] = number
            else:
                varying[since][job, task] = shape_or_none(context.plan, task, job) or ANYTHING
        for since, shapes in sorted(varying.items()):
            self.book.enter(tx, shapes.values(), since)
            numbers.update(
                {key: NOT_KNOWN if shape is ANYTHING else number_of(shape, since) for key, shape in shapes.items()}
            )
        return numbers


def shape_or_none(plan: Plan, task: int, job: int) -> Shape | None:
    """Return what a task asks for in a job; None where an expression fails for it."""
    try:
        return shape_of(plan, task, job)
    except Invalid:
        return None


def shape_for(context: Context, task: int) -> Shape:
    """Return what a task asks for as written; where that depends on the job, job 0 stands for all."""
    return context.plan.tasks[task].shape or shape_of(context.plan, task, 0)
