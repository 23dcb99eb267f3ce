"""A dataset's jobs that have not begun leave it, and come back in pieces as a new dataset: one transaction."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection

from nunatak.core.errors import Conflict
from nunatak.core.states import TaskState
from nunatak.datasets import store as datasets_store
from nunatak.datasets.plan import Plan
from nunatak.datasets.progress import Moves
from nunatak.db.statement import Row
from nunatak.tasks import dividing, following, lasting, store, unfold
from nunatak.tasks.advance import once_done
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.dividing import Divisible
from nunatak.tasks.learning.long import Split

S = TaskState


@dataclass(frozen=True, slots=True)
class Divided:
    """What became of a split: `moved` jobs left `dataset` and are `jobs` jobs of `made` (0: not made yet), `pieces` each."""

    dataset: int
    made: int
    moved: int
    jobs: int
    pieces: int
    parameter: str
    whole: int
    low: int
    high: int
    notes: tuple[str, ...]

    def to_plain(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return {**asdict(self), "notes": list(self.notes)}


@dataclass(frozen=True, slots=True)
class _Taken:
    """The jobs to take out: `first` and all after it. `rows` are those of their tasks that were touched, locked."""

    first: int
    jobs: int
    next_job: int
    rows: Sequence[Row]


def split(
    tx: Connection, contexts: Contexts, context: Context, into: int | None, actor: str, now: float, *, apply: bool
) -> Divided:
    """Divide each job that has not begun into `into` pieces (None: as many as the sites advise), in a new dataset.

    Without `apply` it is only told what would be done. Raises `Conflict` or `Invalid` where it makes no sense.
    """
    dataset = context.dataset
    datasets_store.LOCK_FRONTIER(tx, dataset=dataset)  # no job is opened meanwhile
    row = datasets_store.DATASET(tx, dataset=dataset)[0]
    _check(tx, context, row)
    what = dividing.divisible(context.plan)
    division = _proposed(tx, context, what, now) if into is None else dividing.in_pieces(what, into)
    taken = _taken(tx, dataset)
    name = dividing.name_of(row.name, dataset)
    items = dividing.items_of(context.plan, taken.first, taken.jobs)
    plan = dividing.divided(context.plan, what, division, items, taken.jobs, name)
    made = 0
    if apply:
        _take_out(tx, context, taken, now)
        made = _submit(tx, contexts, row, plan, now)
        for number, other in ((dataset, made), (made, dataset)):
            detail = {"into" if number == dataset else "of": other, "moved": taken.jobs, "jobs": plan.jobs}
            datasets_store.ADD_EVENT(
                tx, dataset=number, job=None, task=None, actor=actor, verb="split", detail=json.dumps(detail), now=now
            )
    notes = tuple(dividing.notes(context.plan, plan))
    return Divided(
        dataset, made, taken.jobs, plan.jobs, division.jobs, what.parameter, what.whole, division.low, division.high, notes
    )  # fmt: skip


def _check(tx: Connection, context: Context, row: Row) -> None:
    """Raise `Conflict` for a dataset that cannot be split as a whole."""
    name = f"dataset {context.dataset}"
    for flag in ("cancelled", "closed"):
        if getattr(row, flag):
            raise Conflict(f"{name} is {flag}", code=flag, hint="submit its recipe as a new dataset")
    if row.held:
        raise Conflict(f"{name} is held", code="held", hint=f"nunatak release {context.dataset}, then split it")
    following.check_division(tx, context)
    gathering = [context.plan.tasks[number].name for number, parents in enumerate(context.graph.gathers) if parents]
    if gathering:
        raise Conflict(
            f"{', '.join(gathering)} gathers all jobs, and would see only a part of them in either dataset",
            code="gathers", hint="close the dataset, and submit the recipe with smaller jobs",
        )  # fmt: skip


def _proposed(tx: Connection, context: Context, what: Divisible, now: float) -> Split:
    found = [item.split for item in lasting.warnings(tx, context, now) if item.task in what.tasks and item.split]
    if not found:
        raise Conflict(
            "none of its tasks is known to be too long for where it runs", code="not-too-long",
            hint=f"nunatak split {context.dataset} --into N divides each job into N all the same",
        )  # fmt: skip
    return max(found, key=lambda item: item.jobs)


def _taken(tx: Connection, dataset: int) -> _Taken:
    """Lock the rows of jobs that have not begun, at the end of the dataset; whatever is before another that has, stays.

    A job has begun when one of its tasks was ever leased, or when a person held or cancelled it.
    """
    limits = datasets_store.FRONTIER(tx, dataset=dataset)[0]
    marked = datasets_store.LAST_MARKED(tx, dataset=dataset)[0].job
    begun = store.LAST_BEGUN(tx, dataset=dataset)[0].job
    first = max((job for job in (marked, begun) if job is not None), default=-1) + 1
    rows = store.LOCKED_BEYOND(tx, dataset=dataset, first=first)
    late = [row.job for row in rows if row.attempt or row.state not in (S.READY, S.WAITING)]  # since it was looked
    first = max([first, *(job + 1 for job in late)])
    jobs = int(limits.total) - first
    if jobs <= 0:
        raise Conflict(
            f"all jobs of dataset {dataset} have begun: nothing is left to be split", code="nothing-left",
            hint=f"nunatak status {dataset}",
        )  # fmt: skip
    return _Taken(first, jobs, int(limits.next_job), [row for row in rows if row.job >= first])


def _take_out(tx: Connection, context: Context, taken: _Taken, now: float) -> None:
    """Forget the jobs from `taken.first` on: their rows, their counts, and that there were so many."""
    dataset, moves = context.dataset, Moves()
    opened = context.graph.open_tasks(once_done(tx, dataset))
    touched = Counter(row.task for row in taken.rows)
    for row in taken.rows:
        moves.task(dataset, row.task, row.shape, S(row.state), None)
    for task in context.graph.per_job:
        ready = task in context.graph.roots and task in opened
        moves.task(dataset, task, context.base[task], S.READY if ready else S.WAITING, None, taken.jobs - touched[task])
    store.FORGET_BEYOND(tx, dataset=dataset, first=taken.first)
    datasets_store.FORGET_MARKS(tx, dataset=dataset, first=taken.first)
    datasets_store.SET_FRONTIER(tx, dataset=dataset, next_job=min(taken.next_job, taken.first), total=taken.first)
    moves.new_jobs(dataset, -taken.jobs)
    moves.settle(dataset)
    moves.apply(tx, now)


def _submit(tx: Connection, contexts: Contexts, row: Row, plan: Plan, now: float) -> int:
    recipe = datasets_store.RECIPE(tx, digest=row.recipe)[0]
    return unfold.submit(
        tx, contexts, plan, source=recipe.source, filename=recipe.filename, owner=row.owner, team=row.team, now=now,
        priority=row.priority,
    )  # fmt: skip
