"""Who gets no new work, remembered for a moment: every claim and heartbeat asks."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from nunatak.db.kept import Kept
from nunatak.tasks.standings import Excluded, excluded

AGE = 0.5
"""Seconds for which what was read holds."""
WHAT = "excluded"


def excluded_now(tx: Connection, kept: Kept, now: float) -> Excluded:
    """Return who gets no new work, as of a moment ago."""
    return kept.of(WHAT, lambda own: (excluded(own, now), AGE), tx, now, late=False)


def forget(kept: Kept) -> None:
    """Read anew the next time who gets no new work."""
    kept.forget(WHAT)


def nodes_plain(found: Excluded, site: str, node: str) -> dict[str, Any]:
    """Return what an engine with several nodes is told of them; nothing if all are fine."""
    drained, probed = found.drained.get(site, ()), found.probed.get(site, ())
    return {"nodes": {"drained": drained, "probed": probed}} if not node and (drained or probed) else {}
