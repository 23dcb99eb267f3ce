"""Usage: hours occupied and lost by user, group, dataset, site or cause; who gets the next places, and why; as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query
from pydantic import BeforeValidator
from starlette.responses import Response

from nunatak.api.requests import Have
from nunatak.api.usage import By
from nunatak.tasks import shares
from nunatak.tasks.choosing import stand, uses, wanted
from nunatak.tasks.looking import spent
from nunatak.tasks.looking.ranking import ranking
from nunatak.web.render import View
from nunatak.web.routing import Pages
from nunatak.web.words import amount

pages = Pages()

MOST = 100
MOST_CSV = 100_000
COLUMNS = (
    "name", "core_hours", "gpu_hours", "share", "lost_core_hours", "lost_share", "attempts", "wall", "cpu",
    "counts_core", "counts_gpu",
)  # fmt: skip
WORDS = {
    "user": "users", "group": "groups", "dataset": "datasets", "site": "sites", "cause": "causes",
    "day": "days", "month": "months",
}  # fmt: skip
DANGEROUS = ("=", "+", "-", "@", "\t", "\r")
"""What programs of spreadsheets take for the begin of a formula."""

Day = Annotated[date | None, BeforeValidator(lambda given: given or None)]  # a form sends what is left empty
Since = Annotated[Day, Query(description="the first day (UTC); without days, all there ever was")]
Until = Annotated[Day, Query(description="the last day; without one, today")]


@pages.page("/usage", name="page_usage", template="usage.html", live=True, shared=True, tools={"bys": WORDS})
def usage(services: Have, by: By = "user", since: Since = None, until: Until = None) -> View:
    """Show who or what used how much, what was lost of it, and who gets the next places."""
    now, rules = services.clock(), services.rules
    days = spent.days_asked(by, since, until, now)
    asked = {name: day.isoformat() for name, day in (("since", since), ("until", until)) if day}
    with services.database.read() as tx:
        items = spent.usage(tx, by, rules.decay, now, MOST + 1, days)
        used = uses(tx, services.contexts, rules, now)
        found = stand(tx, wanted(tx, services.contexts, rules, now), used, rules, now)
        said = shares.lines_of(tx, found, used)
    data: dict[str, Any] = {
        "by": by,
        "since": days and days.first.isoformat(),
        "until": days and days.last.isoformat(),
        "said": urlencode(asked),
        "items": items[:MOST],
        "more": len(items) > MOST,
        "most": max((item["core_hours"] for item in items), default=0.0),
        "shares": said,
        "places": ranking(found),
        "half_life": rules.decay.half_life,
    }
    options = "".join(f" --{name} {day}" for name, day in asked.items())
    return View(_title(by, items), data, cli=f"nunatak usage --by {by}{options}")


def _title(by: str, items: Sequence[Mapping[str, Any]]) -> str:
    whole = sum(item["core_hours"] for item in items)
    return f"{amount(whole)} core-hours by {by} \u00b7 Usage" if items else "Nothing used yet \u00b7 Usage"


@pages.get("/usage.csv", name="page_usage.csv")
def as_csv(services: Have, by: By = "user", since: Since = None, until: Until = None) -> Response:
    """Return the same as a file: hours, seconds of wall clock and processors, shares of one."""
    now = services.clock()
    days = spent.days_asked(by, since, until, now)
    with services.database.read() as tx:
        items = spent.usage(tx, by, services.rules.decay, now, MOST_CSV, days)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow((by, *COLUMNS[1:]))
    writer.writerows([_cell(item[name]) for name in COLUMNS] for item in items)
    headers = {"Content-Disposition": f'attachment; filename="usage-by-{by}.csv"', "X-Content-Type-Options": "nosniff"}
    return Response(text.getvalue().encode(), headers=headers, media_type="text/csv; charset=utf-8")


def _cell(value: Any) -> Any:
    """Return a value of a table: text that a spreadsheet would work out is marked as text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(DANGEROUS) else value
