"""Routes of datasets: submit, list, status, edit, more jobs, their jobs and tasks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from sqlalchemy import Connection
from starlette.responses import Response

from nunatak.api import idempotency, models, ownership
from nunatak.api.events import watch
from nunatak.api.fast import FastRoute
from nunatak.api.guard import GuardedRoute
from nunatak.api.requests import (
    After,
    Body,
    Caller,
    Have,
    Limit,
    Number,
    answer,
    base_url,
    page_after,
)
from nunatak.api.services import Services
from nunatak.api.shared import shared_of
from nunatak.api.views import answers
from nunatak.api.views import datasets as views
from nunatak.core.errors import Conflict, Invalid
from nunatak.core.units import count_text
from nunatak.datasets import store
from nunatak.datasets.graph import Graph
from nunatak.datasets.manifest import Manifest
from nunatak.datasets.plan import Plan, StoredFile
from nunatak.datasets.recipe import compile_recipe
from nunatak.tasks import lasting, split, unfold
from nunatak.tasks.context import context_of
from nunatak.tasks.looking import lists, look

router = APIRouter(prefix="/api/v1/datasets", tags=["datasets"], route_class=GuardedRoute)
fast = APIRouter(prefix="/api/v1/datasets", tags=["datasets"], route_class=FastRoute)

State = Annotated[str, Query(max_length=16, description="only those in this state")]
Word = Annotated[str, Query(max_length=255, pattern=models.NO_NUL)]
Job = Annotated[int | None, Query(ge=0, le=999_999_999, description="only those of this job")]
IfMatch = Annotated[
    str | None, Header(alias="If-Match", max_length=100, description="the ETag of what is to be changed")
]


def plan_of(services: Services, sent: models.RecipeText) -> Plan:
    """Check a recipe that was sent. Raises `Invalid` with every problem."""
    if len(sent.text.encode("utf-8", "surrogatepass")) > services.limits.recipe:
        raise Invalid(
            f"the recipe is larger than {services.limits.recipe} bytes", code="too-large", hint="put data into files"
        )
    files = {
        name: StoredFile(item.sha256, item.size, item.mode, item.url) for name, item in sent.manifest.files.items()
    }
    manifest = Manifest(files, {pattern: tuple(names) for pattern, names in sent.manifest.matches.items()})
    return compile_recipe(
        sent.text, filename=sent.filename, manifest=manifest, jobs=sent.jobs, parameters=sent.parameters
    )


def check_blobs(services: Services, plan: Plan) -> None:
    """Raise `Conflict` for files of a recipe that were not sent yet."""
    missing = services.blobs.missing([item.sha256 for item in plan.files.values() if not item.url])
    if missing:
        raise Conflict(
            f"{count_text(len(missing), 'file')} of the recipe {'was' if len(missing) == 1 else 'were'} not sent yet",
            code="blob-missing",
            hint="send each with PUT /api/v1/blobs/SHA256, then submit again",
            missing=missing[: models.BATCH],
        )


def with_url(request: Request, plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same with the place where the dataset can be looked at."""
    return {**plain, "url": f"{base_url(request)}/datasets/{plain['dataset']}"}


@router.post("", name="submit_dataset", status_code=201, response_model=views.Submitted, summary="Submit a recipe")
def submit_dataset(
    request: Request, sent: models.Submission, raw: Body, services: Have, caller: Caller, key: idempotency.Key = None
) -> Response:
    """Check a recipe and accept it as a new dataset. The cost does not depend on the number of jobs."""
    plan = plan_of(services, sent)
    if sent.name is not None:
        plan = replace(plan, name=sent.name)
    if sent.first is not None:
        plan = replace(plan, jobs=min(plan.jobs, sent.first))
    check_blobs(services, plan)
    now = services.clock()

    def work(tx: Connection) -> dict[str, Any]:
        number = unfold.submit(
            tx, services.contexts, plan, source=sent.text, filename=sent.filename, owner=caller.name,
            team=sent.team, now=now, priority=sent.priority,
        )  # fmt: skip
        context = context_of(number, Graph(plan))
        warnings = [item.text for item in lasting.warnings(tx, context, now)]
        return with_url(request, {"dataset": number, "warnings": warnings})

    return idempotency.create(request, key, raw, work, 201)


@router.get("", name="list_datasets", response_model=views.DatasetPage, summary="List datasets, newest first")
def list_datasets(
    request: Request,
    services: Have,
    state: State = "",
    owner: Word = "",
    name: Word = "",
    limit: Limit = 100,
    after: After = "",
) -> Response:
    """Return datasets without their counts by task; `name` matches any part."""
    with services.database.read() as tx:
        page = lists.datasets(tx, state=state, owner=owner, name=name, after=page_after(after), limit=limit)
    return answer({**page, "items": [with_url(request, item) for item in page["items"]]})


def etag_of(plain: dict[str, Any]) -> str:
    """Return the tag of what can be edited of a dataset: its counts may move without disturbing an edit."""
    text = json.dumps([plain["dataset"], plain["name"], plain["priority"], plain["revision"]])
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"'


