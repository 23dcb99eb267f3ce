"""Submission in IceProd's form: a configuration becomes a recipe and a dataset; the configuration is kept with it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from sqlalchemy import Connection
from starlette.responses import Response

from nunatak.api.guard import GuardedRoute
from nunatak.api.iceprod.words import dataset_of
from nunatak.api.requests import Caller, Have, answer
from nunatak.api.services import Services
from nunatak.core.errors import Invalid, NotFound
from nunatak.datasets import store
from nunatak.datasets.manifest import Manifest
from nunatak.datasets.plan import StoredFile
from nunatak.datasets.recipe import compile_recipe
from nunatak.tasks import unfold
from nunatak.tasks.looking import look

if TYPE_CHECKING:
    from nunatak.iceprod.importing import Imported

router = APIRouter(route_class=GuardedRoute)

EVENT = "import"
"""The action in a dataset's history that names the configuration it was made from."""


class Submission(BaseModel):
    """The body of a submission."""

    config: dict[str, Any]
    description: Annotated[str, Field(max_length=10_000)] = ""
    jobs_submitted: Annotated[int, Field(ge=1, le=999_999_999)]
    group: Annotated[str, Field(max_length=255, pattern=r"^[^\x00-\x1f]*$")] = ""
    username: Annotated[str, Field(max_length=255)] = ""
    extra_submit_fields: dict[str, Any] = {}


@router.post("/actions/submit", name="iceprod_submit", status_code=201)
def submit(sent: Submission, request: Request, services: Have, caller: Caller) -> Response:
    """Make a dataset of a configuration. It is checked and accepted at once; the result names the action, to be asked for."""
    from nunatak.iceprod.importing import import_config  # not loaded where nobody imports anything

    if sent.username not in ("", caller.name):
        raise Invalid("a dataset can be submitted for oneself only", code="not-oneself", hint=f"you are {caller.name}")
    mode = str(sent.extra_submit_fields.get("mode", "exact"))
    config = {**sent.config, "description": sent.description or sent.config.get("description", "")}
    kept = json.dumps(sent.config).encode()
    files = sent.extra_submit_fields.get("task_files")
    made = import_config(
        json.dumps(config), filename="config", jobs=sent.jobs_submitted, mode=mode,
        task_files=json.dumps(files) if files else None,
    )  # fmt: skip
    if made.sources:
        raise Invalid(
            f"{', '.join(made.sources)} would have to lie on the machines", code="no-source",
            hint="name the file as data, by a URL, or by its absolute path; or use nunatak import iceprod, which sends it",
        )  # fmt: skip
    manifest = Manifest({name: _keep(services, content) for name, content in made.files.items()})
    _keep(services, kept)
    number = _accept(services, made, manifest, hashlib.sha256(kept).hexdigest(), sent.group, caller.name)
    request.app.state.demand.forget()
    return answer({"result": str(number)}, 201)


def _keep(services: Services, content: bytes) -> StoredFile:
    sha256 = hashlib.sha256(content).hexdigest()
    services.blobs.put(iter([content]), sha256, services.limits.blob)
    return StoredFile(sha256, len(content))


def _accept(services: Services, made: Imported, manifest: Manifest, config: str, team: str, owner: str) -> int:
    plan = compile_recipe(made.text, filename="config.yaml", manifest=manifest)
    detail = json.dumps({"config": config, "mode": made.mode, "findings": [str(item) for item in made.findings][:100]})

    def work(tx: Connection) -> int:
        now = services.clock()
        number = unfold.submit(
            tx, services.contexts, plan, source=made.text, filename="config.yaml", owner=owner, team=team, now=now,
        )  # fmt: skip
        store.ADD_EVENT(tx, dataset=number, job=None, task=None, actor=owner, verb=EVENT, detail=detail, now=now)
        return number

    return services.database.run(work)


@router.get("/actions/submit/{action}", name="iceprod_submit_status")
def submit_status(action: str, services: Have) -> Response:
    """Return what became of a submission: its dataset was there before the answer."""
    number = dataset_of(action)
    with services.database.read() as tx:
        head = look.dataset_status(tx, services.contexts, number)
    payload = {
        "dataset_id": str(number),
        "description": head["name"],
        "jobs_submitted": head["jobs"]["total"],
        "group": head["team"],
    }
    return answer({"status": "complete", "error_message": "", "payload": payload})


@router.get("/config/{dataset_id}", name="iceprod_get_config")
def get_config(dataset_id: str, services: Have) -> Response:
    """Return the configuration a dataset was made from; of one made from a recipe, its tasks and what they need."""
    number = dataset_of(dataset_id)
    with services.database.read() as tx:
        context = services.contexts.one(tx, number)
        events = store.EVENTS(tx, dataset=number, after=0, n=10)
    detail = next((json.loads(row.detail) for row in events if row.verb == EVENT and row.detail), None)
    if detail is not None:
        try:
            with services.blobs.open(detail["config"]) as stream:
                return Response(stream.read(), media_type="application/json")
        except NotFound:
            pass
    plan = context.plan
    tasks = [
        {
            "name": task.name,
            "depends": [*task.after, *(f"{of.dataset}:{of.task}" for of in task.follows if of.each)],
            "requirements": dict(task.needs),
            "trays": [],
        }
        for task in plan.tasks
    ]
    return answer(
        {"version": 3.2, "description": plan.name, "steering": {"parameters": dict(plan.parameters)}, "tasks": tasks}
    )
