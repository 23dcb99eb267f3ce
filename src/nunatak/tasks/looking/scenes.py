"""Scenes, kept for a moment where they are large: all who ask why something waits share one look at who wants what."""

from __future__ import annotations

from sqlalchemy import Connection

from nunatak.tasks.choosing import Rules
from nunatak.tasks.context import Contexts
from nunatak.tasks.looking import waiting
from nunatak.tasks.looking.waiting import Scene

FEW = 50
"""Rows of demand up to which a scene is read whenever somebody asks."""
AGE = 2.0
"""Seconds for which a larger one holds: of so many, none moves far meanwhile."""


def scene_for(tx: Connection, contexts: Contexts, dataset: int, rules: Rules, now: float) -> Scene:
    """Return the scene in which a dataset with ready tasks stands, as of a moment ago where many want something."""

    def read(tx: Connection) -> tuple[Scene, float]:
        found = waiting.scene(tx, contexts, rules, now)
        return found, AGE if len(found.wants.demand) > FEW else 0.0

    what = ("scene", rules)
    found = contexts.kept.of(what, read, tx, now)
    if dataset in found.positions.paths:
        return found
    return contexts.kept.anew(what, read, tx, now)  # it wants something only since
