"""Tasks that are too long for where they run: how soon sites evict follows from what was kept; `learning.long` judges."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection

from nunatak.db.statement import Row, Statement
from nunatak.tasks import lessons, offers
from nunatak.tasks.context import Context, shape_for
from nunatak.tasks.learning.evidence import Evidence
from nunatak.tasks.learning.long import Place, TooLong, too_long

KNOWN = 5
"""Evictions at a site before its half-life is told: fewer say little."""
SITES = Statement(
    "SELECT site, SUM(wall) AS wall, SUM(CASE WHEN cause = 'free' THEN attempts ELSE 0 END) AS ends FROM spent GROUP BY site"
)


def half_life(wall: float, ends: int) -> float:
    """Return after how many seconds half of the attempts are evicted, at a constant rate; inf before enough is known.

    Time at risk over events is the maximum likelihood estimate of the mean of an exponential with censored ends.
    """
    return math.log(2) * wall / ends if ends >= KNOWN and wall > 0 else math.inf


def places(tx: Connection, engines: Iterable[Row]) -> list[Place]:
    """Return the sites of these engines: how soon they evict, and how long their longest engine lets an attempt run."""
    kept = {row.site: half_life(row.wall, int(row.ends)) for row in SITES(tx)}
    longest: dict[str, float] = {}
    for row in engines:
        time = float(offers.said(row.capacity).total.time)
        longest[row.site] = max(longest.get(row.site, 0.0), time)
    return [Place(site, kept.get(site, math.inf), time) for site, time in sorted(longest.items())]


def warnings(tx: Connection, context: Context, now: float) -> list[TooLong]:
    """Return the tasks of a dataset that are too long for every site there is, with what the kindest of them does to them."""
    return of_evidence(context, lessons.evidence_of(tx, context.dataset), places(tx, offers.alive(tx, now)))


def of_evidence(context: Context, evidence: Mapping[int, Evidence], sites: list[Place]) -> list[TooLong]:
    """Return which tasks are too long: pure, given what is known of them and of the sites."""
    found = []
    command = "" if context.graph.gathered else f"nunatak split {context.dataset}"  # what gathers must see all jobs
    for number, task in enumerate(context.plan.tasks):
        took = evidence.get(number, Evidence()).time.used
        asked = float(shape_for(context, number).time)
        splittable = context.plan.divisible(task)
        resumes = bool(task.checkpoint)
        at = [
            too_long(task.name, took, asked, place, splittable=splittable, checkpoint=resumes, command=command)
            for place in sites
        ]
        said = [item for item in at if item is not None]
        if said and len(said) == len(at):
            found.append(min(said, key=lambda item: (item.takes > item.place.longest, item.restarting)))
    return found
