"""Routes of nodes: how they stand, and to drain one or give it work again."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection
from starlette.responses import Response

from nunatak.api import exclusion, idempotency, models
from nunatak.api.guard import GuardedRoute
from nunatak.api.requests import Body, Caller, Have, Limit, answer, services_of
from nunatak.api.views import nodes as views
from nunatak.tasks import nodes
from nunatak.tasks.health.events import Node
from nunatak.tasks.looking import nodes_look

router = APIRouter(prefix="/api/v1/nodes", tags=["nodes"], route_class=GuardedRoute)

All = Annotated[bool, Query(alias="all", description="those that are fine as well")]
AfterNode = Annotated[str, Query(max_length=400, description="what the page before gave as `next`")]


def node_of(text: str) -> Node:
    """Read SITE/NODE."""
    site, _, name = text.rpartition("/")
    return Node(site, name)


@router.get("", name="list_nodes", response_model=views.NodePage, summary="How nodes stand, and why")
def list_nodes(services: Have, every: All = False, limit: Limit = 100, after: AfterNode = "") -> Response:
    """Return nodes, and features at sites, that are not fine; with `all` every node that was heard of."""
    now = services.clock()
    with services.database.read() as tx:
        found = nodes_look.every(tx, now, after, limit) if every else nodes_look.not_fine(tx, now)
    return answer(found)


@router.post("/drain", name="drain_node", response_model=views.NodeView, summary="Give a node no new work")
def drain_node(
    request: Request, sent: models.NodeToDrain, raw: Body, services: Have, caller: Caller, key: idempotency.Key = None
) -> Response:
    """Give a node no new work, for good or for some time; what runs there goes on. It is not probed."""
    node, now = node_of(sent.node), services.clock()

    def work(tx: Connection) -> dict[str, Any]:
        nodes.drain(tx, node, caller.name, sent.reason, now, sent.seconds)
        return nodes_look.line(tx, node, now)

    return _changed(request, idempotency.create(request, key, raw, work))


@router.post("/undrain", name="undrain_node", response_model=views.NodeView, summary="Give a node work again")
def undrain_node(
    request: Request, sent: models.NodeToUndrain, raw: Body, services: Have, caller: Caller, key: idempotency.Key = None
) -> Response:
    """Give a node work again, whoever drained it; it is left alone for an hour, and begins with a clean slate."""
    node, now = node_of(sent.node), services.clock()

    def work(tx: Connection) -> dict[str, Any]:
        nodes.undrain(tx, node, caller.name, now)
        return nodes_look.line(tx, node, now)

    return _changed(request, idempotency.create(request, key, raw, work))


def _changed(request: Request, answered: Response) -> Response:
    exclusion.forget(services_of(request).contexts.kept)
    return answered
