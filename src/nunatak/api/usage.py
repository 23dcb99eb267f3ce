"""Route of time spent: who or what used how much, and how much of it was lost."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from nunatak.api.guard import GuardedRoute
from nunatak.api.requests import Have, Limit, answer
from nunatak.api.views import answers
from nunatak.tasks.looking import spent

router = APIRouter(prefix="/api/v1/usage", tags=["usage"], route_class=GuardedRoute)

By = Annotated[str, Query(max_length=16, description=f"one of {', '.join(spent.BY)}")]


@router.get("", name="get_usage", response_model=answers.Items, summary="Time spent and lost")
def get_usage(services: Have, by: By = "user", limit: Limit = 100) -> Response:
    """Return who or what used most: core- and GPU-hours that were occupied, what was lost, what fair share still counts."""
    with services.database.read() as tx:
        items = spent.usage(tx, by, services.rules.decay, services.clock(), limit)
    return answer({"items": items})
