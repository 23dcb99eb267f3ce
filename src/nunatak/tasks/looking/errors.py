"""What went wrong, equal failures together: the read model of `nunatak errors`."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

from sqlalchemy import Connection

from nunatak.core.address import Address
from nunatak.core.clock import iso
from nunatak.db.statement import Row
from nunatak.tasks import store
from nunatak.tasks.context import Context
from nunatak.tasks.looking import look_store
from nunatak.tasks.looking.look import Plain, locate, name_of
from nunatak.tasks.verdicts.advice import general
from nunatak.tasks.verdicts.catalogue import CATALOGUE
from nunatak.tasks.verdicts.kinds import Kind
from nunatak.tasks.verdicts.treatments import TREATMENTS

MOST = 200
"""Groups that are shown."""


def largest(tx: Connection, context: Context, most: int) -> tuple[list[Plain], int]:
    """Return the largest groups of failures of a dataset, at most `most`, and how many there are."""
    rows = store.GROUPS(tx, dataset=context.dataset, n=most)
    n = len(rows) if len(rows) < most else int(store.COUNT_GROUPS(tx, dataset=context.dataset)[0].n)
    return [_kept(context, row) for row in rows], n


def errors(tx: Connection, context: Context, address: Address) -> list[Plain]:
    """Return the groups of failures below an address, the largest first, each with how often, where, since when and advice.

    Those of a dataset are kept as they come and cost nothing to count; those of a job or task are counted here.
    """
    if address.level == "dataset":
        return [_kept(context, row) for row in store.GROUPS(tx, dataset=context.dataset, n=MOST)]
    if address.task is None:
        rows = look_store.JOB_ATTEMPTS(tx, dataset=context.dataset, job=address.job)
    else:
        job, task = locate(context, address)
        rows = look_store.ATTEMPTS(tx, dataset=context.dataset, job=job, task=task)
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.signature:
            groups[row.signature].append(row)
    found = [_counted(context, of) for of in groups.values()]
    return sorted(found, key=lambda group: (-group["count"], group["signature"]))[:MOST]


def _kept(context: Context, row: Row) -> Plain:
    return _group(
        context,
        row,
        kind=row.kind,
        count=row.attempts,
        tasks=row.tasks,
        message=row.message,
        pattern=row.pattern,
        advice=row.advice,
        first=row.first_at,
        last=row.last_at,
        sites=_names(json.loads(row.sites)),
        nodes=_names(json.loads(row.nodes)),
    )


def _counted(context: Context, rows: list[Row]) -> Plain:
    latest, kind = rows[-1], Kind(rows[-1].verdict)
    example = name_of(context, latest.job, latest.task, latest.attempt)
    return _group(
        context,
        latest,
        kind=kind,
        count=len(rows),
        tasks=len({(row.job, row.task) for row in rows}),
        message=latest.message,
        pattern=latest.message,
        advice=general(kind, example),
        first=min(row.ended for row in rows),
        last=max(row.ended for row in rows),
        sites=_names({"counts": Counter(row.site for row in rows if row.site)}),
        nodes=_names({"counts": Counter(row.host for row in rows if row.host)}),
    )


def _names(plain: dict[str, Any]) -> Plain:
    """Return names with counts, the most frequent first; `more`: there were others that are not counted."""
    counts = sorted(plain["counts"].items(), key=lambda item: (-item[1], item[0]))
    return {"counts": dict(counts), "more": bool(plain.get("more"))}


def _group(context: Context, row: Row, *, kind: str, **more: Any) -> Plain:
    """Return one group; `row` has the example's place, signature and lines."""
    return {
        "id": CATALOGUE[Kind(kind)].id,
        "kind": str(kind),
        "title": CATALOGUE[Kind(kind)].title,
        "signature": row.signature,
        **more,
        "first": iso(more["first"]),
        "last": iso(more["last"]),
        "example": name_of(context, row.job, row.task, row.attempt),
        "whose": str(TREATMENTS[Kind(kind)].whose),
        "lines": json.loads(row.lines or "[]"),
    }
