"""What an edit does to tasks whose needs depend on the job: each gets the number of another shape when it is next to be claimed.

No edit goes over rows. A number of the time before is known by itself, so that a claim that meets some gives them new ones first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import Connection

from nunatak.core.address import ONCE
from nunatak.core.errors import Invalid
from nunatak.core.states import TaskState
from nunatak.core.work import Shape
from nunatak.datasets.expand import shape_of
from nunatak.datasets.plan import Plan, TaskPlan
from nunatak.datasets.progress import Moves, mark_jobs
from nunatak.db.statement import Row
from nunatak.tasks import store
from nunatak.tasks.asking import AMOUNTS, Learnt
from nunatak.tasks.context import Context, Contexts, shape_or_none
from nunatak.tasks.shapes import number_of
from nunatak.tasks.unfold import Kind

S = TaskState
FEWEST = 64
"""Tasks that are numbered anew at a time, at least: as many as jobs are opened."""


class Waiting(NamedTuple):
    """A task that waits for its next attempt: its job, how many it had, and the shape that it carries."""

    job: int
    attempt: int
    shape: Shape


def numbered(learnt: Learnt | None, written: Shape | None, revision: int) -> Learnt:
    """Return what holds when tasks are numbered anew since `revision`, which writes `written` (None: it depends on the job).

    What was learnt counts no more: a person has decided. How long attempts took stays known.
    """
    anew = (*(learnt.anew if learnt else ()), revision)
    number = number_of(written, revision) if written else 0
    return Learnt(number, wall=learnt.wall if learnt else None, instead=written, anew=anew)


def afresh(needs: str | None, task: TaskPlan) -> str | None:
    """Return what is known of a task's needs (as `Learnt.to_text`) for a dataset whose first revision is the present one here."""
    if needs is None or task.shape is None:
        return None
    learnt = Learnt.from_text(needs)
    return replace(learnt, written=number_of(task.shape), instead=None, before={}, anew=()).to_text()


def asked_now(shape: Shape, written: Shape, before: Iterable[Shape]) -> Shape:
    """Return what a task asks for that carries `shape`, now that `written` is what its recipe writes.

    Amounts to which a retry raised it (those that no revision `before` wrote for it) stay, where more is not written.
    """
    earlier = list(before)
    raised = {name for name in AMOUNTS if getattr(shape, name) not in {getattr(of, name) for of in earlier}}
    amounts = {name: max(getattr(written, name), getattr(shape, name)) for name in raised}
    return replace(written, **amounts)


def number_anew(
    tx: Connection, contexts: Contexts, context: Context, kind: Kind, n: int, moves: Moves, now: float
) -> int:
    """Give about `n` ready tasks of a kind the numbers of what they ask for now; return how many there were.

    It costs two statements, however many revisions and tasks there are. One whose needs cannot be worked out has failed.
    """
    rows = store.NUMBERED(tx, dataset=kind.dataset, task=kind.task, shape=kind.shape, n=max(n, FEWEST))
    if not rows:
        return 0
    shape = contexts.book.shapes(tx, [kind.shape])[kind.shape]
    found = present(tx, contexts, context, kind.task, [Waiting(row.job, row.attempt, shape) for row in rows])
    since = context.numbering(kind.task)[0]
    shapes = {job: of for job, of in found.items() if isinstance(of, Shape)}
    contexts.book.enter(tx, shapes.values(), since)
    numbers = {job: number_of(of, since) for job, of in shapes.items()}
    if numbers:
        store.NUMBER(tx, v=[(kind.dataset, job, kind.task, number) for job, number in sorted(numbers.items())])
    moves.task(kind.dataset, kind.task, kind.shape, S.READY, None, len(numbers))
    for number in numbers.values():
        moves.task(kind.dataset, kind.task, number, None, S.READY)
    _fail(tx, context, kind, [(row, of) for row in rows if isinstance(of := found[row.job], Invalid)], moves, now)
    return len(rows)


def _fail(
    tx: Connection, context: Context, kind: Kind, rows: Sequence[tuple[Row, Invalid]], moves: Moves, now: float
) -> None:
    """Let tasks fail whose needs cannot be worked out: else no claim could ever be answered that meets one."""
    if not rows:
        return
    reasons = {row.job: f"what it needs cannot be worked out: {error.message}" for row, error in rows}
    changes = [(kind.dataset, row.job, kind.task, S.FAILED, 0, row.tries, reasons[row.job]) for row, _ in rows]
    store.CHANGE(tx, v=sorted(changes), now=now)
    moves.task(kind.dataset, kind.task, kind.shape, S.READY, S.FAILED, len(rows))
    marks = {(kind.dataset, row.job): (0, 1, 0) for row, _ in rows if row.job != ONCE}
    mark_jobs(tx, moves, marks, {kind.dataset: len(context.graph.sinks)})


def present(
    tx: Connection, contexts: Contexts, context: Context, task: int, waiting: Sequence[Waiting]
) -> Mapping[int, Shape | Invalid]:
    """Return by job what tasks of one name ask for by the present revision, or why that cannot be worked out."""
    tried = any(item.attempt for item in waiting)
    plans = list(contexts.plans(tx, context.dataset).values()) if tried else []
    return {item.job: _present(context.plan, task, item, plans) for item in waiting}


def _present(plan: Plan, task: int, waiting: Waiting, plans: Sequence[Plan]) -> Shape | Invalid:
    try:
        written = shape_of(plan, task, waiting.job)
    except Invalid as error:
        return error
    if not waiting.attempt:
        return written  # nothing raises what was never tried
    earlier = (found for of in plans if (found := shape_or_none(of, task, waiting.job)))
    return asked_now(waiting.shape, written, earlier)
