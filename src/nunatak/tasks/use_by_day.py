"""How much was spent on each day: a loop looks now and then at how far the sums of unfinished datasets have come since."""

from __future__ import annotations

from sqlalchemy import Connection

from nunatak.db.statement import Statement

DAY = 86_400.0
LAST = Statement("SELECT MAX(day) AS day FROM use_by_day")
NOTE = Statement(
    "INSERT INTO use_by_day (day, dataset, site, cause, attempts, wall, cpu, core_hours, gpu_hours)"
    " SELECT :day, s.dataset, s.site, s.cause, s.attempts - COALESCE(b.attempts, 0), s.wall - COALESCE(b.wall, 0),"
    " s.cpu - COALESCE(b.cpu, 0), s.core_hours - COALESCE(b.core_hours, 0), s.gpu_hours - COALESCE(b.gpu_hours, 0)"
    " FROM datasets d JOIN spent s ON s.dataset = d.dataset"
    " LEFT JOIN (SELECT u.dataset, u.site, u.cause, SUM(u.attempts) AS attempts, SUM(u.wall) AS wall, SUM(u.cpu) AS cpu,"
    " SUM(u.core_hours) AS core_hours, SUM(u.gpu_hours) AS gpu_hours"
    " FROM datasets d JOIN use_by_day u ON u.dataset = d.dataset WHERE (d.ended IS NULL OR d.ended >= :since)"
    " AND u.day < :day GROUP BY u.dataset, u.site, u.cause) b"
    " ON b.dataset = s.dataset AND b.site = s.site AND b.cause = s.cause"
    " WHERE (d.ended IS NULL OR d.ended >= :since) AND s.attempts > COALESCE(b.attempts, 0)"
    " ORDER BY s.dataset, s.site, s.cause"
    " ON CONFLICT (day, dataset, site, cause) DO UPDATE SET attempts = excluded.attempts, wall = excluded.wall,"
    " cpu = excluded.cpu, core_hours = excluded.core_hours, gpu_hours = excluded.gpu_hours"
    " WHERE use_by_day.attempts <> excluded.attempts"
)
"""What came since the days before is that of this day, however often it is noted."""


def day_of(now: float) -> int:
    """Return the number of a day (UTC) since the epoch."""
    return int(now // DAY)


def note(tx: Connection, now: float) -> None:
    """Write down what was spent today; more of it later takes the place of what is written now.

    A dataset of which nothing is left to do spends nothing: those that were done before the last note are not looked at.
    """
    last = LAST(tx)[0].day or 0
    NOTE(tx, day=day_of(now), since=max(0.0, (last - 1) * DAY))
