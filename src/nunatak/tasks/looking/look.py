"""Read models: the state of datasets, jobs, tasks and attempts as plain dictionaries, the same for every edge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection

from nunatak.core.address import ONCE, Address
from nunatak.core.clock import iso
from nunatak.core.errors import Invalid, NotFound
from nunatak.core.states import LEASED_STATES, Derived, TaskState, derive
from nunatak.core.units import count_text
from nunatak.core.work import Shape
from nunatak.datasets import store as datasets_store
from nunatak.datasets.expand import shape_of
from nunatak.db.statement import Row
from nunatak.tasks import choosing_store, lessons
from nunatak.tasks.advance import once_done
from nunatak.tasks.asking import asked_for
from nunatak.tasks.choosing import Rules
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.learning.used import used
from nunatak.tasks.looking import following_look, spent
from nunatak.tasks.looking import look_store as store
from nunatak.tasks.looking.outlook import outlook
from nunatak.tasks.numbering import Waiting, present
from nunatak.tasks.shapes import NOT_KNOWN

S = TaskState
Plain = dict[str, Any]
Page = dict[str, Any]
RULES = Rules()
ZERO: Mapping[str, int] = dict.fromkeys(("total", *datasets_store.STATES), 0)


def name_of(context: Context, job: int, task: int, attempt: int | None = None) -> str:
    """Return the address of a task or attempt."""
    return str(Address(context.dataset, None if job == ONCE else job, context.plan.tasks[task].name, attempt))


def counts_of(row: Any) -> dict[str, int]:
    """Return counts by state, with their total first."""
    counts = {state: int(getattr(row, state)) for state in datasets_store.STATES}
    return {"total": sum(counts.values()), **counts}


def head(row: Row, counts: Mapping[str, int], url: str = "") -> Plain:
    """Return what lists show of a dataset, given its counts by state."""
    return {
        "dataset": row.dataset,
        "address": str(row.dataset),
        "name": row.name,
        "state": row.state,
        "owner": row.owner,
        "team": row.team,
        "priority": row.priority,
        "revision": row.revision,
        "held": bool(row.held),
        "closed": bool(row.closed),
        "reason": row.reason,
        "created": iso(row.created),
        "changed": iso(row.changed),
        "ended": iso(row.ended),
        "url": url,
        "jobs": {
            "total": row.total,
            "open": row.total - row.done - row.failed - row.held_jobs,
            "done": row.done,
            "failed": row.failed,
            "held": row.held_jobs,
        },
        "tasks": dict(counts),
    }


def status(tx: Connection, contexts: Contexts, address: Address, now: float, rules: Rules = RULES) -> Plain:
    """Return the status of a dataset, job, task or attempt. Raises `NotFound`."""
    context = contexts.one(tx, address.dataset)
    if address.level == "dataset":
        plain = dataset_status(tx, contexts, address.dataset)
        account = spent.of_dataset(tx, address.dataset)
        found = outlook(tx, contexts, context, plain, rules, now)
        follows = [item.to_plain(context) for item in following_look.of_dataset(tx, context)]
        return {
            **plain, "used": _used(tx, context), "spent": spent.lost(account), "eta": found.to_plain(now),
            **({"follows": follows} if follows else {}),
        }  # fmt: skip
    if address.level == "job":
        return job_status(tx, context, address.job or 0)
    plain = task_status(tx, contexts, context, address, now)
    if address.attempt is None:
        return plain
    for attempt in plain["attempts"]:
        if attempt["number"] == address.attempt:
            return dict(attempt)
    raise NotFound(
        f"{address} has not been",
        code="no-attempt",
        hint=f"{plain['address']} had {count_text(len(plain['attempts']), 'attempt')}",
    )


def dataset_status(tx: Connection, contexts: Contexts, dataset: int) -> Plain:
    """Return a dataset's status with counts by task: one statement, so that all counts are of one moment."""
    context = contexts.of(tx, [dataset])[dataset]  # names of tasks are the same in all revisions
    rows = store.HEAD(tx, dataset=dataset)
    names = [task.name for task in context.plan.tasks]
    per_task = {name: dict(ZERO) for name in names}
    total = dict(ZERO)
    for row in rows:
        of_task = per_task[names[row.task]]
        for state, n in zip(datasets_store.STATES, row[-len(datasets_store.STATES) :], strict=True):
            if n:
                of_task[state] += n
                of_task["total"] += n
                total[state] += n
                total["total"] += n
    return {**head(rows[0], total), "per_task": per_task}


