"""An order on jobs and tasks that were picked one by one: however many they are of a dataset, the statements are the same few."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection

from nunatak.core.address import ONCE, Address
from nunatak.core.errors import Conflict, Invalid
from nunatak.core.states import TaskState
from nunatak.datasets import store as datasets_store
from nunatak.datasets.progress import Moves
from nunatak.db.statement import Row
from nunatak.tasks import store
from nunatak.tasks.advance import expect
from nunatak.tasks.changing import change
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.orders import ENDING, FROM, PAST, Order
from nunatak.tasks.unfold import check_jobs, touch

S = TaskState
Picked = Mapping[int, frozenset[int] | None]
"""Task numbers by job; None is all of them."""


def change_picked(
    tx: Connection,
    contexts: Contexts,
    context: Context,
    given: Order,
    addresses: Sequence[Address],
    moves: Moves,
    now: float,
) -> dict[Address, int]:
    """Change the tasks of jobs, or single tasks; return how many changed by address.

    Raises `NotFound` for what is not there, `Invalid` for an address that cannot be, `Conflict` unless the order is lenient.
    """
    dataset = context.dataset
    if given.verb == "close":
        raise Invalid("only a dataset can be closed", code="bad-level", hint=f"nunatak close {dataset}")
    keys = {address: _key(context, address) for address in addresses}
    picked = pick(keys.values())
    jobs = [job for job in picked if job != ONCE]
    if jobs:
        total = datasets_store.LOCK_FRONTIER(tx, dataset=dataset)[0].total
        check_jobs(dataset, total, jobs)
        if given.verb in ENDING:  # what nobody has touched is neither held nor failed
            touch(tx, contexts, context, jobs, moves, now)
    there = store.LOCKED_ROWS_IN(tx, dataset=dataset, v=[(job,) for job in picked])
    rows = [row for row in there if wanted(picked, row) and row.state in FROM[given.verb]]
    changed = counted(keys, picked, rows)
    for address in addresses:
        single = picked[keys[address][0]] is not None
        if not changed[address] and single and not given.lenient:
            text = f"{address} cannot be {PAST[given.verb]} in its present state"
            raise Conflict(text, code="bad-state", hint=f"nunatak status {address}")
    change(tx, contexts, context, given, rows, moves, now)
    _give_up(tx, contexts, context, given, picked, there, {row.job for row in rows if row.job != ONCE}, moves, now)
    return changed


def pick(keys: Iterable[tuple[int, int | None]]) -> Picked:
    """Return which tasks are meant of which job, by job; a job as a whole takes in its single tasks."""
    found: dict[int, frozenset[int] | None] = {}
    for job, task in sorted(keys, key=lambda key: key[0]):
        before = found.get(job, frozenset())
        found[job] = None if task is None or before is None else before | {task}
    return found


def wanted(picked: Picked, row: Row) -> bool:
    """Tell whether a row is one of those picked."""
    tasks = picked[row.job]
    return tasks is None or row.task in tasks


def counted(keys: Mapping[Address, tuple[int, int | None]], picked: Picked, rows: Iterable[Row]) -> dict[Address, int]:
    """Return of each address how many rows are its; a task whose whole job was picked counts there."""
    per_job: Counter[int] = Counter()
    there = set()
    for row in rows:
        per_job[row.job] += 1
        there.add((row.job, row.task))
    return {
        address: per_job[job] if task is None else int((job, task) in there and picked[job] is not None)
        for address, (job, task) in keys.items()
    }


def _key(context: Context, address: Address) -> tuple[int, int | None]:
    """Return the job and task number an address means. Raises `NotFound` and `Invalid`."""
    number = None if address.task is None else context.plan.number(address.task)
    once = number is not None and context.plan.tasks[number].once
    if once and address.job is not None:
        hint = f"write {context.dataset}/{address.task}"
        raise Invalid(f"{address.task} is done once a dataset", code="bad-address", hint=hint)
    if number is not None and not once and address.job is None:
        hint = f"write {context.dataset}/0/{address.task}"
        raise Invalid(f"{address.task} is done in every job", code="bad-address", hint=hint)
    return (ONCE if address.job is None else address.job), number


def _give_up(
    tx: Connection,
    contexts: Contexts,
    context: Context,
    given: Order,
    picked: Picked,
    there: Sequence[Row],
    changed: set[int],
    moves: Moves,
    now: float,
) -> None:
    """Cancelled jobs are given up: tasks that gather all jobs go on without them, until they are tried again.

    `there` are the rows as they were, `changed` the jobs of which some changed.
    """
    if not changed:
        return
    dataset = context.dataset
    before = datasets_store.JOB_MARKS(tx, dataset=dataset, wanted=[(job,) for job in sorted(changed)])
    were = {row.job for row in before if row.cancelled}
    if given.verb == "cancel":
        turned = {job for job in changed - were if picked[job] is None}
    else:
        turned = were if given.verb != "hold" else set()
    if not turned:
        return
    up = given.verb == "cancel"
    datasets_store.CANCEL_JOBS(tx, marks=[(dataset, job, int(up)) for job in sorted(turned)])
    fewer: dict[int, int] = defaultdict(int)
    for row in there:
        if row.job in turned and row.state != S.DONE and row.task in context.graph.gathered:
            fewer[row.task] += -1 if up else 1
    expect(tx, contexts, context, fewer, moves, now)
