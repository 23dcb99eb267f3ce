"""Read model of one's work: datasets as rows with progress, pace, losses and last error, and what a person must decide.

A page costs a fixed number of statements, whatever is on it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from nunatak.core.clock import iso
from nunatak.core.errors import Invalid
from nunatak.core.states import Derived
from nunatak.db.statement import Row
from nunatak.tasks.context import Contexts
from nunatak.tasks.health.badput import Key, Spent
from nunatak.tasks.health.events import Cause
from nunatak.tasks.learning.evidence import Evidence
from nunatak.tasks.lessons import seen_in
from nunatak.tasks.looking import overview_store as store
from nunatak.tasks.looking.forecasts import Forecasts, Pace, per_hour
from nunatak.tasks.looking.look import ZERO, head
from nunatak.tasks.looking.spent import lost
from nunatak.tasks.sharing.usage import Decay, Usage
from nunatak.tasks.verdicts.catalogue import CATALOGUE
from nunatak.tasks.verdicts.kinds import Kind

Plain = dict[str, Any]
Ids = list[tuple[int]]

ORDERS = tuple(store.PAGE)
NEEDS = "needs"
"""As a state: of which something waits for a person."""
FILTERS = (*Derived, NEEDS)
MOST_NEEDY = 8


@dataclass(frozen=True, slots=True)
class Wish:
    """Which datasets to show; "" leaves a filter out. `text` is a number or a part of a name, `after` a page's `next`."""

    text: str = ""
    state: str = ""
    owner: str = ""
    team: str = ""
    sort: str = "newest"
    after: str = ""
    limit: int = 50


def rows(tx: Connection, contexts: Contexts, forecasts: Forecasts, wish: Wish, now: float) -> Plain:
    """Return a page of datasets as `items`, and `next`. Raises `Invalid` for a filter or order that is not there."""
    order = _order(wish)
    statement = store.BY_NAME if order == "name" and wish.state != NEEDS else store.PAGE[order]
    found = statement(tx, **_values(wish))
    page = found[: wish.limit]
    items = _filled(tx, contexts, forecasts, page, now) if page else []
    return {"items": items, "next": _mark(wish, page[-1]) if len(found) > wish.limit else None}


def _order(wish: Wish) -> str:
    if wish.sort not in ORDERS:
        raise Invalid(f"{wish.sort!r} is no order", code="bad-order", hint=f"one of {', '.join(ORDERS)}")
    if wish.state and wish.state not in FILTERS:
        raise Invalid(f"{wish.state!r} is no state", code="bad-state", hint=f"one of {', '.join(FILTERS)}")
    return wish.sort


def _values(wish: Wish) -> Plain:
    after, _, key = wish.after.partition(":")
    if wish.after and not (after.isascii() and after.isdigit() and len(after) < 10):
        raise Invalid(f"{wish.after!r} is not a page", code="bad-page", hint="give what the page before called `next`")
    number = int(wish.text) if wish.text.isascii() and wish.text.isdigit() and len(wish.text) < 10 else 0
    text = "" if number else wish.text.lower().replace("%", "").replace("_", "")
    return {
        "owner": wish.owner, "team": wish.team, "number": number, "name": f"%{text}%" if text else "",
        "state": "" if wish.state == NEEDS else wish.state, "needy": int(wish.state == NEEDS),
        "begin": int(not wish.after), "key": _key(wish, key), "after": int(after or 0), "n": wish.limit + 1,
    }  # fmt: skip


def _key(wish: Wish, text: str) -> str | int | None:
    if not wish.after:
        return None
    if wish.sort == "name":
        return text
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid(f"{wish.after!r} is not a page", code="bad-page", hint="give what the page before called `next`")
    return int(text)


def _mark(wish: Wish, row: Row) -> str:
    keys = {"name": row.name, "jobs": row.total, "needs": row.failed + row.held_jobs}
    return f"{row.dataset}:{keys.get(wish.sort, row.dataset)}"


def _filled(tx: Connection, contexts: Contexts, forecasts: Forecasts, page: Sequence[Row], now: float) -> list[Plain]:
    v: Ids = [(row.dataset,) for row in page]
    counts = _counts(tx, v)
    busy = [(row.dataset,) for row in page if any(of["running"] for of in counts[row.dataset].values())]
    paces = _paces(tx, contexts, busy, counts)
    etas = forecasts.of(list(paces.values()), now)
    spent, errors = _spent(tx, v), {row.dataset: _error(row) for row in store.LATEST_ERROR(tx, v=v)}
    return [
        {
            **head(row, _sum(counts[row.dataset])),
            "rate": per_hour(paces[row.dataset]) if row.dataset in paces else None,
            "eta": etas.get(row.dataset),
            "lost": lost(spent[row.dataset]),
            "error": errors.get(row.dataset),
        }
        for row in page
    ]


