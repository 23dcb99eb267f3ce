"""Routes about the server itself: health, metrics, who am I, the schema of recipes, checking a recipe."""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from sqlalchemy import text
from starlette.responses import Response

from nunatak.api import models
from nunatak.api.datasets import plan_of
from nunatak.api.guard import GuardedRoute
from nunatak.api.requests import Caller, Have, answer, dumps
from nunatak.api.views import accounts, answers, recipes
from nunatak.core.clock import iso
from nunatak.core.errors import NotFound, Unavailable
from nunatak.datasets import store
from nunatak.datasets.expand import dry_run
from nunatak.datasets.schema import json_schema
from nunatak.db import migrate
from nunatak.tasks import following

router = APIRouter(tags=["server"], route_class=GuardedRoute)
API = "/api/v1"


@router.get("/healthz", name="healthz", response_model=answers.Health, summary="Alive")
async def healthz() -> Response:
    """Answer while the process is alive."""
    return answer({"status": "ok"})


@router.get("/readyz", name="readyz", response_model=answers.Health, summary="Ready")
def readyz(services: Have) -> Response:
    """Answer 200 when the database is there and of this version, and this server is not on its way out."""
    if services.stopping.is_set():
        raise Unavailable("this server is stopping", code="stopping", hint="ask another")
    with services.database.read() as tx:
        tx.execute(text("SELECT 1"))
        present = migrate.current(tx)
    if present is None or present < _head():  # a newer one is what a migration under load leaves us with
        raise Unavailable("the database is of an older version", code="not-migrated", hint="nunatak migrate")
    return answer({"status": "ok"})


@cache
def _head() -> str:
    return migrate.head()


@router.get(
    "/metrics", name="metrics", summary="Prometheus metrics", response_class=Response,
    responses={200: {"description": "Metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)  # fmt: skip
def metrics(request: Request, services: Have) -> Response:
    """Return the metrics of this process, and tasks and engines as the database has them."""
    if not services.metrics:
        raise NotFound("metrics are switched off here", code="no-metrics", hint="set NUNATAK_METRICS=true")
    found: bytes = request.app.state.metrics.text(services)
    return Response(found, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get(f"{API}/openapi.json", name="openapi", summary="This document", include_in_schema=False)
def openapi(request: Request) -> Response:
    """Return the OpenAPI document."""
    return answer(request.app.openapi())


@router.get(f"{API}/whoami", name="whoami", response_model=accounts.WhoAmI, summary="Who am I")
def whoami(caller: Caller) -> Response:
    """Return whom the token speaks for, and what it is good for."""
    return answer({"name": caller.name, "scopes": sorted(caller.scopes), "expires": iso(caller.expires)})


@cache
def _schema() -> bytes:
    return dumps(json_schema())


@router.get(
    f"{API}/schema/recipe", name="recipe_schema", response_model=dict[str, Any], summary="JSON Schema of recipes"
)
def recipe_schema() -> Response:
    """Return the JSON Schema of recipes, for editors."""
    return Response(_schema(), headers={"Cache-Control": "private, max-age=3600"}, media_type="application/json")


@router.post(f"{API}/recipes/check", name="check_recipe", response_model=recipes.Checked, summary="Check a recipe")
def check_recipe(sent: models.RecipeToCheck, services: Have) -> Response:
    """Check a recipe without submitting it: 422 with every problem at its place, or what it says."""
    plan = plan_of(services, sent)
    if plan.follows:
        with services.database.read() as tx:
            following.check(tx, services.contexts, plan, source=sent.text, filename=sent.filename)
    found: dict[str, Any] = {"name": plan.name, "jobs": plan.jobs, "tasks": [task.name for task in plan.tasks]}
    job = sent.job if sent.job is not None else 0
    found["dry_run"] = dry_run(plan, job, store=services.store, blobs=services.blobs_url)
    return answer(found)


@router.get(f"{API}/recipes/{{digest}}", name="get_plan", response_model=recipes.PlanView, summary="A checked recipe")
def get_plan(digest: Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", examples=["0" * 64])], services: Have) -> Response:
    """Return a checked recipe by its content hash; it never changes."""
    with services.database.read() as tx:
        rows = store.RECIPE(tx, digest=digest)
    if not rows:
        raise NotFound(f"there is no recipe {digest}", code="no-recipe")
    headers = {"Cache-Control": "private, max-age=31536000, immutable", "ETag": f'"{digest}"'}
    return answer({"digest": digest, "plan": json.loads(rows[0].plan)}, headers=headers)
