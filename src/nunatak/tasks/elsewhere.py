"""Where the next try of a task should not be made: kept with the task from the end of one attempt to the next."""

from __future__ import annotations

import json

from nunatak.core.work import Shape
from nunatak.tasks.judging import Pool
from nunatak.tasks.sharing.fits import Offer, fits
from nunatak.tasks.verdicts.kinds import Action
from nunatak.tasks.verdicts.model import Verdict

PATIENCE = 600.0
"""Seconds for which a task that could be tried waits for another place than those where it failed."""


def avoid_text(verdict: Verdict, pool: Pool, shape: Shape) -> str | None:
    """Return what is kept of where not to try again; None if there is no other place that could take the shape."""
    nodes, sites = verdict.avoid
    if verdict.action is not Action.ELSEWHERE or not (nodes or sites):
        return None
    other = any(
        place.site not in sites
        and not (place.node and place.node in nodes)
        and fits(shape, Offer(place.shape, place.site))
        for place in pool.places
    )
    return json.dumps({"nodes": nodes, "sites": sites}) if other else None


def nodes_of(text: str | None) -> tuple[str, ...]:
    """Return the nodes on which a task should not be tried."""
    return tuple(json.loads(text)["nodes"]) if text else ()


def patterns(site: str, node: str) -> tuple[str, str]:
    """Return LIKE patterns of texts that speak against a node, and against a site; "" matches none."""
    return _pattern('%"nodes": [', node, ']%"sites": %') if node else "", _pattern('%"sites": [', site, "]%")


def _pattern(before: str, name: str, after: str) -> str:
    plain = json.dumps(name).replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f"{before}%{plain}%{after}"
