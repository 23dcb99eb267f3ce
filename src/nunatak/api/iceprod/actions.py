"""IceProd's actions on statuses: a change of a dataset, of its jobs or of its tasks, done when it is answered."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from nunatak.api.guard import GuardedRoute
from nunatak.api.iceprod import changing, reading
from nunatak.api.iceprod.words import JOB_STATUS, TASK_STATUS, dataset_of, job_of, ours, task_of
from nunatak.api.requests import Have, answer
from nunatak.api.services import Services
from nunatak.core.address import Address
from nunatak.core.errors import NotFound
from nunatak.tasks.looking import look

router = APIRouter(prefix="/actions", route_class=GuardedRoute)

ACTIONS = ("dataset_status", "job_status", "task_status")
STATUS = {"suspend": changing.HOLD, "reset": changing.RESET, "hard_reset": changing.RESET}
"""What each action brings things to."""


class Change(BaseModel):
    """The body of an action: on named jobs or tasks, on those of one status, or on the whole dataset."""

    dataset_id: Annotated[str, Field(max_length=20)]
    action: Literal["suspend", "reset", "hard_reset"]
    initial_status: Annotated[str, Field(max_length=20)] = ""
    job_ids: changing.Names = None
    task_ids: changing.Names = None


@router.post("/{what}", name="iceprod_act", status_code=201)
def act(what: str, sent: Change, request: Request, services: Have) -> Response:
    """Suspend or reset; the result names the action, to be asked for."""
    _known(what, ACTIONS)
    number = dataset_of(sent.dataset_id)
    if what == "dataset_status":
        addresses = [Address(number)] if _is(services, number, sent.initial_status) else []
    elif what == "job_status":
        addresses = _jobs(services, number, sent)
    else:
        addresses = _tasks(services, number, sent)
    changing.change(request, addresses, STATUS[sent.action])
    return answer({"result": str(number)}, 201)


@router.get("/{what}", name="iceprod_action_counts")
def counts(what: str) -> Response:
    """Return how many actions are in which status: none, since each is done when it is answered."""
    _known(what, ("submit", *ACTIONS))
    return answer({})


@router.get("/{what}/{action}", name="iceprod_action")
def action(what: str, action: str, services: Have) -> Response:
    """Return what became of an action, which is called as its dataset: it was done before it was answered."""
    _known(what, ACTIONS)
    number = dataset_of(action)
    with services.database.read() as tx:
        services.contexts.one(tx, number)
    return answer({"status": "complete", "error_message": "", "payload": {"dataset_id": str(number)}, "progress": 100})


def _known(what: str, of: tuple[str, ...]) -> None:
    if what not in of:
        raise NotFound(f"there is no action {what}", code="no-action", hint=f"one of submit, {', '.join(ACTIONS)}")


def _is(services: Services, number: int, status: str) -> bool:
    """Tell whether a dataset has a status, or none is asked for."""
    with services.database.read() as tx:
        head = look.dataset_status(tx, services.contexts, number)
    return not status or head["state"] == ours(status, JOB_STATUS)


def _jobs(services: Services, number: int, sent: Change) -> list[Address]:
    if sent.job_ids is not None:
        return [job_of(number, name) for name in sent.job_ids]
    if not sent.initial_status:
        return [Address(number)]
    with services.database.read() as tx:
        context = services.contexts.one(tx, number)
        found = reading.jobs(tx, context, {ours(sent.initial_status, JOB_STATUS)})
        return [Address(number, job["job_index"]) for job in found]


def _tasks(services: Services, number: int, sent: Change) -> list[Address]:
    named = [task_of(number, name) for name in sent.task_ids or ()]
    if sent.task_ids is not None or sent.job_ids is not None:
        return named + [job_of(number, name) for name in sent.job_ids or ()]
    if not sent.initial_status:
        return [Address(number)]
    with services.database.read() as tx:
        context = services.contexts.one(tx, number)
        found = reading.tasks(tx, context, {ours(sent.initial_status, TASK_STATUS)})
        return [task_of(number, task["task_id"]) for task in found]
