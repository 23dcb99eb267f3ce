"""Routes of fair share: who has which weight and caps, what they used, what they get; and to change that."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from nunatak.api import models
from nunatak.api.guard import GuardedRoute
from nunatak.api.requests import Caller, Have, answer
from nunatak.api.views import accounts as views
from nunatak.api.views import answers
from nunatak.tasks import shares
from nunatak.tasks.shares import OwnerKind, Share

router = APIRouter(prefix="/api/v1/shares", tags=["shares"], route_class=GuardedRoute)

Kind = Annotated[OwnerKind, Query(description="of what the rule is")]
Name = Annotated[
    str, Query(min_length=1, max_length=255, pattern=models.NO_NUL, description="`*`: all without a rule of their own")
]


@router.get("", name="list_shares", response_model=answers.Items, summary="Weights, caps, use and parts of all")
def list_shares(services: Have) -> Response:
    """Return every rule, and every group and user that used something or wants something."""
    with services.database.read() as tx:
        return answer({"items": shares.listed(tx, services.contexts, services.rules, services.clock())})


@router.put("", name="set_share", response_model=views.ShareOf, summary="Set a weight or caps")
def set_share(sent: models.NewShare, services: Have, caller: Caller) -> Response:
    """Set weight and caps of a group, user, dataset or site, in place of what was said before."""
    share = Share(OwnerKind(sent.kind), sent.name, sent.weight, sent.running, sent.queued)
    services.database.run(lambda tx: shares.say(tx, share, caller.name, services.clock()))
    return answer({"kind": share.kind, "name": share.name})


@router.delete("", name="unset_share", response_model=views.ShareOf, summary="Forget a weight and caps")
def unset_share(kind: Kind, name: Name, services: Have) -> Response:
    """Treat an owner like all others again."""
    services.database.run(lambda tx: shares.unsay(tx, kind, name))
    return answer({"kind": kind, "name": name})
