"""The invariant checker: states, counts, jobs, attempts and pending parents agree. Used after tests and by `nunatak doctor`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Connection, select

from nunatak.core.address import ONCE, Address
from nunatak.core.states import LEASED_STATES, TaskState
from nunatak.datasets import progress
from nunatak.datasets import store as datasets_store
from nunatak.datasets.tables import datasets
from nunatak.db.bounds import let_plan
from nunatak.db.statement import Row
from nunatak.tasks import check_store, following_check, spent_check
from nunatak.tasks.advance import once_done
from nunatak.tasks.context import Context, Contexts

S = TaskState
MOST = 20
"""Examples shown of one kind of fault in one dataset."""


def check(tx: Connection, contexts: Contexts, only: Iterable[int] | None = None) -> list[str]:
    """Return what does not agree, one sentence each; nothing for a consistent database. It goes over whole datasets."""
    let_plan(tx)
    wanted = list(only) if only is not None else [row.dataset for row in tx.execute(select(datasets.c.dataset))]
    return [fault for dataset in wanted for fault in check_dataset(tx, contexts.one(tx, dataset))]


def check_dataset(tx: Connection, context: Context) -> list[str]:
    """Return what does not agree in one dataset."""
    faults = [f"{name}: kept {kept}, counted {real}" for name, kept, real in differences(tx, context)]
    return [*in_rows(tx, context), *(f"dataset {context.dataset}: {fault}" for fault in faults)]


def in_rows(tx: Connection, context: Context) -> list[str]:
    """Return what does not agree among tasks and attempts: what no count can be worked out from."""
    kinds = (_strange, _attempt_faults, _parent_faults, _once_faults, following_check.faults)
    return [f"dataset {context.dataset}: {fault}" for kind in kinds for fault in kind(tx, context)]


def _name(context: Context, row: Row) -> str:
    return str(Address(context.dataset, None if row.job == ONCE else row.job, context.plan.tasks[row.task].name))


def _shown(rows: Sequence[Row]) -> Iterator[Row]:
    yield from rows[:MOST]


def _more(rows: Sequence[Row], what: str) -> list[str]:
    return [f"and more {what}"] if len(rows) > MOST else []


def _strange(tx: Connection, context: Context) -> list[str]:
    rows = check_store.STRANGE(tx, dataset=context.dataset, n=MOST + 1)
    return [fault for row in _shown(rows) for fault in _row_faults(context, row)] + _more(rows, "tasks like these")


def _row_faults(context: Context, row: Row) -> list[str]:
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


def _attempt_faults(tx: Connection, context: Context) -> list[str]:
    """Attempts are numbered without gaps; all but the open one are in the ledger; done tasks have one good last attempt."""
    rows = check_store.LEDGER(tx, dataset=context.dataset, n=MOST + 1)
    faults = []
    for row in _shown(rows):
        ended, name = row.attempt - (row.state in LEASED_STATES), _name(context, row)
        if row.n != ended or (row.n and (row.low != 1 or row.high != row.n)):
            found = f"{row.n} from {row.low} to {row.high}" if row.n else "none"
            faults.append(f"{name} has {row.attempt} attempts ({row.state}), the ledger has {found}")
        if row.state == S.DONE and row.last != ended:
            faults.append(f"{name} is done, but its last attempt is not")
        if row.good > 1 and row.job != ONCE:
            faults.append(f"{name} was done {row.good} times")
    orphans = check_store.ORPHANS(tx, dataset=context.dataset, n=MOST)
    faults += [f"the ledger has attempts of a task without a row: {_name(context, row)}" for row in orphans]
    return faults + _more(rows, "tasks whose attempts are not those of the ledger")


def _edges(context: Context) -> list[tuple[int, int]]:
    return [(child, parent) for child, parents in enumerate(context.graph.local) for parent in parents]


def _opened(tx: Connection, context: Context) -> frozenset[int]:
    return context.graph.open_tasks(once_done(tx, context.dataset))


def _parent_faults(tx: Connection, context: Context) -> list[str]:
    """Each task waits for exactly its unfinished parents, and none waits whose parents are all done."""
    dataset, edges = context.dataset, _edges(context)
    each = [(task, number) for task, numbers in enumerate(context.graph.each) for number in numbers]
    more = {"each": each} if each else {}
    counting = check_store.PENDING_FOLLOWING if each else check_store.PENDING
    pending = counting(tx, dataset=dataset, edges=edges, n=MOST + 1, **more)
    faults = [
        f"{_name(context, row)} waits for {row.pending} parents, of which {row.n} are not done"
        for row in _shown(pending)
    ]
    opened = [(task,) for task in sorted(_opened(tx, context))]
    gated = check_store.GATED(tx, dataset=dataset, opened=opened, n=MOST + 1)
    for row in _shown(gated):
        said = "waits for nothing" if row.state == S.WAITING else "is ready before a task it needs is done"
        faults.append(f"{_name(context, row)} {said}")
    unopened = check_store.UNOPENED(tx, dataset=dataset, edges=edges, n=MOST + 1)
    faults += [f"job {row.job}: {context.plan.tasks[row.child].name} was not opened" for row in _shown(unopened)]
    return faults + _more(pending, "such counts of parents") + _more(gated, "such tasks") + _more(unopened, "of these")


def _once_faults(tx: Connection, context: Context) -> list[str]:
    """Tasks done once wait for those done once before them, and for each job they gather."""
    graph, dataset = context.graph, context.dataset
    rows = {row.task: row for row in check_store.ONCE(tx, dataset=dataset)}
    if not rows:
        return []
    done: Counter[int] = Counter()
    for row in check_store.COUNTED(tx, dataset=dataset):
        done[row.task] += int(row.of_jobs) if row.state == S.DONE else 0
    given_up = len(datasets_store.CANCELLED_JOBS(tx, dataset=dataset))
    among = {row.task: int(row.n) for row in check_store.DONE_IN_CANCELLED(tx, dataset=dataset)} if given_up else {}
    total = datasets_store.FRONTIER(tx, dataset=dataset)[0].total
    opened = once_done(tx, dataset)
    faults = []
    for task, row in rows.items():
        pending = sum(1 for parent in graph.local[task] if parent not in rows or rows[parent].state != S.DONE)
        pending += sum(1 for number in graph.awaits[task] if -number not in opened)
        pending += sum(total - done[parent] - (given_up - among.get(parent, 0)) for parent in graph.gathers[task])
        if pending != row.pending:
            name = Address(dataset, None, context.plan.tasks[task].name)
            faults.append(f"{name} waits for {row.pending} parents, of which {pending} are not done")
    return faults


Difference = tuple[str, dict[str, int], dict[str, int]]


def differences(tx: Connection, context: Context) -> list[Difference]:
    """Return kept counts that differ from what is there: (what, kept, counted)."""
    real, real_jobs = recount(tx, context)
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


def recount(tx: Connection, context: Context) -> tuple[dict[tuple[int, int], dict[str, int]], dict[str, int]]:
    """Count tasks by (task, shape) and state, and jobs by state, from the rows and the untouched jobs."""
    graph = context.graph
    counts: dict[tuple[int, int], dict[str, int]] = defaultdict(lambda: dict.fromkeys(datasets_store.STATES, 0))
    have: Counter[int] = Counter()
    for row in check_store.COUNTED(tx, dataset=context.dataset):
        counts[row.task, row.shape][row.state] += int(row.n)
        have[row.task] += int(row.of_jobs)
    limits = datasets_store.FRONTIER(tx, dataset=context.dataset)[0]
    opened = _opened(tx, context)
    for task in graph.per_job:
        ready = task in graph.roots and task in opened
        counts[task, context.base[task]][S.READY if ready else S.WAITING] += limits.total - have[task]
    return dict(counts), _recount_jobs(tx, context, limits.total)


def _recount_jobs(tx: Connection, context: Context, total: int) -> dict[str, int]:
    tasks_of_job = len(context.graph.per_job)
    if not tasks_of_job:
        return {"total": total, "done": total, "failed": 0, "held": 0}
    row = check_store.JOBS_COUNTED(tx, dataset=context.dataset, tasks=tasks_of_job)[0]
    return {"total": total, "done": int(row.done), "failed": int(row.failed), "held": int(row.held)}


def repair(tx: Connection, contexts: Contexts, dataset: int, now: float) -> list[str]:
    """Put kept counts right from the rows; returns what was changed. States and attempts are never touched."""
    context = contexts.one(tx, dataset)
    datasets_store.LOCK_FRONTIER(tx, dataset=dataset)
    changed = [f"dataset {dataset}: {name}: {kept} became {real}" for name, kept, real in differences(tx, context)]
    if changed:
        real, real_jobs = recount(tx, context)
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
