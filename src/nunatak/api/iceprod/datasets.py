"""Datasets as IceProd's interface shows and changes them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from sqlalchemy import Connection
from starlette.responses import Response

from nunatak.api import ownership
from nunatak.api.guard import GuardedRoute
from nunatak.api.iceprod import changing, reading
from nunatak.api.iceprod.words import JOB_STATUS, dataset_of, only, wanted
from nunatak.api.requests import Caller, Have, answer
from nunatak.core.address import Address
from nunatak.core.errors import Invalid
from nunatak.datasets import store
from nunatak.tasks import control, unfold
from nunatak.tasks.looking import lists, look
from nunatak.tasks.orders import order

router = APIRouter(prefix="/datasets", route_class=GuardedRoute)
summaries = APIRouter(prefix="/dataset_summaries", route_class=GuardedRoute)

Word = Annotated[str, Query(max_length=2000)]


class Status(BaseModel):
    """The body of a change of status."""

    status: str = Field(max_length=20)


class Description(BaseModel):
    """The body of a change of description."""

    description: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]*$")


class Priority(BaseModel):
    """The body of a change of priority; 0.5 is the usual one."""

    priority: float = Field(ge=0, le=1)


class Jobs(BaseModel):
    """The body of a change of the number of jobs."""

    jobs_submitted: int = Field(ge=1, le=999_999_999)


def _heads(tx: Connection, states: set[str], groups: str, users: str) -> list[dict[str, Any]]:
    group, user = ({word for word in text.split("|") if word} for text in (groups, users))
    chosen = [""] if states == set(JOB_STATUS) else sorted(states)
    owner = next(iter(user)) if len(user) == 1 else ""
    return [
        head
        for state in chosen
        for head in reading.pages(
            lambda after, s=state: lists.datasets(tx, state=s, owner=owner, after=after, limit=1000)  # type: ignore[misc]
        )
        if (not group or head["team"] in group) and (not user or head["owner"] in user)
    ]


@router.get("", name="iceprod_list_datasets")
def list_datasets(services: Have, status: Word = "", groups: Word = "", users: Word = "", keys: Word = "") -> Response:
    """Return datasets by name; only the names, if no keys are asked for."""
    with services.database.read() as tx:
        heads = _heads(tx, wanted(status, JOB_STATUS), groups, users)
        contexts = services.contexts.of(tx, [head["dataset"] for head in heads]) if keys else {}
    found = {}
    for head in heads:
        name = str(head["dataset"])
        if not keys:
            found[name] = {"dataset_id": name}
            continue
        per_job = len(contexts[head["dataset"]].plan.tasks)
        found[name] = only(reading.dataset_document(head, per_job), keys, ("dataset_id",))
    return answer(found)


@router.get("/{dataset_id}", name="iceprod_get_dataset")
def get_dataset(dataset_id: str, services: Have) -> Response:
    """Return one dataset."""
    number = dataset_of(dataset_id)
    with services.database.read() as tx:
        context = services.contexts.one(tx, number)
        head = look.dataset_status(tx, services.contexts, number)
    return answer(reading.dataset_document(head, len(context.plan.tasks)))


@router.put("/{dataset_id}/status", name="iceprod_set_dataset_status")
def set_status(dataset_id: str, sent: Status, request: Request) -> Response:
    """Suspend a dataset, or let it go on."""
    changing.change(request, [Address(dataset_of(dataset_id))], sent.status)
    return answer({})


@router.put("/{dataset_id}/description", name="iceprod_set_description")
def set_description(dataset_id: str, sent: Description, request: Request, services: Have) -> Response:
    """Give a dataset another name."""
    return _edit(dataset_id, request, services, name=sent.description)


@router.put("/{dataset_id}/priority", name="iceprod_set_priority")
def set_priority(dataset_id: str, sent: Priority, request: Request, services: Have) -> Response:
    """Give a dataset another priority against its owner's others."""
    return _edit(dataset_id, request, services, priority=max(0.01, 2 * sent.priority))


def _edit(dataset_id: str, request: Request, services: Any, **change: Any) -> Response:
    number = dataset_of(dataset_id)

    def work(tx: Connection) -> None:
        ownership.check(request, tx, [number])
        row = store.LOCK_DATASET(tx, dataset=number)[0]
        values = {"name": row.name, "priority": row.priority, **change}
        store.SET_PRIORITY(tx, dataset=number, now=services.clock(), **values)

    services.database.run(work)
    return answer({})


@router.put("/{dataset_id}/jobs_submitted", name="iceprod_set_jobs")
def set_jobs(dataset_id: str, sent: Jobs, request: Request, services: Have, caller: Caller) -> Response:
    """Give a dataset more jobs; it never gets fewer."""
    number = dataset_of(dataset_id)

    def work(tx: Connection) -> None:
        ownership.check(request, tx, [number])
        context = services.contexts.one(tx, number)
        more = sent.jobs_submitted - store.FRONTIER(tx, dataset=number)[0].total
        if more < 0:
            raise Invalid("jobs_submitted must be larger than before", code="fewer-jobs")
        if more:
            unfold.more(tx, services.contexts, context, more, caller.name, services.clock())

    services.database.run(work)
    return answer({})


@router.post("/{dataset_id}/dataset_actions/truncate", name="iceprod_truncate")
def truncate(dataset_id: str, request: Request, services: Have, caller: Caller) -> Response:
    """Let a dataset get no new jobs."""
    number = dataset_of(dataset_id)

    def work(tx: Connection) -> None:
        ownership.check(request, tx, [number])
        control.act(tx, services.contexts, order("close", [Address(number)], caller.name), services.clock())

    services.database.run(work)
    return answer({})


@router.post("/{dataset_id}/dataset_actions/hard_reset", name="iceprod_hard_reset")
def hard_reset(dataset_id: str, request: Request) -> Response:
    """Let all that is suspended or failed go on; what is complete stays so."""
    changing.change(request, [Address(dataset_of(dataset_id))], changing.RESET)
    return answer({})


@summaries.get("/status", name="iceprod_dataset_summaries")
def by_status(services: Have) -> Response:
    """Return the names of datasets by their status."""
    found: dict[str, list[str]] = {status: [] for status in JOB_STATUS.values()}
    with services.database.read() as tx:
        for head in _heads(tx, set(JOB_STATUS), "", ""):
            found[JOB_STATUS[head["state"]]].append(str(head["dataset"]))
    return answer({status: names for status, names in found.items() if names})


router.routes.extend(summaries.routes)