def _counts(tx: Connection, v: Ids) -> Mapping[int, dict[int, dict[str, int]]]:
    """Return counts by state of each task of each dataset."""
    found: dict[int, dict[int, dict[str, int]]] = defaultdict(dict)
    for dataset, task, *of in store.COUNTS(tx, v=v):
        counts = [int(n) for n in of]
        found[dataset][task] = dict(zip(ZERO, (sum(counts), *counts), strict=True))
    return found


def _sum(of: Mapping[int, Mapping[str, int]]) -> dict[str, int]:
    columns = zip(*(counts.values() for counts in of.values()), strict=True)
    return dict(zip(ZERO, map(sum, columns), strict=True)) if of else dict(ZERO)


def _paces(
    tx: Connection, contexts: Contexts, v: Ids, counts: Mapping[int, Mapping[int, Mapping[str, int]]]
) -> dict[int, Pace]:
    """Return what is known of the datasets that have something running."""
    seen: dict[int, dict[int, Evidence]] = defaultdict(dict)
    for row in store.EVIDENCE(tx, v=v) if v else ():
        seen[row.dataset][row.task] = seen_in(row.evidence)
    found = {}
    for dataset, context in (contexts.of(tx, [dataset for (dataset,) in v]) if v else {}).items():
        of = counts[dataset]
        by_name = {task.name: of.get(number, ZERO) for number, task in enumerate(context.plan.tasks)}
        found[dataset] = Pace(context, by_name, seen[dataset])
    return found


def _spent(tx: Connection, v: Ids) -> Mapping[int, dict[Key, Spent]]:
    found: dict[int, dict[Key, Spent]] = defaultdict(dict)
    for row in store.SPENT(tx, v=v):
        cause = Cause(row.cause)
        found[row.dataset][Key(row.dataset, "", cause)] = Spent(row.wall, row.cpu, row.attempts)
    return found


def _error(row: Row) -> Plain:
    entry = CATALOGUE[Kind(row.kind)]
    return {
        "id": entry.id,
        "title": entry.title,
        "signature": row.signature,
        "pattern": row.pattern,
        "tasks": row.tasks,
        "attempts": row.attempts,
        "last": iso(row.last_at),
        "message": row.message,
        "advice": row.advice,
    }


def needs_you(tx: Connection, owner: str) -> list[Plain]:
    """Return the newest datasets of somebody ("" of all) of which something waits for a person, each with why and what helps."""
    found = store.NEEDY(tx, owner=owner, n=MOST_NEEDY)
    if not found:
        return []
    v: Ids = [(row.dataset,) for row in found]
    counts = _counts(tx, v)
    errors = {row.dataset: _error(row) for row in store.LARGEST_ERROR(tx, v=v)}
    return [{**head(row, _sum(counts[row.dataset])), "error": errors.get(row.dataset)} for row in found]


def use_of(tx: Connection, owner: str, decay: Decay, now: float) -> Plain:
    """Return what somebody used (hours occupied), lost of it, what fair share still counts, what is under way, and the caps."""
    lines = store.USED_BY(tx, owner=owner)
    counts = [decay.now(Usage(row.era, row.core, row.gpu), now) for row in lines]
    wall, gone = (sum(row.wall for row in lines if row.cause in which) for which in (list(Cause), _LOSSES))
    busy = store.BUSY_BY(tx, owner=owner)[0]
    caps = sorted(store.SHARES_OF(tx, name=owner), key=lambda row: bool(row.name))
    return {
        "owner": owner,
        "core_hours": sum(row.core_hours for row in lines),
        "gpu_hours": sum(row.gpu_hours for row in lines),
        "lost_share": gone / wall if wall else 0.0,
        "counts_core": sum(count.core for count in counts),
        "counts_gpu": sum(count.gpu for count in counts),
        "half_life": decay.half_life,
        "queued": int(busy.queued),
        "running": int(busy.running),
        "most_running": next((row.running for row in reversed(caps) if row.running is not None), None),
        "weight": next((row.weight for row in caps if row.name and row.weight is not None), 1.0),
    }


_LOSSES = [cause for cause in Cause if cause is not Cause.OK]


def any_dataset(tx: Connection) -> bool:
    """Tell whether there is any dataset at all, of whomever."""
    return bool(store.EXISTS(tx))
