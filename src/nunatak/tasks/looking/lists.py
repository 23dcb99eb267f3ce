"""Read models: paged lists of datasets, jobs, tasks, files and engines. `after` is what the page before gave as `next`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection

from nunatak.core.address import ONCE, Address
from nunatak.core.clock import iso
from nunatak.core.errors import Invalid
from nunatak.core.states import Derived, TaskState
from nunatak.datasets import store as datasets_store
from nunatak.datasets.progress import job_state
from nunatak.tasks import choosing_store
from nunatak.tasks.context import Context
from nunatak.tasks.looking import look_store as store
from nunatak.tasks.looking.look import Page, Plain, check_job, counts_of, ended_attempt, head, locate, name_of
from nunatak.tasks.sites import Load

S = TaskState


def datasets(
    tx: Connection, *, state: str = "", owner: str = "", name: str = "", after: str = "", limit: int = 100
) -> Page:
    """Return datasets, newest first, without their counts by task; `name` matches any part."""
    if state and state not in list(Derived):
        raise Invalid(f"{state!r} is no state of a dataset", code="bad-state", hint=f"one of {', '.join(Derived)}")
    like = f"%{name.replace('%', '').replace('_', '')}%" if name else ""
    bound = _number(after, 2**31 - 1)
    rows = store.HEADS(tx, after=bound, state=state, owner=owner, name=like, n=limit + 1)
    page = rows[:limit]
    sums = {row.dataset: counts_of(row) for row in store.SUMS(tx, v=[(row.dataset,) for row in page])} if page else {}
    zero = {"total": 0, **dict.fromkeys(datasets_store.STATES, 0)}
    items = [head(row, sums.get(row.dataset, zero)) for row in page]
    return {"items": items, "next": str(page[-1].dataset) if len(rows) > limit else None}


def jobs(tx: Connection, context: Context, *, state: str = "", after: str = "", limit: int = 100) -> Page:
    """Return jobs in order with their states; failed and held ones are found without looking at the others."""
    last = _number(after, -1)
    if state in (Derived.FAILED, Derived.HELD):
        return _troubled(tx, context, Derived(state), last, limit)
    total = datasets_store.FRONTIER(tx, dataset=context.dataset)[0].total
    items: list[Plain] = []
    while len(items) <= limit and last < total - 1:
        end = min(last + max(limit, 100), total - 1)
        rows = {row.job: row for row in store.JOBS(tx, dataset=context.dataset, after=last, last=end)}
        of = len(context.graph.per_job)
        for job in range(last + 1, end + 1):
            row = rows.get(job)
            found = job_state(row.failed, row.held, row.done, of) if row is not None else Derived.OPEN
            if not of:
                found = Derived.DONE
            if not state or found == state:
                items.append({"address": f"{context.dataset}/{job}", "job": job, "state": found})
        last = end
    return _cut(items, limit, lambda item: str(item["job"]))


def _troubled(tx: Connection, context: Context, state: Derived, after: int, limit: int) -> Page:
    items: list[Plain] = []
    while len(items) <= limit:
        rows = datasets_store.TROUBLED_JOBS(tx, dataset=context.dataset, after=after, n=limit + 1)
        for row in rows:
            found = Derived.FAILED if row.failed else Derived.HELD
            if found is state:
                items.append({"address": f"{context.dataset}/{row.job}", "job": row.job, "state": found})
            after = row.job
        if len(rows) <= limit:
            break
    return _cut(items, limit, lambda item: str(item["job"]))


def tasks(
    tx: Connection, context: Context, *, state: str = "", task: str = "", within: int | None = None, after: str = "",
    limit: int = 100,
) -> Page:  # fmt: skip
    """Return tasks that have been touched, in order of job and task, perhaps of one state, one name or `within` one job."""
    if state and state not in list(S):
        raise Invalid(f"{state!r} is no state of a task", code="bad-state", hint=f"one of {', '.join(S)}")
    number = context.plan.number(task) if task else None
    if within is not None:
        check_job(tx, context, within)
    job, last = _pair(after) if after or within is None else (within, -1)
    items: list[Plain] = []
    more = True
    while more and len(items) <= limit:
        where: dict[str, Any] = {"dataset": context.dataset, "job": job, "task": last, "n": limit + 1}
        if state == S.READY:
            rows = store.READY(tx, **where)
        elif state and state != S.DONE:
            rows = store.UNFINISHED(tx, state=state, **where)
        else:
            rows = store.TOUCHED(tx, **where)
        found = [row for row in rows if within in (None, row.job)]
        for row in found:
            job, last = row.job, row.task
            if (not state or row.state == state) and number in (None, row.task):
                items.append(task_row(context, row))
        more = len(rows) > limit and len(found) == len(rows)
    return _cut(items, limit, lambda item: _place(context, item))


def task_row(context: Context, row: Any) -> Plain:
    """Return one line of a list of tasks."""
    return {
        "address": name_of(context, row.job, row.task),
        "task": context.plan.tasks[row.task].name,
        "job": None if row.job == ONCE else row.job,
        "state": row.state,
        "since": iso(row.since),
        "attempt": row.attempt,
        "host": row.host,
        "reason": row.reason,
    }


def of_job(tx: Connection, context: Context, job: int) -> dict[str, Plain]:
    """Return the lines of those tasks of a job that have begun to be, by their names."""
    rows = store.JOB(tx, dataset=context.dataset, job=job)
    return {context.plan.tasks[row.task].name: task_row(context, row) for row in rows}


def files(tx: Connection, context: Context, address: Address, *, after: str = "", limit: int = 100) -> Page:
    """Return recorded outputs of done tasks below an address, in order of job and task."""
    job, last, end, only = -2, 1 << 20, 2**31 - 1, None
    if address.task is not None:
        job_of, only = locate(context, address)
        job, last, end = job_of, only - 1, job_of
    elif address.job is not None:
        job, last, end = address.job, -1, address.job
    if after:
        job, last = _pair(after)
    items: list[Plain] = []
    rows = store.FILES(tx, dataset=context.dataset, job=job, task=last, last=end, n=limit + 1)
    page = rows[:limit]
    for row in page:
        if only in (None, row.task):
            items += [
                {
                    "address": name_of(context, row.job, row.task),
                    "task": context.plan.tasks[row.task].name,
                    "job": None if row.job == ONCE else row.job,
                    "revision": row.revision or 1,
                    **{key: record[key] for key in ("name", "url", "size", "sha256")},
                }
                for record in json.loads(row.outputs or "[]")
            ]
    following = len(rows) > limit and only is None
    return {"items": items, "next": f"{page[-1].job}.{page[-1].task}" if following else None}


def last_attempts(tx: Connection, context: Context, *, after: str = "", limit: int = 100) -> Page:
    """Return the last attempt of each done task, in order of job and task."""
    job, last = _pair(after)
    rows = store.LAST_ATTEMPTS(tx, dataset=context.dataset, job=job, task=last, n=limit + 1)
    page = rows[:limit]
    following = f"{page[-1].job}.{page[-1].task}" if len(rows) > limit else None
    return {"items": [ended_attempt(context, row) for row in page], "next": following}


def tasks_of_job(tx: Connection, context: Context, job: int) -> list[Plain]:
    """Return the tasks of a job that have been touched, in their order."""
    return [task_row(context, row) for row in store.JOB(tx, dataset=context.dataset, job=job)]


def spent_on(
    tx: Connection, context: Context, rows: Sequence[Plain]
) -> dict[tuple[int | None, str], tuple[float, float, int, int]]:
    """Return what attempts took, by job and task of lines of a list: seconds that ended well and not, failures, evictions."""
    wanted = [
        (context.dataset, ONCE if row["job"] is None else row["job"], context.plan.number(row["task"])) for row in rows
    ]
    return {
        (None if row.job == ONCE else row.job, context.plan.tasks[row.task].name): (
            row.well or 0.0, row.badly or 0.0, row.failures, row.evictions,
        )
        for row in (store.SPENT_ON(tx, v=wanted) if wanted else ())
    }  # fmt: skip


def lost_on(tx: Connection, context: Context) -> dict[int, float]:
    """Return the seconds of attempts that did not end well, by the number of the task."""
    return {row.task: row.wall or 0.0 for row in store.LOST_ON(tx, dataset=context.dataset)}


def engines(tx: Connection, now: float, load: Load) -> list[Plain]:
    """Return every engine with what it holds."""
    return [
        {
            "name": row.name,
            "kind": row.kind,
            "site": row.site,
            "capacity": json.loads(row.capacity),
            "seen": iso(row.seen),
            "alive": row.lease_until > now,
            "queued": load.get((row.engine, "queued"), 0),
            "running": load.get((row.engine, "running"), 0),
        }
        for row in choosing_store.ENGINES(tx)
    ]


def _place(context: Context, item: Plain) -> str:
    """Return where a line of a list of tasks stands, as `_pair` reads it."""
    job = ONCE if item["job"] is None else item["job"]
    return f"{job}.{context.plan.number(item['task'])}"


def _cut(items: list[Plain], limit: int, key: Callable[[Plain], str]) -> Page:
    following = key(items[limit - 1]) if len(items) > limit else None
    return {"items": items[:limit], "next": following}


def _number(after: str, default: int) -> int:
    if not after:
        return default
    if not after.lstrip("-").isdigit():
        raise Invalid(f"{after!r} is not a page", code="bad-page", hint="give what the page before called `next`")
    return int(after)


def _pair(after: str) -> tuple[int, int]:
    if not after:
        return -2, 0
    job, _, task = after.partition(".")
    return _number(job, -2), _number(task, 0)
