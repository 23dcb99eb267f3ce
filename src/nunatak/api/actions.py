"""Route of what people do to work: hold, release, retry, cancel, close, on many addresses in one transaction."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import Connection
from starlette.responses import Response

from nunatak.api import idempotency, models, ownership
from nunatak.api.guard import GuardedRoute
from nunatak.api.requests import Body, Caller, Have, address_of
from nunatak.api.views import datasets as views
from nunatak.tasks import control
from nunatak.tasks.orders import order

router = APIRouter(prefix="/api/v1/actions", tags=["actions"], route_class=GuardedRoute)


@router.post("", name="act", response_model=views.Changed, summary="Hold, release, retry, cancel or close")
def act(
    request: Request, sent: models.Action, raw: Body, services: Have, caller: Caller, key: idempotency.Key = None
) -> Response:
    """Do one thing to all the addresses, or to none of them; running work is ended.

    With a `signature`, a retry of datasets is of the tasks alone that failed like this group of their errors.
    """
    addresses = [address_of(text, "dataset", "job", "task") for text in sent.addresses]
    given = order(sent.verb, addresses, caller.name, sent.reason, sent.signature)

    def work(tx: Connection) -> dict[str, Any]:
        ownership.check(request, tx, [address.dataset for address in addresses])
        return {"changed": control.act(tx, services.contexts, given, services.clock())}

    answered = idempotency.create(request, key, raw, work)
    request.app.state.demand.forget()
    return answered