def _used(tx: Connection, context: Context) -> dict[str, list[Plain]]:
    """Return, for each task of which something is known, what it asks for against what it was seen to use.

    Bytes, seconds, processors. Where requests depend on the job, those of job 0 stand for all.
    """
    found: dict[str, list[Plain]] = {}
    for number, (evidence, learnt) in sorted(lessons.of_dataset(tx, context.dataset).items()):
        task = context.plan.tasks[number]
        written = task.shape or shape_of(context.plan, number, 0)
        lines = used(evidence, learnt.shape(written) if learnt else written)
        if lines:
            found[task.name] = [asdict(line) for line in lines]
            if learnt and learnt.why:
                found[task.name].append({"name": "why", "text": learnt.why})
    return found


def locate(context: Context, address: Address) -> tuple[int, int]:
    """Return the (job, task number) an address means. Raises `NotFound` or `Invalid`."""
    assert address.task is not None
    number = context.plan.number(address.task)
    once = context.plan.tasks[number].once
    if once and address.job is not None:
        hint = f"write {context.dataset}/{address.task}"
        raise Invalid(f"{address.task} is done once a dataset", code="bad-address", hint=hint)
    if not once and address.job is None:
        hint = f"write {context.dataset}/0/{address.task}"
        raise Invalid(f"{address.task} is done in every job", code="bad-address", hint=hint)
    return (ONCE if once else address.job or 0), number


def check_job(tx: Connection, context: Context, job: int) -> int:
    """Return how many jobs a dataset has. Raises `NotFound` for a job that is none of them."""
    total: int = datasets_store.FRONTIER(tx, dataset=context.dataset)[0].total
    if job != ONCE and job >= total:
        hint = f"its jobs are 0 to {total - 1}"
        raise NotFound(f"dataset {context.dataset} has no job {job}", code="no-job", hint=hint)
    return total


def _implied(tx: Connection, context: Context, task: int) -> TaskState:
    """Return the state of a task that has no row yet."""
    graph = context.graph
    if task not in graph.roots:
        return S.WAITING
    return S.READY if task in graph.open_tasks(once_done(tx, context.dataset)) else S.WAITING


def job_status(tx: Connection, context: Context, job: int) -> Plain:
    """Return the state of a job and of each of its tasks."""
    check_job(tx, context, job)
    have = {row.task: row.state for row in store.JOB(tx, dataset=context.dataset, job=job)}
    states = {task: have.get(task) or _implied(tx, context, task) for task in context.graph.per_job}
    counts = dict.fromkeys(datasets_store.STATES, 0)
    for state in states.values():
        counts[state] += 1
    return {
        "address": f"{context.dataset}/{job}",
        "dataset": context.dataset,
        "job": job,
        "state": _job_state(counts),
        "tasks": {"total": len(states), **counts},
        "per_task": {context.plan.tasks[task].name: str(state) for task, state in states.items()},
    }


def _job_state(counts: Mapping[str, int]) -> Derived:
    if counts[S.FAILED]:
        return Derived.FAILED
    return Derived.HELD if counts[S.HELD] else derive(counts)


def _asks(tx: Connection, contexts: Contexts, context: Context, number: int, row: Row | None) -> Shape | None:
    """Return what a task asks for: what its last attempt did, or its next one would; None where that is not known yet."""
    if row is not None and row.attempt and row.state not in (S.READY, S.WAITING):
        return contexts.book.shapes(tx, [row.asked])[row.asked]
    shape = row.shape if row is not None else context.base[number]
    if not shape:
        return None
    written = contexts.book.shapes(tx, [shape])[shape]
    learnt = lessons.of_task(tx, context.dataset, number)
    asked = asked_for(shape, written, learnt) if learnt else written
    if row is not None and (asked is None or shape == NOT_KNOWN):
        now = present(tx, contexts, context, number, [Waiting(row.job, row.attempt, written)])[row.job]
        asked = now if isinstance(now, Shape) else None
    return asked


