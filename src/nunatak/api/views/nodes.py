"""The forms of answers about nodes."""

from __future__ import annotations

from nunatak.api.views.answers import View


class NodeView(View):
    """How a node, or a feature at a site, stands; `attempts` and `faults` of late.

    `speed` is that of one core against a reference, the median of the latest measurements; null if nobody measured it.
    """

    kind: str
    name: str
    site: str
    health: str
    since: str | None
    until: str | None
    by: str
    reason: str
    sentence: str
    move: str
    attempts: int
    faults: int
    speed: float | None
    seen: str


class NodePage(View):
    """Nodes, and a sentence on those that stand out and still get work ("" if there are none)."""

    items: list[NodeView]
    next: str | None
    spared: str