@fast.get("/{dataset}", name="get_dataset", response_model=views.DatasetStatus, summary="Status of a dataset")
async def get_dataset(dataset: Number, request: Request) -> Response:
    """Return the status; the ETag stands for what can be edited (name and priority)."""
    plain = await shared_of(request).status(dataset)
    return answer(with_url(request, plain), headers={"ETag": etag_of(plain)})


@router.patch("/{dataset}", name="edit_dataset", response_model=views.DatasetStatus, summary="Change name or priority")
def edit_dataset(
    dataset: Number,
    request: Request,
    edit: models.DatasetEdit,
    services: Have,
    caller: Caller,
    if_match: IfMatch = None,
) -> Response:
    """Change what is given, if nobody changed it since the ETag was read."""

    def work(tx: Connection) -> dict[str, Any]:
        ownership.check(request, tx, [dataset])
        row = store.LOCK_DATASET(tx, dataset=dataset)[0]
        before = {"dataset": dataset, "name": row.name, "priority": row.priority, "revision": row.revision}
        _check_match(if_match, etag_of(before))
        name = row.name if edit.name is None else edit.name
        priority = row.priority if edit.priority is None else edit.priority
        now = services.clock()
        store.SET_PRIORITY(tx, dataset=dataset, name=name, priority=priority, now=now)
        store.ADD_EVENT(
            tx, dataset=dataset, job=None, task=None, actor=caller.name, verb="edit", now=now,
            detail=json.dumps(edit.model_dump(exclude_none=True)),
        )  # fmt: skip
        return look.dataset_status(tx, services.contexts, dataset)

    plain = services.database.run(work)
    return answer(with_url(request, plain), headers={"ETag": etag_of(plain)})


def _check_match(given: str | None, present: str) -> None:
    if given is None:
        raise Invalid(
            "this change needs a condition", code="if-match-needed", hint="send the ETag you read as If-Match"
        )
    if given.strip() != "*" and present not in [tag.strip() for tag in given.split(",")]:
        raise Conflict("it was changed since you read it", code="changed", hint="read it again, then change it")


@router.post("/{dataset}/more", name="more_jobs", response_model=views.JobsNow, summary="Add jobs")
def more_jobs(
    dataset: Number, request: Request, sent: models.MoreJobs, raw: Body, services: Have, caller: Caller,
    key: idempotency.Key = None,
) -> Response:  # fmt: skip
    """Add jobs at the end; tasks that gather all jobs wait again."""

    def work(tx: Connection) -> dict[str, Any]:
        ownership.check(request, tx, [dataset])
        context = services.contexts.one(tx, dataset)
        total = unfold.more(tx, services.contexts, context, sent.jobs, caller.name, services.clock())
        return {"dataset": dataset, "jobs": total}

    return idempotency.create(request, key, raw, work)


@router.post("/{dataset}/split", name="split_dataset", response_model=views.Divided, summary="Divide jobs")
def split_dataset(
    dataset: Number, request: Request, sent: models.SplitJobs, raw: Body, services: Have, caller: Caller,
    key: idempotency.Key = None,
) -> Response:  # fmt: skip
    """Take jobs that have not begun out of a dataset, and make them a new one in smaller pieces."""

    def work(tx: Connection) -> dict[str, Any]:
        ownership.check(request, tx, [dataset])
        context = services.contexts.one(tx, dataset)
        found = split.split(
            tx, services.contexts, context, sent.into, caller.name, services.clock(), apply=not sent.preview
        )
        return {**found.to_plain(), "url": f"{base_url(request)}/datasets/{found.made or dataset}"}

    answered = idempotency.create(request, key, raw, work)
    request.app.state.demand.forget()
    return answered


@router.get("/{dataset}/jobs", name="list_jobs", response_model=answers.Page, summary="List jobs")
def list_jobs(dataset: Number, services: Have, state: State = "", limit: Limit = 100, after: After = "") -> Response:
    """Return jobs in order with their states."""
    with services.database.read() as tx:
        context = services.contexts.one(tx, dataset)
        return answer(lists.jobs(tx, context, state=state, after=page_after(after), limit=limit))


@router.get("/{dataset}/tasks", name="list_tasks", response_model=answers.Page, summary="List touched tasks")
def list_tasks(
    dataset: Number, services: Have, state: State = "", task: Word = "", job: Job = None, limit: Limit = 100,
    after: After = "",
) -> Response:  # fmt: skip
    """Return tasks in order of job and task, perhaps of one state, name or job."""
    with services.database.read() as tx:
        context = services.contexts.one(tx, dataset)
        found = lists.tasks(tx, context, state=state, task=task, within=job, after=page_after(after), limit=limit)
        return answer(found)


@router.get(
    "/{dataset}/events", name="watch_dataset", summary="Watch a dataset", response_class=Response,
    responses={200: {"description": "Server-sent events", "content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)  # fmt: skip
async def watch_dataset(dataset: Number, request: Request) -> Response:
    """Send `event: status` with the whole status at each change, and `event: end` when all is done."""
    return await watch(request, dataset)


router.routes.extend(fast.routes)