def task_status(tx: Connection, contexts: Contexts, context: Context, address: Address, now: float) -> Plain:
    """Return a task with all its attempts, the open one last."""
    job, number = locate(context, address)
    check_job(tx, context, job)
    rows = store.TASK(tx, dataset=context.dataset, job=job, task=number)
    row = rows[0] if rows else None
    name = name_of(context, job, number)
    shape = _asks(tx, contexts, context, number, row)
    attempts = attempts_of(tx, contexts, context, job, number, row)
    back_off = row.not_before if row is not None and row.state == S.READY and row.not_before > now else None
    return {
        "address": name,
        "dataset": context.dataset,
        "job": None if job == ONCE else job,
        "task": context.plan.tasks[number].name,
        "state": row.state if row is not None else str(_implied(tx, context, number)),
        "reason": row.reason if row is not None else None,
        "attempt": row.attempt if row is not None else 0,
        "tries": row.tries if row is not None else 0,
        "tries_most": context.plan.tasks[number].retry.tries,
        "pending": row.pending if row is not None else context.graph.pending(number),
        "shape": shape.to_plain() if shape else None,
        "since": iso(row.since) if row is not None else None,
        "not_before": iso(back_off),
        "host": row.host if row is not None and row.state in LEASED_STATES else None,
        "engine": attempts[-1]["engine"] if attempts else None,
        "attempts": attempts,
    }


def attempts_of(
    tx: Connection, contexts: Contexts, context: Context, job: int, task: int, row: Row | None
) -> list[Plain]:
    """Return every attempt of a task, the open one last."""
    ended = store.ATTEMPTS(tx, dataset=context.dataset, job=job, task=task)
    shapes = contexts.book.shapes(tx, {item.shape for item in ended} | ({row.asked} if row is not None else set()))
    plains = [ended_attempt(context, item, shapes[item.shape].to_plain()) for item in ended]
    if row is not None and row.state in LEASED_STATES:
        names = {item.engine: item for item in choosing_store.ENGINES(tx)}
        engine = names.get(row.engine)
        plains.append(
            {
                **dict.fromkeys(ATTEMPT_FIELDS),
                "address": name_of(context, job, task, row.attempt),
                "number": row.attempt,
                "state": row.state,
                "engine": engine.name if engine else None,
                "site": engine.site if engine else None,
                "host": row.host,
                "claimed": iso(row.claimed),
                "started": iso(row.started),
                "shape": shapes[row.asked].to_plain(),
                "revision": row.revision or 1,
                "inputs": [],
                "outputs": [],
                "detail": {},
            }
        )
    return plains


ATTEMPT_FIELDS = (
    "address", "number", "state", "engine", "site", "host", "claimed", "started", "ended", "reason", "verdict", "action",
    "message", "exit", "signal", "wall", "cpu", "memory", "disk", "gpu", "inputs", "outputs", "detail", "shape",
    "revision",
)  # fmt: skip


def ended_attempt(context: Context, row: Row, shape: Plain | None = None) -> Plain:
    """Return one attempt of the ledger."""
    return {
        "address": name_of(context, row.job, row.task, row.attempt),
        "number": row.attempt,
        "state": "ended",
        "engine": row.engine_name,
        "site": row.site,
        "host": row.host,
        "claimed": iso(row.claimed),
        "started": iso(row.started),
        "ended": iso(row.ended),
        **{key: getattr(row, key) for key in ("reason", "verdict", "action", "message", "exit", "signal")},
        **{key: getattr(row, key) for key in ("wall", "cpu", "memory", "disk", "gpu")},
        "inputs": json.loads(row.inputs or "[]"),
        "outputs": json.loads(row.outputs or "[]"),
        "detail": json.loads(row.detail or "{}"),
        "shape": shape,
        "revision": row.revision or 1,
    }
