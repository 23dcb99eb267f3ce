"""What the routes below /compat/iceprod read: documents of datasets, jobs and tasks, in whole lists as IceProd gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection

from nunatak.api.iceprod.words import JOB_STATUS, TASK_STATUS, date, job_id, task_id
from nunatak.core.errors import Invalid
from nunatak.datasets.expand import shape_of
from nunatak.tasks.context import Context
from nunatak.tasks.looking import lists

MOST = 100_000
"""Lines of a list; IceProd has no pages."""
PAGE = 5000


def dataset_document(head: dict[str, Any], per_job: int) -> dict[str, Any]:
    """Return a dataset as IceProd shows it; `head` is ours."""
    return {
        "dataset_id": str(head["dataset"]),
        "dataset": head["dataset"],
        "description": head["name"],
        "jobs_submitted": head["jobs"]["total"],
        "tasks_submitted": head["tasks"]["total"],
        "tasks_per_job": per_job,
        "group": head["team"],
        "username": head["owner"],
        "priority": min(1.0, head["priority"] / 2),
        "status": JOB_STATUS[head["state"]],
        "start_date": date(head["created"]),
        "debug": False,
        "jobs_immutable": False,
        "truncated": head["closed"],
        "always_active": False,
    }


def pages(call: Callable[[str], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Go through the pages of one of our lists. Raises `Invalid` if it is too long to be given whole."""
    after, count = "", 0
    while True:
        page = call(after)
        count += len(page["items"])
        if count > MOST:
            raise Invalid(f"there are over {MOST} of these", code="too-many", hint="ask for one status, or one job")
        yield from page["items"]
        if page["next"] is None:
            return
        after = page["next"]


def jobs(tx: Connection, context: Context, states: set[str]) -> Iterator[dict[str, Any]]:
    """Return jobs of some of our states, as IceProd shows them."""
    chosen = [""] if states == set(JOB_STATUS) else sorted(states)
    for state in chosen:
        for job in pages(lambda after, s=state: lists.jobs(tx, context, state=s, after=after, limit=PAGE)):  # type: ignore[misc]
            yield job_document(context.dataset, job["job"], job["state"])


def job_document(dataset: int, job: int, state: str) -> dict[str, Any]:
    """Return a job as IceProd shows it; `state` is ours."""
    return {
        "job_id": job_id(dataset, job),
        "dataset_id": str(dataset),
        "job_index": job,
        "status": JOB_STATUS[state],
    }


def tasks(
    tx: Connection, context: Context, states: set[str], name: str = "", *, spent: bool = False
) -> Iterator[dict[str, Any]]:
    """Return tasks that were touched, of some of our states and perhaps of one name, as IceProd shows them.

    With `spent` they have what their attempts took.
    """

    def page(after: str, state: str) -> dict[str, Any]:
        found = lists.tasks(tx, context, state=state, task=name, after=after, limit=PAGE)
        return {**found, "items": documents(tx, context, found["items"], spent=spent)}

    for state in [""] if states == set(TASK_STATUS) else sorted(states):
        yield from pages(lambda after, s=state: page(after, s))  # type: ignore[misc]


def documents(tx: Connection, context: Context, rows: Sequence[dict[str, Any]], *, spent: bool) -> list[dict[str, Any]]:
    """Return tasks as IceProd shows them; `rows` are lines of a list. With `spent` they have what their attempts took."""
    plain = [task_document(context, row) for row in rows]
    if spent:
        took = lists.spent_on(tx, context, rows)
        for document, row in zip(plain, rows, strict=True):
            well, badly, failures, evictions = took.get((row["job"], row["task"]), (0.0, 0.0, 0, 0))
            document |= walltime(well, badly, failures) | {"evictions": evictions}
    return plain


SPENT = ("walltime", "walltime_err", "walltime_err_n", "evictions")
"""Fields of tasks that are put together from their attempts."""


def walltime(well: float, badly: float, failures: int) -> dict[str, Any]:
    """Return what attempts took, in hours: those that ended well, and those that did not."""
    return {"walltime": well / 3600, "walltime_err": badly / 3600, "walltime_err_n": failures}


def task_document(context: Context, row: dict[str, Any]) -> dict[str, Any]:
    """Return a task as IceProd shows it; `row` is our line of a list, or our status."""
    dataset, plan = context.dataset, context.plan
    number = plan.number(row["task"])
    shape = shape_of(plan, number, row["job"] or 0)
    ended = row["attempt"] - (row["state"] in ("queued", "running", "done"))
    return {
        "task_id": task_id(dataset, row["job"], row["task"]),
        "dataset_id": str(dataset),
        "job_id": None if row["job"] is None else job_id(dataset, row["job"]),
        "task_index": number,
        "job_index": row["job"],
        "name": row["task"],
        "depends": [
            task_id(dataset, None if up.once else row["job"], up.name)
            for up in (plan.tasks[parent] for parent in plan.parents[number])
        ]
        + [
            task_id(follow.dataset, row["job"], follow.task)
            for follow in plan.tasks[number].follows
            if follow.each and not follow.task.isdigit()
        ],
        "requirements": {
            "cpu": shape.cpu,
            "gpu": shape.gpu,
            "memory": shape.memory / 1e9,
            "disk": shape.disk / 1e9,
            "time": shape.time / 3600,
        },
        "status": TASK_STATUS[row["state"]],
        "status_changed": date(row["since"]),
        "failures": max(0, ended),
        "site": row.get("site") or "",
    }  # fmt: skip
