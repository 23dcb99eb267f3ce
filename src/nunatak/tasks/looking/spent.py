"""Read models of time spent: what one dataset lost, and who or what used how much."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from nunatak.core.errors import Invalid
from nunatak.db.statement import Row, Statement
from nunatak.tasks.health.badput import LOST_TO, Account, Key, Spent, causes, loss
from nunatak.tasks.health.events import Cause
from nunatak.tasks.health.words import badput_sentence
from nunatak.tasks.sharing.usage import Decay, Usage

OF_DATASET = Statement(
    "SELECT dataset, site, cause, attempts, wall, cpu FROM spent WHERE dataset = :dataset ORDER BY site, cause"
)
_BY: Mapping[str, str] = {
    "user": "d.owner",
    "group": "d.team",
    "dataset": "CAST(s.dataset AS VARCHAR(16))",
    "site": "s.site",
    "cause": "s.cause",
}
TIMES: Mapping[str, int] = {"day": 31, "month": 366}
"""Use over time, and how many days are told of where nobody says since when."""
BY = (*_BY, *TIMES)
"""What use is told apart by."""
_USAGE = (
    "SELECT BY_COLUMN AS name, s.cause, s.era, SUM(s.attempts) AS attempts, SUM(s.wall) AS wall, SUM(s.cpu) AS cpu,"
    " SUM(s.core_hours) AS core_hours, SUM(s.gpu_hours) AS gpu_hours, SUM(s.core) AS core, SUM(s.gpu) AS gpu"
    " FROM spent s JOIN datasets d ON d.dataset = s.dataset GROUP BY BY_COLUMN, s.cause, s.era ORDER BY 1, 2, 3"
)
USAGE = {by: Statement(_USAGE.replace("BY_COLUMN", column)) for by, column in _BY.items()}
_OF_DAYS = (
    "SELECT BY_COLUMN AS name, s.cause, 0 AS era, SUM(s.attempts) AS attempts, SUM(s.wall) AS wall, SUM(s.cpu) AS cpu,"
    " SUM(s.core_hours) AS core_hours, SUM(s.gpu_hours) AS gpu_hours, 0 AS core, 0 AS gpu"
    " FROM use_by_day s JOIN datasets d ON d.dataset = s.dataset WHERE s.day >= :first AND s.day <= :last"
    " GROUP BY BY_COLUMN, s.cause ORDER BY 1, 2"
)
OF_DAYS = {
    by: Statement(_OF_DAYS.replace("BY_COLUMN", column))
    for by, column in {**_BY, **dict.fromkeys(TIMES, "s.day")}.items()
}


def of_dataset(tx: Connection, dataset: int) -> Account:
    """Return what a dataset spent, by site and cause."""
    return {
        Key(row.dataset, row.site, Cause(row.cause)): Spent(row.wall, row.cpu, row.attempts)
        for row in OF_DATASET(tx, dataset=dataset)
    }


def lost(account: Account) -> dict[str, Any]:
    """Return what was spent and lost as a status shows it; seconds of wall clock."""
    found = loss(account)
    return {
        "spent": found.spent.wall,
        "lost": found.lost.wall,
        "share": found.share,
        "attempts": found.lost.attempts,
        "causes": {str(cause): spent.wall for cause, spent in causes(account).items()},
        "text": badput_sentence(account),
    }


EPOCH = date(1970, 1, 1)
NOT_COUNTED = {"counts_core": None, "counts_gpu": None}


@dataclass(slots=True)
class _Line:
    attempts: int = 0
    wall: float = 0.0
    cpu: float = 0.0
    core_hours: float = 0.0
    gpu_hours: float = 0.0
    lost_core_hours: float = 0.0
    lost_wall: float = 0.0
    counts_core: float = 0.0
    counts_gpu: float = 0.0

    def add(self, row: Row, part: float) -> None:
        """Add a row, of whose core and GPU hours a part still counts."""
        _, cause, _, attempts, wall, cpu, core_hours, gpu_hours, core, gpu = row
        self.attempts += attempts
        self.wall += wall
        self.cpu += cpu
        self.core_hours += core_hours
        self.gpu_hours += gpu_hours
        if cause != Cause.OK:
            self.lost_core_hours += core_hours
            self.lost_wall += wall
        self.counts_core += core * part
        self.counts_gpu += gpu * part


@dataclass(frozen=True, slots=True)
class Days:
    """The days (UTC) of which use is told, both included."""

    first: date
    last: date


def days_asked(by: str, since: date | None, until: date | None, now: float) -> Days | None:
    """Return the days that are asked for; None: all there ever was. Raises `Invalid` for days that are none. Pure."""
    if since is None and until is None and by not in TIMES:
        return None
    last = until or datetime.fromtimestamp(now, UTC).date()
    first = since or (last - timedelta(TIMES[by] - 1) if by in TIMES else EPOCH)
    if first > last:
        raise Invalid(f"{first} is after {last}", code="bad-days", hint="since is the first day, until the last")
    return Days(first, last)


def usage(
    tx: Connection, by: str, decay: Decay, now: float, limit: int, days: Days | None = None
) -> list[dict[str, Any]]:
    """Return who or what used most, at most `limit` lines: hours that were occupied, what was lost of them, what counts.

    `counts_*` is what fair share still holds against them, None where only some days are told of (as `days_asked` says);
    days and months come the latest first. Raises `Invalid` for what use is not told apart by.
    """
    if by not in BY:
        raise Invalid(f"use is not kept by {by!r}", code="bad-by", hint=f"one of {', '.join(BY)}")
    lines: dict[str, _Line] = defaultdict(_Line)
    parts: dict[int, float] = {}
    if days:
        first, last = ((day - EPOCH).days for day in (days.first, days.last))
        rows = OF_DAYS[by](tx, first=max(first, 1), last=last)
    else:
        rows = USAGE[by](tx)
    for row in rows:
        if row.era not in parts:
            parts[row.era] = decay.now(Usage(row.era, 1.0), now).core
        lines[_name(by, row.name)].add(row, parts[row.era])
    whole = sum(line.core_hours for line in lines.values())
    most = sorted(lines.items(), key=lambda item: (-item[1].core_hours, -item[1].attempts, item[0]))
    if by in TIMES:
        most = sorted(lines.items(), reverse=True)
    return [{**_plain(by, name, line, whole), **(NOT_COUNTED if days else {})} for name, line in most[:limit]]


def _name(by: str, name: str | int) -> str:
    if by not in TIMES:
        return str(name)
    return (EPOCH + timedelta(int(name))).strftime("%Y-%m-%d" if by == "day" else "%Y-%m")


def _plain(by: str, name: str, line: _Line, whole: float) -> dict[str, Any]:
    words = LOST_TO.get(Cause(name), "attempts that went well") if by == "cause" else name
    return {
        "name": name,
        "words": words,
        **{key: getattr(line, key) for key in _Line.__slots__},
        "share": line.core_hours / whole if whole else 0.0,
        "lost_share": line.lost_wall / line.wall if line.wall else 0.0,
    }
