"""Sites and nodes: engines with capacity against use, nodes that are not fine and why; operators drain and undrain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import Query, Request
from sqlalchemy import Connection
from starlette.responses import Response

from nunatak.api import exclusion
from nunatak.api.nodes import node_of
from nunatak.api.requests import Caller, Have, services_of
from nunatak.core.errors import Invalid
from nunatak.core.units import seconds
from nunatak.tasks import nodes, site_use, sites, speeds
from nunatak.tasks.health.events import Node
from nunatak.tasks.looking import nodes_look
from nunatak.web.guard import Sent
from nunatak.web.pages.sites_draw import use_curve
from nunatak.web.render import View
from nunatak.web.routing import Pages, go_on
from nunatak.web.words import plural

pages = Pages()

MOST_NODES = 200
MOST_SECONDS = 365 * 86_400.0
AMOUNTS = {
    "cpu": ("cores", "number"),
    "gpu": ("GPUs", "number"),
    "memory": ("memory", "size"),
    "disk": ("disk", "size"),
}
"""What a site has: its name in the data, as people call it, and how it is written."""


@pages.page(
    "/sites", name="page_sites", template="sites.html", live=True, tools={"amounts": AMOUNTS, "use_curve": use_curve}
)
def show(
    services: Have,
    every: Annotated[bool, Query(alias="all")] = False,
    after: Annotated[str, Query(max_length=400)] = "",
) -> View:
    """Show sites, engines and the nodes that are not fine; with `all`, every node that was heard of."""
    now = services.clock()
    with services.database.read() as tx:
        found = sites.sites(tx, services.contexts.kept, now)
        before = site_use.over_time(tx, now)
        fast = speeds.at_sites(tx, services.contexts.kept, now)
        health = nodes_look.every(tx, now, after, MOST_NODES) if every else nodes_look.not_fine(tx, now)
    for site in found:
        site["over_time"] = before.get(site["site"], [])
        site["speed"] = fast.get(site["site"])
    data = {"sites": found, "nodes": health["items"], "next": health["next"], "spared": health["spared"], "all": every}
    silent = [engine["name"] for site in found for engine in site["engines"] if not engine["alive"]]
    alarm = "failed" if found and not any(site["alive"] for site in found) else ""
    busy = "busy" if any(site["running"] for site in found) else ""
    return View(_title(found, health["items"], silent), data, _command(every), alarm or busy)


def _title(found: Sequence[Mapping[str, Any]], shown: Sequence[Mapping[str, Any]], silent: Sequence[str]) -> str:
    out = sum(node["health"] != "fine" for node in shown)
    said = [f"{plural(out, 'node')} not fine"] if out else []
    said += [f"{plural(len(silent), 'engine')} silent"] if silent else []
    said = said or [plural(sum(site["alive"] for site in found), "engine") + " alive" if found else "No engine yet"]
    return f"{', '.join(said)} \u00b7 Sites"


def _command(every: bool) -> str:
    return "nunatak node ls --all" if every else "nunatak node ls"


@pages.change("/sites/drain", name="drain_from_page")
def drain(request: Request, services: Have, caller: Caller, sent: Sent) -> Response:
    """Give a node no new work, for good or for some time (`for`); what runs there goes on."""
    node, now = _node(sent.get("node")), services.clock()
    lasting, reason = _lasting(str(sent.get("for", "")).strip()), str(sent.get("reason", ""))[:1000]

    def work(tx: Connection) -> Mapping[str, Any]:
        nodes.drain(tx, node, caller.name, reason, now, lasting)
        return nodes_look.line(tx, node, now)

    return _done(request, sent, services.database.run(work))


@pages.change("/sites/undrain", name="undrain_from_page")
def undrain(request: Request, services: Have, caller: Caller, sent: Sent) -> Response:
    """Give a node work again, whoever drained it."""
    node, now = _node(sent.get("node")), services.clock()

    def work(tx: Connection) -> Mapping[str, Any]:
        nodes.undrain(tx, node, caller.name, now)
        return nodes_look.line(tx, node, now)

    return _done(request, sent, services.database.run(work))


def _node(text: Any) -> Node:
    """Read SITE/NODE. Raises `Invalid`."""
    node = node_of(str(text or "").strip())
    if not node.site or not node.name or not str(text).isprintable() or len(str(text)) > 320:
        raise Invalid(f"{str(text)[:80]!r} is no node", code="bad-node", hint="write SITE/NODE, as the list shows it")
    return node


def _lasting(text: str) -> float | None:
    """Return for how many seconds; None for good. Raises `Invalid`."""
    lasting = seconds(text) if text else None
    if lasting is not None and not 0 < lasting <= MOST_SECONDS:
        raise Invalid(
            f"{text!r} is no time to drain a node for", code="bad-time", hint="write 2h or 3d, at most a year"
        )
    return lasting


def _done(request: Request, sent: Sent, line: Mapping[str, Any]) -> Response:
    exclusion.forget(services_of(request).contexts.kept)
    return go_on(request, sent, str(line["sentence"]))
