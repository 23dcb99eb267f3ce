"""Tasks as IceProd's interface shows and changes them, and what was seen of their running."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel
from sqlalchemy import Connection
from starlette.responses import Response

from nunatak.api.guard import GuardedRoute
from nunatak.api.iceprod import changing, reading, words
from nunatak.api.iceprod.datasets import Status, Word
from nunatak.api.iceprod.jobs import Index
from nunatak.api.iceprod.words import TASK_STATUS, dataset_of, date, job_of, only, task_of, wanted
from nunatak.api.requests import Have, answer
from nunatak.core.address import Address, parse
from nunatak.core.errors import Invalid
from nunatak.tasks import lessons
from nunatak.tasks.context import Context
from nunatak.tasks.looking import lists, look

router = APIRouter(prefix="/datasets/{dataset_id}", route_class=GuardedRoute)


class Chosen(BaseModel):
    """The body of a change of many tasks: those of some jobs, some of them, or all if it says neither."""

    jobs: changing.Names = None
    tasks: changing.Names = None


@router.get("/tasks", name="iceprod_list_tasks")
def list_tasks(
    dataset_id: str,
    services: Have,
    status: Word = "",
    name: Word = "",
    job_id: Word = "",
    job_index: Index = None,
    keys: Word = "",
) -> Response:
    """Return tasks that were touched, by name."""
    number, states = dataset_of(dataset_id), wanted(status, TASK_STATUS)
    job = job_of(number, job_id).job if job_id else job_index
    with services.database.read() as tx:
        context = services.contexts.one(tx, number)
        spent = not keys or not set(reading.SPENT).isdisjoint(keys.split("|"))
        rows = (
            _of_job(tx, context, job, states, name, spent)
            if job is not None
            else reading.tasks(tx, context, states, name, spent=spent)
        )
        return answer({row["task_id"]: only(row, keys, ("task_id",)) for row in rows})


def _of_job(
    tx: Connection, context: Context, job: int, states: set[str], name: str, spent: bool
) -> Iterable[dict[str, Any]]:
    found = look.job_status(tx, context, job)
    touched = {row["task"]: row for row in lists.tasks_of_job(tx, context, job)}
    rows = [
        touched.get(task) or {"task": task, "job": job, "state": state, "since": None, "attempt": 0}
        for task, state in found["per_task"].items()
        if state in states and name in ("", task)
    ]
    return reading.documents(tx, context, rows, spent=spent)


@router.get("/tasks/{task_id}", name="iceprod_get_task")
def get_task(dataset_id: str, task_id: str, services: Have) -> Response:
    """Return one task."""
    address = task_of(dataset_of(dataset_id), task_id)
    with services.database.read() as tx:
        context = services.contexts.one(tx, address.dataset)
        found = look.status(tx, services.contexts, address, services.clock())
        walls = [
            (item["wall"] or 0.0, item["verdict"] == "ok") for item in found["attempts"] if item["state"] == "ended"
        ]
        row = reading.task_document(context, found)
    failed = [wall for wall, well in walls if not well]
    last = found["attempts"][-1] if found["attempts"] else {}
    return answer({
        **row, "site": last.get("site") or "", "evictions": _evictions(found),
        **reading.walltime(sum(wall for wall, well in walls if well), sum(failed), len(failed)),
    })  # fmt: skip


def _evictions(found: dict[str, Any]) -> int:
    return sum(item["verdict"] == "evicted" for item in found["attempts"])


@router.put("/tasks/{task_id}/status", name="iceprod_set_task_status")
def set_status(dataset_id: str, task_id: str, sent: Status, request: Request) -> Response:
    """Suspend a task, or let it go on."""
    changing.change(request, [task_of(dataset_of(dataset_id), task_id)], sent.status)
    return answer({})


@router.get("/task_summaries/status", name="iceprod_task_summaries")
def summaries(dataset_id: str, services: Have) -> Response:
    """Return the names of tasks that were touched by their status."""
    found: dict[str, list[str]] = {}
    with services.database.read() as tx:
        context = services.contexts.one(tx, dataset_of(dataset_id))
        for row in reading.tasks(tx, context, set(TASK_STATUS)):
            found.setdefault(row["status"], []).append(row["task_id"])
    return answer(found)


@router.get("/task_counts/status", name="iceprod_task_counts")
def counts(dataset_id: str, services: Have) -> Response:
    """Return how many tasks have each status."""
    with services.database.read() as tx:
        head = look.dataset_status(tx, services.contexts, dataset_of(dataset_id))
    return answer(_counted(head["tasks"]))


@router.get("/task_counts/name_status", name="iceprod_task_name_counts")
def counts_by_name(dataset_id: str, services: Have) -> Response:
    """Return how many tasks of each name have each status."""
    with services.database.read() as tx:
        head = look.dataset_status(tx, services.contexts, dataset_of(dataset_id))
    return answer({name: _counted(of_task) for name, of_task in head["per_task"].items()})


def _counted(of: dict[str, int]) -> dict[str, int]:
    return {TASK_STATUS[state]: n for state, n in of.items() if state in TASK_STATUS and n}


@router.post("/task_actions/bulk_status/{status}", name="iceprod_bulk_task_status")
def bulk_status(dataset_id: str, status: str, sent: Chosen, request: Request) -> Response:
    """Suspend tasks, or let them go on."""
    return _bulk(dataset_id, sent, status, request)


@router.post("/task_actions/{action}", name="iceprod_bulk_tasks")
def bulk(dataset_id: str, action: str, sent: Chosen, request: Request) -> Response:
    """Suspend tasks, or let suspended and failed ones go on."""
    return _bulk(dataset_id, sent, changing.status_of(action), request)


def _bulk(dataset_id: str, sent: Chosen, status: str, request: Request) -> Response:
    number = dataset_of(dataset_id)
    chosen = [task_of(number, name) for name in sent.tasks or ()] + [job_of(number, name) for name in sent.jobs or ()]
    everything = sent.tasks is None and sent.jobs is None
    changing.change(request, [Address(number)] if everything else chosen, status)
    return answer({})


@router.get("/task_stats", name="iceprod_dataset_stats")
def dataset_stats(dataset_id: str, services: Have) -> Response:
    """Return for each task how long it took, in hours, from what is learnt of its attempts."""
    with services.database.read() as tx:
        context = services.contexts.one(tx, dataset_of(dataset_id))
        known = lessons.of_dataset(tx, context.dataset)
        lost = lists.lost_on(tx, context)
    found = {}
    for number, (evidence, _) in known.items():
        task, used = context.plan.tasks[number], evidence.time.used
        if not used.count:
            continue
        well, badly = used.mean() * used.count, lost.get(number, 0.0)
        found[task.name] = {
            "count": used.count, "gpu": bool(context.plan.tasks[number].needs.get("gpu")),
            "total_hrs": well / 3600, "total_err_hrs": badly / 3600, "avg_hrs": used.mean() / 3600,
            "min_hrs": used.quantile(0.0) / 3600, "max_hrs": used.quantile(1.0) / 3600, "stddev_hrs": used.deviation() / 3600,
            "efficiency": well / (well + badly) if well + badly else 1.0,
        }  # fmt: skip
    return answer(found)


@router.get("/tasks/{task_id}/task_stats", name="iceprod_task_stats")
def task_stats(dataset_id: str, task_id: str, services: Have) -> Response:
    """Return what each attempt of a task used."""
    address = task_of(dataset_of(dataset_id), task_id)
    with services.database.read() as tx:
        found = look.status(tx, services.contexts, address, services.clock())
    rows = [_stats(address.dataset, task_id, item) for item in found["attempts"] if item["state"] == "ended"]
    return answer({row["task_stat_id"]: row for row in rows})


def _stats(dataset: int, task_id: str, item: dict[str, Any]) -> dict[str, Any]:
    used = {
        "time": (item["wall"] or 0.0) / 3600, "memory": (item["memory"] or 0) / 1e9, "disk": (item["disk"] or 0) / 1e9,
        "gpu": item["gpu"] or 0.0, "cpu": (item["cpu"] or 0.0) / item["wall"] if item["wall"] else 0.0,
    }  # fmt: skip
    return {
        "task_stat_id": f"{task_id}-{item['number']}",
        "task_id": task_id,
        "dataset_id": str(dataset),
        "create_date": date(item["ended"]),
        "stats": {
            "resources": used, "hostname": item["host"], "site": item["site"], "error_summary": item["message"] or "",
            "task_stats": item["verdict"], "failed": item["verdict"] != "ok",
        },
    }  # fmt: skip


@router.get("/bulk/task_stats", name="iceprod_bulk_stats")
def bulk_stats(dataset_id: str, services: Have, keys: Word = "", after: Word = "") -> Response:
    """Return what the last attempt of each complete task used, a line of JSON each; `after` is a date they ended after.

    Raises `Invalid` for a date that is none.
    """
    since = date(_moment(after).isoformat(timespec="milliseconds")) if after else ""
    lines = []
    with services.database.read() as tx:
        context = services.contexts.one(tx, dataset_of(dataset_id))
        for item in reading.pages(lambda after: lists.last_attempts(tx, context, after=after, limit=reading.PAGE)):
            address = parse(item["address"])
            name = words.task_id(context.dataset, address.job, address.task or "")
            row = _stats(context.dataset, name, item)
            if not since or (row["create_date"] or "") > since:
                lines.append(json.dumps(only(row, keys)))
    return Response("".join(f"{line}\n" for line in lines), media_type="application/x-ndjson")


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(f'"{text}" is no date', code="bad-date", hint="like 2026-03-01T12:00:00") from None
    return found.astimezone(UTC) if found.tzinfo else found
