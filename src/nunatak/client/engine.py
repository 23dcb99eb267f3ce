"""What an engine host says to the server: register, heartbeat, claim, report, logs, leases, give back.

Nothing is tried again here: the host goes on with its engine meanwhile, and says it again later.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from nunatak.client.connection import API, Connection
from nunatak.core.values import quickly_made
from nunatak.core.work import Grouping, Outcome, Shape

Key = tuple[str, str]
"""Address with the attempt, and lease: what identifies an attempt."""
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Registration:
    """What the server tells an engine: URL prefixes, bytes kept of a log, seconds between heartbeats, sizes of sets."""

    store: str
    blobs: str
    log_limit: int
    heartbeat: float
    claim_limit: int = 500
    report_limit: int = 500


@quickly_made
@dataclass(frozen=True, slots=True)
class Claim:
    """A task leased to us: `inputs` are the recorded outputs of its parents, `jobs` how many jobs its dataset has.

    `jobs` is 0 where that is as planned; `avoid` names nodes on which it should not be tried; `checkpoint` is what an earlier
    attempt kept: url, size, sha256. Claims of one answer with the same number `series` run one after the other in one place
    of the shape `together`.
    """

    address: str
    lease: str
    recipe: str
    shape: Shape
    inputs: tuple[Mapping[str, Any], ...] = ()
    jobs: int = 0
    avoid: tuple[str, ...] = ()
    checkpoint: Mapping[str, Any] | None = None
    series: int | None = None
    together: Shape | None = None
    owner: str = ""
    group: str = ""


def places(claims: Sequence[Claim]) -> int:
    """Return how many places of an engine some claims of one answer take."""
    return sum(claim.series is None for claim in claims) + len({claim.series for claim in claims} - {None})


def within(claims: Sequence[Claim], most: int) -> list[Claim]:
    """Return those claims of one answer that take the first `most` places of an engine; a series is taken whole."""
    keys = [at if claim.series is None else ("series", claim.series) for at, claim in enumerate(claims)]
    first = set(list(dict.fromkeys(keys))[: max(0, most)])
    return [claim for key, claim in zip(keys, claims, strict=True) if key in first]


@quickly_made
@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt began to run on `host` at `at` (seconds since the epoch)."""

    address: str
    lease: str
    at: float
    host: str


