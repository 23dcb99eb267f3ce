"""What lies ahead of a dataset, in words: tasks that are too long for where they run, then when it will be done.

A forecast of hours may be some seconds old: all who look at a large dataset share one.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from nunatak.db.statement import Row
from nunatak.tasks import lasting, lessons, offers
from nunatak.tasks.choosing import Rules
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.looking.outlook import Outlook, outlook

LARGE = 1000
"""Tasks that are left of a dataset from which on what is said of it is kept."""
PART = 0.01
"""For how long a forecast holds, as a part of what it says."""
MOST = 5.0
"""Seconds for which one holds at most, however far it reaches."""


def ahead(
    tx: Connection,
    contexts: Contexts,
    context: Context,
    plain: Mapping[str, Any],
    engines: Sequence[Row] | None,
    rules: Rules,
    now: float,
) -> tuple[str, ...]:
    """Return what lies ahead, given a dataset's status and, if they were read already, the engines that are alive."""

    def read(tx: Connection) -> tuple[tuple[str, ...], float]:
        evidence = lessons.evidence_of(tx, context.dataset)
        places = lasting.places(tx, offers.alive(tx, now) if engines is None else engines)
        found = outlook(tx, contexts, context, plain, rules, now, evidence)
        words = (*(item.text for item in lasting.of_evidence(context, evidence, places)), found.text)
        # What others come to is not in its own counts.
        return words, 0.0 if context.plan.follows else holds(plain, found)

    return contexts.kept.of(("ahead", context.dataset, rules), read, tx, now, _standing(plain))


def holds(plain: Mapping[str, Any], found: Outlook) -> float:
    """Return for how many seconds a forecast of a dataset with this status holds; 0.0 if it is not to be kept. Pure."""
    counts = plain["tasks"]
    left = sum(counts[state] for state in ("waiting", "ready", "queued", "running"))
    if found.eta is None or left < LARGE:
        return 0.0
    return min(MOST, PART * found.eta.middle)


def _standing(plain: Mapping[str, Any]) -> Hashable:
    """Return what people change, or have to: with it a forecast changes at once. What goes on by itself is left out."""
    by_task = tuple((of["failed"], of["held"], of["total"], of["running"] > 0) for of in plain["per_task"].values())
    return plain["state"], plain["held"], plain["closed"], by_task
