"""What those who run a server look at and set: shares, nodes, use, engines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from nunatak.client.connected import Connected
from nunatak.client.connection import API, fresh_key
from nunatak.client.results import NodeList
from nunatak.core.errors import Invalid


class Tending(Connected):
    """Verbs of those who run a server."""

    def shares(self) -> Iterator[Mapping[str, Any]]:
        """Yield the rules of fair share, and every group and user with what it used and its part of the next places."""
        return self._to.pages(f"{API}/shares")

    def set_share(
        self,
        kind: str,
        name: str,
        *,
        weight: float | None = None,
        running: int | None = None,
        queued: int | None = None,
    ) -> None:
        """Set weight and caps of a group, user, dataset or site (`*`: of all without their own)."""
        more = {"weight": weight, "running": running, "queued": queued}
        body = {"kind": kind, "name": name, **{key: value for key, value in more.items() if value is not None}}
        self._to.request("PUT", f"{API}/shares", json=body)

    def unset_share(self, kind: str, name: str) -> None:
        """Treat an owner like all others again."""
        self._to.request("DELETE", f"{API}/shares", query={"kind": kind, "name": name})

    def nodes(self, *, every: bool = False) -> NodeList:
        """Return nodes, and features at sites, that are not fine; with `every` all nodes that were heard of."""
        first = self._to.get(f"{API}/nodes", **({"all": "true", "limit": 1} if every else {}))
        rows = self._to.pages(f"{API}/nodes", all="true") if every else iter(first["items"])
        return NodeList(rows, first["spared"])

    def drain_node(self, node: str, *, reason: str = "", seconds: float | None = None) -> Mapping[str, Any]:
        """Give a node (`SITE/NODE`) no new work, for good or for some seconds; returns how it stands."""
        body = {"node": _checked(node), "reason": reason, "seconds": seconds}
        return dict(self._to.post(f"{API}/nodes/drain", body, key=fresh_key()))

    def undrain_node(self, node: str) -> Mapping[str, Any]:
        """Give a node work again; returns how it stands."""
        return dict(self._to.post(f"{API}/nodes/undrain", {"node": _checked(node)}, key=fresh_key()))

    def usage(
        self, by: str = "user", *, since: date | None = None, until: date | None = None, limit: int = 100
    ) -> Iterator[Mapping[str, Any]]:
        """Yield who or what used most: hours occupied and lost, by user, group, dataset, site, cause, day or month.

        `since` and `until` are the first and the last day (UTC); without them, all there ever was.
        """
        days = {"since": since and since.isoformat(), "until": until and until.isoformat()}
        return iter(self._to.get(f"{API}/usage", by=by, limit=limit, **days)["items"])

    def engines(self) -> Iterator[Mapping[str, Any]]:
        """Yield the engines: name, kind, site, capacity, when last heard of, and what they have."""
        return self._to.pages(f"{API}/engines")


def _checked(node: str) -> str:
    """Return the name of a node, if it can be one. Raises `Invalid`."""
    if not all(node.rpartition("/")[1:]):
        raise Invalid(
            f"{node!r} is no node", code="bad-node", hint="write SITE/NODE, as `nunatak node ls --all` shows them"
        )
    return node
