"""Route of time spent: who or what used how much, and how much of it was lost."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from nunatak.api.guard import GuardedRoute
from nunatak.api.requests import Have, Limit, answer
from nunatak.api.views import answers
from nunatak.tasks.looking import spent

router = APIRouter(prefix="/api/v1/usage", tags=["usage"], route_class=GuardedRoute)

By = Annotated[str, Query(max_length=16, description=f"one of {', '.join(spent.BY)}")]
Since = Annotated[
    date | None, Query(description="the first day (UTC), as in 2026-11-01; without days, all there ever was")
]
Until = Annotated[date | None, Query(description="the last day; without one, today")]


@router.get("", name="get_usage", response_model=answers.Items, summary="Time spent and lost")
def get_usage(
    services: Have, by: By = "user", since: Since = None, until: Until = None, limit: Limit = 100
) -> Response:
    """Return who or what used most: core- and GPU-hours that were occupied, what was lost, what fair share still counts.

    Days and months come the latest first, of 31 days and a year where no days are named. What was used is that of the day
    (UTC) on which its attempt ended, or of the next one within a minute of midnight.
    """
    now = services.clock()
    days = spent.days_asked(by, since, until, now)
    with services.database.read() as tx:
        items = spent.usage(tx, by, services.rules.decay, now, limit, days)
    return answer({"items": items})
