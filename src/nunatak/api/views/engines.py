"""The forms of what the server answers an engine host."""

from __future__ import annotations

from typing import Any

from nunatak.api.views.answers import View


class LeaseView(View):
    """An attempt and its lease key."""

    address: str
    lease: str


class Registered(View):
    """What an engine host has to know."""

    engine: int
    lease_until: str
    store: str
    blobs: str
    log_limit: int
    heartbeat: float


class NodesView(View):
    """Nodes of the engine's site that get nothing new, and those that get one attempt at a time."""

    drained: list[str]
    probed: list[str]


class Beat(View):
    """Until when the engine's leases hold, and which attempts it has to end; `nodes` where some are not fine.

    `looked` are attempts of it whose logs somebody reads now: it sends what there is of those first.
    """

    lease_until: str
    stops: list[LeaseView]
    looked: list[LeaseView] = []
    nodes: NodesView = NodesView(drained=[], probed=[])


class ClaimedTask(LeaseView):
    """A task leased to the engine; `jobs` is how many jobs its dataset has by now, `avoid` names nodes not to try it on."""

    recipe: str
    shape: dict[str, Any]
    jobs: int
    inputs: list[dict[str, Any]]
    avoid: list[str] = []
    checkpoint: dict[str, Any] | None = None  # what an earlier attempt kept: url, size, sha256
    series: int | None = None
    owner: str = ""
    group: str = ""


class SeriesView(View):
    """Tasks that run one after the other in one place, and the shape of that place."""

    shape: dict[str, Any]


class Claims(View):
    """Tasks leased to the engine; `nodes` where some are not fine."""

    tasks: list[ClaimedTask]
    series: list[SeriesView] = []
    nodes: NodesView = NodesView(drained=[], probed=[])


class Receipt(View):
    """How many reports were taken, and which came with a key that is not open."""

    taken: int
    stale: list[LeaseView]


class Taken(View):
    """How many were taken."""

    taken: int


class Left(View):
    """Whether the name of the engine is free for another process at once."""

    free: bool


class HeldLease(LeaseView):
    """An attempt that the server believes the engine has."""

    state: str


class Leases(View):
    """What the server believes the engine holds."""

    leases: list[HeldLease]
    next: str | None