@quickly_made
@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a log from `offset`."""

    address: str
    lease: str
    stream: str
    offset: int
    data: bytes


class EngineClient:
    """The engine's routes for one engine and one process of it (`session`)."""

    def __init__(self, connection: Connection, name: str, session: str) -> None:
        """Speak for the engine `name`."""
        self.name, self._session = name, session
        self.drained: tuple[str, ...] = ()  # nodes of this site that get nothing new, as last heard
        self.probed: tuple[str, ...] = ()  # those that get one attempt at a time
        self.looked: tuple[Key, ...] = ()  # attempts whose logs somebody reads, as last heard
        self._to, self._base = connection, f"{API}/engines/{name}"

    def _post(self, verb: str, **body: Any) -> Any:
        """Send JSON and read the answer, with orjson: there are thousands of tasks a second in them."""
        content = orjson.dumps({"session": self._session, **body})
        return orjson.loads(
            self._to.request("POST", f"{self._base}/{verb}", content=content, headers=JSON, again=False).body
        )

    def register(self, kind: str, site: str, capacity: Mapping[str, Any], node: str = "") -> Registration:
        """Enter this process; `node` is its only one. Raises `Conflict` while another process of the same name is alive."""
        plain = self._post("register", kind=kind, site=site, capacity=capacity, **({"node": node} if node else {}))
        return Registration(
            plain["store"],
            plain["blobs"],
            int(plain["log_limit"]),
            float(plain["heartbeat"]),
            int(plain.get("claim_limit", 500)),
            int(plain.get("report_limit", 500)),
        )

    def heartbeat(self, capacity: Mapping[str, Any]) -> list[Key]:
        """Renew all leases; return the attempts to end. Raises `Conflict` if another process took the name."""
        plain = self._hear(self._post("heartbeat", capacity=capacity))
        self.looked = tuple(_keys(plain.get("looked") or ()))
        return _keys(plain["stops"])

    def claim(self, offer: Shape, limit: int, grouping: Grouping | None = None, lease: str = "") -> list[Claim]:
        """Lease tasks that fit `offer` for up to `limit` places; with `grouping`, short ones in series.

        `lease` is the key they get, another one for each claim; "": one that the server makes up.
        """
        asked: dict[str, Any] = {"lease": lease} if lease else {}
        return _claims(
            self._hear(self._post("claim", offer=offer.to_plain(), limit=limit, **asked, **_in_series(grouping)))
        )

    def unheard(self, keys: Sequence[Key], offer: Shape, limit: int, grouping: Grouping | None = None) -> list[Claim]:
        """Return what was leased by claims whose answers were lost, as they would tell it now.

        What is missing, and what is beyond `limit` places, is to be given back.
        """
        tasks = [{"address": address, "lease": lease} for address, lease in keys]
        return _claims(self._post("unheard", offer=offer.to_plain(), limit=limit, tasks=tasks, **_in_series(grouping)))

    def _hear(self, plain: Any) -> Any:
        """Take note of the nodes that are not fine, of which claims and heartbeats tell."""
        told = plain.get("nodes") or {}
        self.drained, self.probed = tuple(told.get("drained", ())), tuple(told.get("probed", ()))
        return plain

    def report(self, started: Sequence[Begun], ended: Sequence[Outcome]) -> list[Key]:
        """Say what began and what ended; return those whose lease is no longer good. May be repeated."""
        return _keys(self._post("report", started=list(started), ended=list(ended))["stale"])

    def logs(self, parts: Sequence[Part], finished: Sequence[str]) -> None:
        """Send bytes of logs; the logs of the attempts `finished` are complete. May be repeated."""
        plain = [
            {
                "address": part.address,
                "lease": part.lease,
                "stream": part.stream,
                "offset": part.offset,
                "data": b64encode(part.data).decode("ascii"),
            }
            for part in parts
        ]
        self._post("logs", parts=plain, finished=list(finished))

    def scripts(self, text: str, keys: Sequence[Key]) -> None:
        """Show what was submitted for attempts. May be repeated."""
        tasks = [{"address": address, "lease": lease} for address, lease in keys]
        self._post("scripts", scripts=[{"text": text, "tasks": tasks}])

    def leases(self) -> Iterator[Key]:
        """Yield what the server believes this engine has."""
        after: Any = None
        while True:
            page = self._post("leases", after=after)
            yield from _keys(page["leases"])
            after = page["next"]
            if after is None:
                return

    def give_back(self, keys: Sequence[Key], reason: str, unbegun: bool = False) -> None:
        """Give back attempts that vanished or, `unbegun`, whose turn never came; they are ready again, free of charge."""
        tasks = [{"address": address, "lease": lease} for address, lease in keys]
        self._post("return", tasks=tasks, reason=reason, **({"unbegun": True} if unbegun else {}))

    def leave(self) -> bool:
        """Say that this process ends; tell whether its name is free at once, because it holds nothing."""
        return bool(self._post("leave")["free"])

    def recipe(self, digest: str) -> Mapping[str, Any]:
        """Return a plan by its content hash."""
        plan: Mapping[str, Any] = self._to.get(f"{API}/recipes/{digest}")["plan"]
        return plan


def _in_series(grouping: Grouping | None) -> dict[str, Any]:
    return {"series": grouping.to_plain()} if grouping and grouping.target else {}


def _claims(plain: Mapping[str, Any]) -> list[Claim]:
    together = list(_shapes(plain.get("series") or ()))
    return [_claim(*pair, together) for pair in zip(plain["tasks"], _shapes(plain["tasks"]), strict=True)]


def _shapes(items: Iterable[Mapping[str, Any]]) -> Iterator[Shape]:
    """Yield the shape of each item; those in a row are mostly equal, and then are one."""
    last, shape = None, Shape()
    for item in items:
        if item["shape"] != last:
            last, shape = item["shape"], Shape.from_plain(item["shape"])
        yield shape


def _claim(item: Mapping[str, Any], shape: Shape, together: Sequence[Shape]) -> Claim:
    series = item.get("series")
    return Claim(
        item["address"],
        item["lease"],
        item["recipe"],
        shape,
        tuple(item.get("inputs") or ()),
        int(item.get("jobs") or 0),
        tuple(item.get("avoid") or ()),
        item.get("checkpoint"),
        series,
        None if series is None else together[series],
        str(item.get("owner") or ""),
        str(item.get("group") or ""),
    )


def _keys(plain: Sequence[Mapping[str, Any]]) -> list[Key]:
    return [(item["address"], item["lease"]) for item in plain]
