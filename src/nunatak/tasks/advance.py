"""What happens to children when tasks are done, and to tasks that gather all jobs when the number of jobs changes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection

from nunatak.core.address import ONCE
from nunatak.core.states import LEASED_STATES, Derived, TaskState
from nunatak.datasets import progress
from nunatak.datasets import store as datasets_store
from nunatak.datasets.progress import Moves
from nunatak.tasks import ledger, store
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.verdicts.kinds import Action, Kind

S = TaskState
SUPERSEDED = ledger.Stop(Kind.SUPERSEDED, Action.AGAIN, "jobs were added; it gathers them all later")


def advance(
    tx: Connection,
    contexts: Contexts,
    known: Mapping[int, Context],
    done: Iterable[tuple[int, int, int]],
    moves: Moves,
    now: float,
) -> list[tuple[int, int]]:
    """Let children go on after (dataset, job, task) became done: free them, open gates, end jobs.

    Returns the (dataset, job) that became done.
    """
    by_dataset: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for dataset, job, task in done:
        by_dataset[dataset].append((job, task))
    release(
        tx,
        contexts,
        known,
        {dataset: known[dataset].graph.released(by_dataset[dataset]) for dataset in by_dataset},
        moves,
        now,
    )
    for dataset, keys in by_dataset.items():
        context = known[dataset]
        once = [task for job, task in keys if job == ONCE]
        open_gates(tx, context, {task for number in once for task in context.graph.opens[number]}, moves, now)
    return _end_jobs(tx, known, by_dataset, moves)


def release(
    tx: Connection,
    contexts: Contexts,
    known: Mapping[int, Context],
    of: Mapping[int, Counter[tuple[int, int]]],
    moves: Moves,
    now: float,
) -> None:
    """Let children go on, each with so many parents fewer; `of` has them by dataset as (job, task)."""
    freed: list[tuple[int, int, int, str, int, int]] = []
    counts: dict[tuple[int, int, int], int] = {}
    opened: dict[int, frozenset[int]] = {}
    for dataset, released in of.items():
        context = known[dataset]
        opened[dataset] = _open_now(tx, context, released)
        freed += _new_children(tx, contexts, context, released, opened[dataset])
        counts.update({(dataset, *key): n for key, n in released.items()})
    added = {tuple(row) for row in store.ADD(tx, v=freed, now=now)} if freed else set()
    for dataset, job, task, state, shape, _ in freed:
        if (dataset, job, task) in added:
            count_touched(moves, known[dataset], task, S.WAITING, TaskState(state), shape)
    _free_existing(tx, {key: n for key, n in counts.items() if key not in added}, opened, moves, now)


def _open_now(tx: Connection, context: Context, released: Counter[tuple[int, int]]) -> frozenset[int]:
    """Return the tasks whose gates are open; a closed gate among the children is looked at again under the lock.

    Whoever opens a gate holds that lock too, so no child can slip in, waiting, behind its back.
    """
    graph = context.graph
    needed = {task for _, task in released if graph.gates[task]}
    if not needed:
        return frozenset(graph.per_job)
    opened = graph.open_tasks(once_done(tx, context.dataset))
    if needed <= opened:
        return opened
    datasets_store.LOCK_FRONTIER(tx, dataset=context.dataset)
    return graph.open_tasks(once_done(tx, context.dataset))


def once_done(tx: Connection, dataset: int) -> frozenset[int]:
    """Return which once-tasks of a dataset are done, and -number of what it follows in other datasets and is."""
    return frozenset(row.task for row in store.ONCE_DONE(tx, dataset=dataset))


def _new_children(
    tx: Connection, contexts: Contexts, context: Context, released: Counter[tuple[int, int]], opened: frozenset[int]
) -> list[tuple[int, int, int, str, int, int]]:
    """Return rows for children of jobs as they would be if they had none yet."""
    keys = [key for key in released if key[0] != ONCE]
    shapes = contexts.shape_numbers(tx, context, keys)
    rows: list[tuple[int, int, int, str, int, int]] = []
    for job, task in keys:
        pending = context.graph.pending(task) - released[job, task]
        state = S.READY if pending == 0 and task in opened else S.WAITING
        rows.append((context.dataset, job, task, state, shapes[job, task], pending))
    return rows


def count_touched(moves: Moves, context: Context, task: int, before: TaskState, after: TaskState, shape: int) -> None:
    """Count a task that got its row just now: until then it was counted among the untouched ones in state `before`."""
    if context.base[task] == shape:
        if before is not after:
            moves.task(context.dataset, task, shape, before, after)
    else:
        moves.task(context.dataset, task, context.base[task], before, None)
        moves.task(context.dataset, task, shape, None, after)


def _free_existing(
    tx: Connection,
    counts: Mapping[tuple[int, int, int], int],
    opened: Mapping[int, frozenset[int]],
    moves: Moves,
    now: float,
) -> None:
    rows = [(*key, "", 0, 0, n, int(key[1] == ONCE or key[2] in opened[key[0]])) for key, n in sorted(counts.items())]
    for row in store.FREE_CHILDREN(tx, v=rows, now=now) if rows else ():
        if row.state == S.READY and row.pending == 0:
            moves.task(row.dataset, row.task, row.shape, S.WAITING, S.READY)


def open_gates(tx: Connection, context: Context, gated: set[int], moves: Moves, now: float) -> None:
    """Open those of some tasks of jobs whose gates are all open now, in touched jobs and untouched ones."""
    graph = context.graph
    if not gated:
        return
    limits = datasets_store.LOCK_FRONTIER(tx, dataset=context.dataset)[0]
    opened = graph.open_tasks(once_done(tx, context.dataset))
    for task in sorted(gated & opened):
        for row in store.OPEN_GATE(tx, dataset=context.dataset, task=task, now=now):
            moves.task(context.dataset, task, row.shape, S.WAITING, S.READY)
        if task in graph.roots:
            beyond = store.TOUCHED_BEYOND(tx, dataset=context.dataset, task=task, first=limits.next_job)[0].n
            untouched = limits.total - limits.next_job - beyond
            moves.task(context.dataset, task, context.base[task], S.WAITING, S.READY, untouched)


def _end_jobs(
    tx: Connection, known: Mapping[int, Context], by_dataset: Mapping[int, list[tuple[int, int]]], moves: Moves
) -> list[tuple[int, int]]:
    ended: list[tuple[int, int]] = []
    marks: dict[tuple[int, int], tuple[int, int, int]] = {}
    for dataset, keys in by_dataset.items():
        sinks = known[dataset].graph.sinks
        last = Counter(job for job, task in keys if task in sinks)
        if len(sinks) == 1:
            if last:
                moves.job(dataset, Derived.OPEN, Derived.DONE, len(last))
            ended += [(dataset, job) for job in last]
        else:
            marks.update({(dataset, job): (n, 0, 0) for job, n in last.items()})
    of = {dataset: len(known[dataset].graph.sinks) for dataset in by_dataset}
    return ended + progress.mark_jobs(tx, moves, marks, of)


def expect(
    tx: Connection, contexts: Contexts, context: Context, more: Mapping[int, int], moves: Moves, now: float
) -> None:
    """Let tasks that gather all jobs expect more (or, negative, fewer) finished tasks of jobs.

    One that was ready or done waits again; one that was leased is stopped, free of charge.
    """
    graph = context.graph
    added: Counter[int] = Counter()
    for task, n in more.items():
        for child in graph.gathering_children[task]:
            added[child] += n
    rows = {row.task: row for row in store.LOCKED_ROWS(tx, dataset=context.dataset, job=ONCE)} if added else {}
    changes, stopped = [], []
    for task in graph.once:  # in the order of the graph: a task that is undone makes its children wait too
        if not added[task]:
            continue
        row = rows[task]
        before, pending = TaskState(row.state), row.pending + added[task]
        after = _expecting(before, pending)
        if before in LEASED_STATES and after is S.WAITING:
            stopped.append(row)
        if before is S.DONE and after is S.WAITING:
            added.update(dict.fromkeys(graph.local_children[task], 1))
        if before is not after:
            moves.task(context.dataset, task, row.shape, before, after)
        changes.append((context.dataset, ONCE, task, after, pending, row.tries, None))
    ledger.close_open(tx, contexts, stopped, SUPERSEDED, moves, now)
    if changes:
        store.CHANGE(tx, v=changes, now=now)


def _expecting(before: TaskState, pending: int) -> TaskState:
    """Return the state of a once-task whose number of unfinished parents changed."""
    if before in (S.HELD, S.FAILED):
        return before
    if pending:
        return S.WAITING
    return S.READY if before is S.WAITING else before
