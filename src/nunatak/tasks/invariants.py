"""The invariant checker: states, counts, jobs, attempts and pending parents agree. Used after tests and by `nunatak doctor`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, select

from nunatak.core.address import ONCE, Address
from nunatak.core.states import LEASED_STATES, TaskState
from nunatak.datasets import progress
from nunatak.datasets import store as datasets_store
from nunatak.datasets.tables import datasets
from nunatak.tasks import spent_check
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.tables import attempts, tasks

S = TaskState


def check(tx: Connection, contexts: Contexts, only: Iterable[int] | None = None) -> list[str]:
    """Return what does not agree, one sentence each; nothing for a consistent database. Reads whole datasets."""
    wanted = list(only) if only is not None else [row.dataset for row in tx.execute(select(datasets.c.dataset))]
    return [fault for dataset in wanted for fault in check_dataset(tx, contexts.one(tx, dataset))]


def check_dataset(tx: Connection, context: Context) -> list[str]:
    """Return what does not agree in one dataset."""
    rows = list(tx.execute(select(tasks).where(tasks.c.dataset == context.dataset)))
    faults = [fault for row in rows for fault in _row_faults(context, row)]
    faults += _attempt_faults(tx, context, rows)
    faults += _parent_faults(tx, context, rows)
    faults += [f"{name}: kept {kept}, counted {real}" for name, kept, real in differences(tx, context, rows)]
    return [f"dataset {context.dataset}: {fault}" for fault in faults]


def _name(context: Context, row: Row[Any]) -> str:
    return str(Address(context.dataset, None if row.job == ONCE else row.job, context.plan.tasks[row.task].name))


def _row_faults(context: Context, row: Row[Any]) -> list[str]:
    faults = []
    name = _name(context, row)
    if row.state in LEASED_STATES and (not row.lease or not row.engine or not row.claimed or not row.attempt):
        faults.append(f"{name} is {row.state} without a lease")
    if row.state not in LEASED_STATES and row.lease is not None:
        faults.append(f"{name} is {row.state} with a lease")
    if row.state == S.RUNNING and row.started is None:
        faults.append(f"{name} is running but never started")
    if row.state == S.QUEUED and row.started is not None:
        faults.append(f"{name} is queued but has started")
    if row.pending < 0:
        faults.append(f"{name} waits for {row.pending} parents")
    if row.state in (S.READY, *LEASED_STATES, S.DONE) and row.pending:
        faults.append(f"{name} is {row.state} while {row.pending} parents are not done")
    if not row.shape:
        faults.append(f"{name} has no shape")
    return faults


def _attempt_faults(tx: Connection, context: Context, rows: list[Row[Any]]) -> list[str]:
    """Attempts are numbered without gaps; all but the open one are in the ledger; done tasks have one good last attempt."""
    found: dict[tuple[int, int], dict[int, Row[Any]]] = defaultdict(dict)
    for entry in tx.execute(select(attempts).where(attempts.c.dataset == context.dataset)):
        found[entry.job, entry.task][entry.attempt] = entry
    faults = []
    for row in rows:
        ledger = found.pop((row.job, row.task), {})
        ended = row.attempt - (row.state in LEASED_STATES)
        name = _name(context, row)
        if sorted(ledger) != list(range(1, ended + 1)):
            faults.append(f"{name} has {row.attempt} attempts ({row.state}), the ledger has {sorted(ledger)}")
        good = [number for number, entry in ledger.items() if entry.action == "done"]
        if row.state == S.DONE and good[-1:] != [ended]:
            faults.append(f"{name} is done, but its last attempt is not")
        if len(good) > 1 and row.job != ONCE:
            faults.append(f"{name} was done {len(good)} times")
    return faults + [f"the ledger has attempts of a task without a row: {key}" for key in found]


def _parent_faults(tx: Connection, context: Context, rows: list[Row[Any]]) -> list[str]:
    """Each task waits for exactly its unfinished parents, and none waits whose parents are all done."""
    graph = context.graph
    state = {(row.job, row.task): row.state for row in rows}
    done = Counter(row.task for row in rows if row.job != ONCE and row.state == S.DONE)
    once = frozenset(row.task for row in rows if row.job == ONCE and row.state == S.DONE)
    total = datasets_store.FRONTIER(tx, dataset=context.dataset)[0].total
    given_up = {row.job for row in datasets_store.CANCELLED_JOBS(tx, dataset=context.dataset)}
    for job in given_up:
        for task in graph.gathered:
            done[task] += state.get((job, task)) != S.DONE
    opened = graph.open_tasks(once)
    faults = []
    for row in rows:
        pending = sum(1 for parent in graph.local[row.task] if state.get((row.job, parent)) != S.DONE)
        if row.job == ONCE:
            pending += sum(total - done[parent] for parent in graph.gathers[row.task])
        if pending != row.pending:
            faults.append(f"{_name(context, row)} waits for {row.pending} parents, of which {pending} are not done")
        if row.state == S.WAITING and pending == 0 and (row.job == ONCE or row.task in opened):
            faults.append(f"{_name(context, row)} waits for nothing")
        if row.state == S.READY and row.job != ONCE and row.task not in opened:
            faults.append(f"{_name(context, row)} is ready before a task it needs is done")
    unopened = {
        (job, child)
        for (job, task), found in state.items()
        if found == S.DONE
        for child in graph.local_children[task]
        if (job, child) not in state
    }
    return faults + [f"job {job}: {context.plan.tasks[child].name} was not opened" for job, child in sorted(unopened)]


Difference = tuple[str, dict[str, int], dict[str, int]]


def differences(tx: Connection, context: Context, rows: list[Row[Any]]) -> list[Difference]:
    """Return kept counts that differ from what is there: (what, kept, counted)."""
    real, real_jobs = recount(tx, context, rows)
    kept = {
        (row.task, row.shape): {state: getattr(row, state) for state in datasets_store.STATES}
        for row in datasets_store.TASK_COUNTS(tx, dataset=context.dataset)
    }
    zero = dict.fromkeys(datasets_store.STATES, 0)
    found: list[Difference] = []
    for task, shape in sorted(kept.keys() | real.keys()):
        a, b = kept.get((task, shape), zero), real.get((task, shape), zero)
        if a != b:
            found.append((f"counts of {context.plan.tasks[task].name} with shape {shape}", a, b))
    row = datasets_store.JOB_COUNTS(tx, dataset=context.dataset)[0]
    kept_jobs = {"total": row.total, "done": row.done, "failed": row.failed, "held": row.held}
    live = sum(counts[state] for counts in real.values() for state in progress.LIVE)
    if row.live != live:
        found.append(("live tasks", {"live": row.live}, {"live": live}))
    if kept_jobs != real_jobs:
        found.append(("counts of jobs", kept_jobs, real_jobs))
    header = datasets_store.DATASET(tx, dataset=context.dataset)[0]
    sums: Counter[str] = Counter()
    for counts in real.values():
        sums.update(counts)
    state = progress.dataset_state(sums, held=bool(header.held))
    if state != header.state:
        found.append((f"state {header.state}, derived {state}", {}, {}))
    return found + spent_check.differences(tx, context.dataset)


def recount(
    tx: Connection, context: Context, rows: list[Row[Any]]
) -> tuple[dict[tuple[int, int], dict[str, int]], dict[str, int]]:
    """Count tasks by (task, shape) and state, and jobs by state, from the rows and the untouched jobs."""
    graph = context.graph
    counts: dict[tuple[int, int], dict[str, int]] = defaultdict(lambda: dict.fromkeys(datasets_store.STATES, 0))
    have: Counter[int] = Counter()
    for row in rows:
        counts[row.task, row.shape][row.state] += 1
        have[row.task] += row.job != ONCE
    limits = datasets_store.FRONTIER(tx, dataset=context.dataset)[0]
    opened = graph.open_tasks(frozenset(row.task for row in rows if row.job == ONCE and row.state == S.DONE))
    for task in graph.per_job:
        ready = task in graph.roots and task in opened
        counts[task, context.base[task]][S.READY if ready else S.WAITING] += limits.total - have[task]
    return dict(counts), _recount_jobs(context, rows, limits.total)


def _recount_jobs(context: Context, rows: list[Row[Any]], total: int) -> dict[str, int]:
    states: dict[int, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row.job != ONCE:
            states[row.job][row.state] += 1
    tally = {"total": total, "done": 0, "failed": 0, "held": 0}
    tasks_of_job = len(context.graph.per_job)
    for counts in states.values():
        if counts[S.FAILED]:
            tally["failed"] += 1
        elif counts[S.HELD]:
            tally["held"] += 1
        elif counts[S.DONE] == tasks_of_job:
            tally["done"] += 1
    if not tasks_of_job:
        tally["done"] = total
    return tally


def repair(tx: Connection, contexts: Contexts, dataset: int, now: float) -> list[str]:
    """Put kept counts right from the rows; returns what was changed. States and attempts are never touched."""
    context = contexts.one(tx, dataset)
    datasets_store.LOCK_FRONTIER(tx, dataset=dataset)
    rows = list(tx.execute(select(tasks).where(tasks.c.dataset == dataset)))
    changed = [
        f"dataset {dataset}: {name}: {kept} became {real}" for name, kept, real in differences(tx, context, rows)
    ]
    if changed:
        real, real_jobs = recount(tx, context, rows)
        datasets_store.DROP_TASK_COUNTS(tx, dataset=dataset)
        moves = progress.Moves()
        for (task, shape), counts in real.items():
            for state, n in counts.items():
                moves.task(dataset, task, shape, None, TaskState(state), n)
        datasets_store.DROP_JOB_COUNTS(tx, dataset=dataset)
        moves.set_jobs(dataset, real_jobs)
        moves.settle(dataset)
        spent_check.restore(tx, contexts, dataset, moves, now)
        moves.apply(tx, now)
    return changed
