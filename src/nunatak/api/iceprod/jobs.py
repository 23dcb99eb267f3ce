"""Jobs as IceProd's interface shows and changes them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from nunatak.api.guard import GuardedRoute
from nunatak.api.iceprod import changing, reading
from nunatak.api.iceprod.datasets import Status, Word
from nunatak.api.iceprod.words import JOB_STATUS, dataset_of, job_of, only, wanted
from nunatak.api.requests import Have, answer
from nunatak.core.address import Address
from nunatak.tasks.looking import look

router = APIRouter(prefix="/datasets/{dataset_id}", route_class=GuardedRoute)

Index = Annotated[int | None, Query(ge=0, le=999_999_999)]


class Chosen(BaseModel):
    """The body of a change of many jobs; all, if it says nothing of jobs. An empty list is of none."""

    jobs: changing.Names = None


@router.get("/jobs", name="iceprod_list_jobs")
def list_jobs(dataset_id: str, services: Have, status: Word = "", job_index: Index = None, keys: Word = "") -> Response:
    """Return jobs by name."""
    number, states = dataset_of(dataset_id), wanted(status, JOB_STATUS)
    with services.database.read() as tx:
        context = services.contexts.one(tx, number)
        if job_index is not None:
            found = look.job_status(tx, context, job_index)
            rows = [reading.job_document(number, job_index, found["state"])] if found["state"] in states else []
        else:
            rows = list(reading.jobs(tx, context, states))
    return answer({row["job_id"]: only(row, keys, ("job_id",)) for row in rows})


@router.get("/jobs/{job_id}", name="iceprod_get_job")
def get_job(dataset_id: str, job_id: str, services: Have) -> Response:
    """Return one job."""
    address = job_of(dataset_of(dataset_id), job_id)
    with services.database.read() as tx:
        found = look.status(tx, services.contexts, address, services.clock())
    return answer(reading.job_document(address.dataset, address.job or 0, found["state"]))


@router.put("/jobs/{job_id}/status", name="iceprod_set_job_status")
def set_status(dataset_id: str, job_id: str, sent: Status, request: Request) -> Response:
    """Suspend a job, or let it go on."""
    changing.change(request, [job_of(dataset_of(dataset_id), job_id)], sent.status)
    return answer({})


@router.post("/job_actions/bulk_status/{status}", name="iceprod_bulk_job_status")
def bulk_status(dataset_id: str, status: str, sent: Chosen, request: Request) -> Response:
    """Suspend jobs, or let them go on."""
    return _bulk(dataset_id, sent, status, request)


@router.post("/job_actions/{action}", name="iceprod_bulk_jobs")
def bulk(dataset_id: str, action: str, sent: Chosen, request: Request) -> Response:
    """Suspend jobs, or let suspended and failed ones go on."""
    return _bulk(dataset_id, sent, changing.status_of(action), request)


def _bulk(dataset_id: str, sent: Chosen, status: str, request: Request) -> Response:
    number = dataset_of(dataset_id)
    chosen = [Address(number)] if sent.jobs is None else [job_of(number, name) for name in sent.jobs]
    changing.change(request, chosen, status)
    return answer({})


@router.get("/job_summaries/status", name="iceprod_job_summaries")
def summaries(dataset_id: str, services: Have) -> Response:
    """Return the names of jobs by their status."""
    found: dict[str, list[str]] = {}
    with services.database.read() as tx:
        context = services.contexts.one(tx, dataset_of(dataset_id))
        for row in reading.jobs(tx, context, set(JOB_STATUS)):
            found.setdefault(row["status"], []).append(row["job_id"])
    return answer(found)


@router.get("/job_counts/status", name="iceprod_job_counts")
def counts(dataset_id: str, services: Have) -> Response:
    """Return how many jobs have each status."""
    with services.database.read() as tx:
        head = look.dataset_status(tx, services.contexts, dataset_of(dataset_id))
    return answer({JOB_STATUS[state]: n for state, n in head["jobs"].items() if state in JOB_STATUS and n})
