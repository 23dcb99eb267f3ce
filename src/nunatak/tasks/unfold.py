"""Datasets unfold into jobs and tasks: rows appear when first touched, and untouched jobs cost nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from nunatak.core.address import ONCE
from nunatak.core.errors import Conflict, NotFound
from nunatak.core.states import TaskState
from nunatak.datasets import store as datasets_store
from nunatak.datasets.graph import Graph
from nunatak.datasets.overwriting import check_places
from nunatak.datasets.plan import Plan
from nunatak.datasets.progress import Moves
from nunatak.db.statement import Row
from nunatak.tasks import asking, following, store
from nunatak.tasks.advance import count_touched, expect, once_done
from nunatak.tasks.context import Context, Contexts, context_of

S = TaskState


def submit(
    tx: Connection,
    contexts: Contexts,
    plan: Plan,
    *,
    source: str,
    filename: str,
    owner: str,
    team: str,
    now: float,
    priority: float = 1.0,
    wanted: int = 0,
) -> int:
    """Accept a checked plan as a new dataset and return its number. The cost does not depend on the number of jobs.

    With `wanted`, the plan's jobs are tried first, and a person means to add the others, up to so many. Raises `Invalid` if
    what it follows in other datasets is not there.
    """
    datasets_store.ADD_RECIPE(tx, digest=plan.digest, plan=plan.text, source=source, filename=filename, now=now)
    dataset: int = datasets_store.ADD_DATASET(
        tx, name=plan.name, owner=owner, team=team, recipe=plan.digest, priority=priority, now=now
    )[0].dataset
    datasets_store.ADD_REVISION(
        tx, dataset=dataset, revision=1, recipe=plan.digest, author=owner, now=now, done=0, live=0
    )
    following.begin(tx, contexts, dataset, plan, source=source, filename=filename)
    graph = Graph(plan)
    idle = 0 if graph.per_job else plan.jobs  # jobs of a plan in which everything is done once have nothing to do
    datasets_store.ADD_FRONTIER(tx, dataset=dataset, next_job=idle, total=plan.jobs)
    datasets_store.ADD_JOB_COUNTS(tx, dataset=dataset, total=plan.jobs, done=idle, now=now)
    context = context_of(dataset, graph)  # not remembered: the transaction may yet be rolled back
    contexts.book.enter(tx, [task.shape for task in plan.tasks if task.shape])
    moves = Moves()
    _add_lessons(tx, dataset, plan)
    _add_once(tx, contexts, context, plan.jobs, moves, now)
    _count_untouched(context, moves, plan.jobs, frozenset())
    moves.apply(tx, now)
    datasets_store.ADD_EVENT(
        tx,
        dataset=dataset,
        job=None,
        task=None,
        actor=owner,
        verb="submit",
        detail=json.dumps({"jobs": plan.jobs, **({"wanted": wanted} if wanted > plan.jobs else {})}),
        now=now,
    )
    return dataset


def _add_lessons(tx: Connection, dataset: int, plan: Plan) -> None:
    """Give every task its row: two reports that both add one could wait for each other, and one would be forgotten."""
    learnt = [(number, asking.begin(task, plan.jobs)) for number, task in enumerate(plan.tasks)]
    store.SET_LESSONS(tx, v=[(dataset, number, None, item.to_text() if item else None) for number, item in learnt])


def _add_once(tx: Connection, contexts: Contexts, context: Context, jobs: int, moves: Moves, now: float) -> None:
    graph = context.graph
    shapes = contexts.shape_numbers(tx, context, [(ONCE, task) for task in graph.once])
    rows = []
    for task in graph.once:
        pending = graph.pending_once(task, jobs)
        state = S.WAITING if pending else S.READY
        rows.append((context.dataset, ONCE, task, state, shapes[ONCE, task], pending))
        moves.task(context.dataset, task, shapes[ONCE, task], None, state)
    if rows:
        store.ADD(tx, v=rows, now=now)


def _count_untouched(context: Context, moves: Moves, jobs: int, once_done: frozenset[int]) -> None:
    """Count the tasks of `jobs` new jobs: first tasks whose gates are open are ready, all others wait."""
    opened = context.graph.open_tasks(once_done)
    for task in context.graph.per_job:
        ready = task in context.graph.roots and task in opened
        moves.task(context.dataset, task, context.base[task], None, S.READY if ready else S.WAITING, jobs)


class Kind(NamedTuple):
    """Tasks of one name and shape in one dataset, and the shape that each of them asks for."""

    dataset: int
    task: int
    shape: int
    asked: int


class Seats(NamedTuple):
    """Places for `n` tasks that are leased to one engine with one key."""

    engine: int
    lease: int
    n: int
    avoided: tuple[str, str] = ("", "")  # patterns of `Task.avoid` that exclude it, see `elsewhere`


def take_fresh(
    tx: Connection,
    contexts: Contexts,
    context: Context,
    kind: Kind,
    seats: Sequence[Seats],
    moves: Moves,
    now: float,
) -> list[tuple[int, int]]:
    """Open new jobs and claim their tasks of one kind, if it begins jobs; returns the (job, lease) that were claimed.

    First tasks of other kinds become ready or wait. Another transaction opening jobs of this dataset right now is not
    waited for. At least 64 jobs are opened at a time, so that single claims seldom meet here.
    """
    graph = context.graph
    limits = datasets_store.TRY_FRONTIER(tx, dataset=context.dataset) if graph.roots else ()
    if not limits or limits[0].next_job >= limits[0].total:
        return []
    opened = graph.open_tasks(once_done(tx, context.dataset)) if graph.gated else frozenset(graph.per_job)
    if kind.task not in opened:
        return []
    places = [(of.engine, of.lease) for of in seats for _ in range(of.n)]
    first, total = limits[0].next_job, limits[0].total
    last = min(total, first + max(len(places), 64))
    datasets_store.SET_FRONTIER(tx, dataset=context.dataset, next_job=last, total=total)
    keys = [(job, task) for job in range(first, last) for task in graph.roots]
    shapes = contexts.shape_numbers(tx, context, keys)
    claimed: list[tuple[int, int, int, int, int, int, int]] = []
    ready: list[tuple[int, int, int, str, int, int]] = []
    for job, task in keys:
        number = shapes[job, task]
        if task == kind.task and number == kind.shape and len(claimed) < len(places):
            claimed.append((context.dataset, job, task, number, kind.asked, *places[len(claimed)]))
        else:
            ready.append((context.dataset, job, task, S.READY if task in opened else S.WAITING, number, 0))
    got = store.ADD_CLAIMED(tx, v=claimed, now=now, revision=context.revision) if claimed else ()
    added = store.ADD(tx, v=ready, now=now) if ready else ()
    states = {(job, task): TaskState(state) for _, job, task, state, _, _ in ready}
    for new in got:
        count_touched(moves, context, new.task, S.READY, S.QUEUED, shapes[new.job, new.task])
    for new in added:
        state = states[new.job, new.task]
        count_touched(moves, context, new.task, state, state, shapes[new.job, new.task])
    return [(new.job, new.lease) for new in got]


def check_jobs(dataset: int, total: int, jobs: Iterable[int]) -> None:
    """Raise `NotFound` for the first job that a dataset of `total` jobs does not have."""
    for job in jobs:
        if not 0 <= job < total:
            hint = f"its jobs are 0 to {total - 1}"
            raise NotFound(f"dataset {dataset} has no job {job}", code="no-job", hint=hint)


def touch(tx: Connection, contexts: Contexts, context: Context, jobs: Sequence[int], moves: Moves, now: float) -> None:
    """Give every task of jobs of a dataset its row, so that it can be held, changed or looked at by itself."""
    graph, dataset = context.graph, context.dataset
    have: dict[int, dict[int, Row]] = {job: {} for job in sorted(jobs)}
    for row in store.LOCKED_ROWS_IN(tx, dataset=dataset, v=[(job,) for job in have]):
        have[row.job][row.task] = row
    missing = [(job, task) for job in have for task in graph.per_job if task not in have[job]]
    if not missing:
        return
    opened = graph.open_tasks(once_done(tx, dataset)) if graph.gated else frozenset(graph.per_job)
    shapes = contexts.shape_numbers(tx, context, missing)
    states: dict[tuple[int, int], TaskState] = {}
    rows = []
    arrived = following.arrived(tx, context, have)
    for job, task in missing:
        of = have[job]
        pending = sum(1 for parent in graph.local[task] if parent not in of or of[parent].state != S.DONE)
        pending += sum(1 for number in graph.each[task] if (job, number) not in arrived)
        state = states[job, task] = S.READY if pending == 0 and task in opened else S.WAITING
        rows.append((dataset, job, task, state, shapes[job, task], pending))
    for added in store.ADD(tx, v=rows, now=now):
        state = states[added.job, added.task]
        count_touched(moves, context, added.task, state, state, shapes[added.job, added.task])


def more(tx: Connection, contexts: Contexts, context: Context, jobs: int, actor: str, now: float) -> int:
    """Add jobs at the end of a dataset and return its new total. Tasks that gather all jobs wait again.

    Raises `Conflict` if the dataset is closed, or if outputs would take the place of others.
    """
    dataset = context.dataset
    limits = datasets_store.LOCK_FRONTIER(tx, dataset=dataset)[0]
    if datasets_store.DATASET(tx, dataset=dataset)[0].closed:
        raise Conflict(f"dataset {dataset} is closed", code="closed", hint="submit the recipe as a new dataset")
    check_places(context.plan, int(limits.total), jobs)
    graph = context.graph
    idle = 0 if graph.per_job else jobs
    following.more(tx, context, int(limits.total), jobs)
    datasets_store.SET_FRONTIER(tx, dataset=dataset, next_job=limits.next_job + idle, total=limits.total + jobs)
    moves = Moves()
    _count_untouched(context, moves, jobs, once_done(tx, dataset) if graph.gated else frozenset())
    expect(tx, contexts, context, dict.fromkeys(graph.gathered, jobs), moves, now)
    moves.new_jobs(dataset, jobs, idle)
    datasets_store.ADD_EVENT(
        tx, dataset=dataset, job=None, task=None, actor=actor, verb="more", detail=json.dumps({"jobs": jobs}), now=now
    )
    moves.settle(dataset)
    moves.apply(tx, now)
    return int(limits.total + jobs)
