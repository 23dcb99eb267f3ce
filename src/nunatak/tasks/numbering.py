"""What an edit does to tasks whose needs depend on the job: each gets the number of another shape when it is next to be claimed.

No edit goes over rows. A number of the time before is known by itself, so that a claim that meets some gives them new ones first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import Connection

from nunatak.core.states import TaskState
from nunatak.core.work import Shape
from nunatak.datasets.expand import shape_of
from nunatak.datasets.plan import TaskPlan
from nunatak.datasets.progress import Moves
from nunatak.tasks import store
from nunatak.tasks.asking import AMOUNTS, Learnt
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.shapes import number_of
from nunatak.tasks.unfold import Kind

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


def number_anew(tx: Connection, contexts: Contexts, context: Context, kind: Kind, n: int, moves: Moves) -> int:
    """Give about `n` ready tasks of a kind the numbers of what they ask for now; return how many there were.

    It costs two statements, however many revisions and tasks there are. Raises `Invalid` where an expression fails.
    """
    rows = store.NUMBERED(tx, dataset=kind.dataset, task=kind.task, shape=kind.shape, n=max(n, FEWEST))
    if not rows:
        return 0
    shape = contexts.book.shapes(tx, [kind.shape])[kind.shape]
    found = present(tx, contexts, context, kind.task, [Waiting(row.job, row.attempt, shape) for row in rows])
    since = context.numbering(kind.task)[0]
    contexts.book.enter(tx, found.values(), since)
    numbers = {job: number_of(of, since) for job, of in found.items()}
    store.NUMBER(tx, v=[(kind.dataset, job, kind.task, number) for job, number in sorted(numbers.items())])
    moves.task(kind.dataset, kind.task, kind.shape, TaskState.READY, None, len(rows))
    for number in numbers.values():
        moves.task(kind.dataset, kind.task, number, None, TaskState.READY)
    return len(rows)


def present(
    tx: Connection, contexts: Contexts, context: Context, task: int, waiting: Sequence[Waiting]
) -> Mapping[int, Shape]:
    """Return by job what tasks of one name ask for by the present revision."""
    tried = any(item.attempt for item in waiting)
    plans = list(contexts.plans(tx, context.dataset).values()) if tried else []
    found = {}
    for job, attempt, shape in waiting:
        written = shape_of(context.plan, task, job)
        earlier = (shape_of(plan, task, job) for plan in plans)
        found[job] = asked_now(shape, written, earlier) if attempt else written  # nothing raises what was never tried
    return found
