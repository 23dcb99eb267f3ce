"""How much was spent on each day: a loop looks now and then at how far the sums of unfinished datasets have come since."""

from __future__ import annotations

from nunatak.db.database import Database
from nunatak.db.statement import Statement

DAY = 86_400.0
LAST = Statement("SELECT MAX(day) AS day FROM use_by_day")
NEWS = Statement(
    "SELECT s.dataset, s.site, s.cause, s.attempts - COALESCE(b.attempts, 0) AS attempts,"
    " s.wall - COALESCE(b.wall, 0) AS wall, s.cpu - COALESCE(b.cpu, 0) AS cpu,"
    " s.core_hours - COALESCE(b.core_hours, 0) AS core_hours, s.gpu_hours - COALESCE(b.gpu_hours, 0) AS gpu_hours"
    " FROM datasets d JOIN spent s ON s.dataset = d.dataset"
    " LEFT JOIN (SELECT u.dataset, u.site, u.cause, SUM(u.attempts) AS attempts, SUM(u.wall) AS wall, SUM(u.cpu) AS cpu,"
    " SUM(u.core_hours) AS core_hours, SUM(u.gpu_hours) AS gpu_hours"
    " FROM datasets d JOIN use_by_day u ON u.dataset = d.dataset WHERE (d.ended IS NULL OR d.ended >= :since)"
    " AND u.day < :day GROUP BY u.dataset, u.site, u.cause) b"
    " ON b.dataset = s.dataset AND b.site = s.site AND b.cause = s.cause"
    " LEFT JOIN use_by_day n ON n.day = :day AND n.dataset = s.dataset AND n.site = s.site AND n.cause = s.cause"
    " WHERE (d.ended IS NULL OR d.ended >= :since) AND s.attempts > COALESCE(b.attempts, 0)"
    " AND s.attempts - COALESCE(b.attempts, 0) <> COALESCE(n.attempts, 0)"
    " ORDER BY s.dataset, s.site, s.cause"
)
"""What came since the days before is that of this day, where something else is noted of it."""
NOTE = Statement(
    "INSERT INTO use_by_day (day, dataset, site, cause, attempts, wall, cpu, core_hours, gpu_hours)"
    " SELECT :day, v.dataset, v.site, v.cause, v.attempts, v.wall, v.cpu, v.core_hours, v.gpu_hours FROM {v} WHERE true"
    " ON CONFLICT (day, dataset, site, cause) DO UPDATE SET attempts = excluded.attempts, wall = excluded.wall,"
    " cpu = excluded.cpu, core_hours = excluded.core_hours, gpu_hours = excluded.gpu_hours",
    v="dataset int, site text, cause text, attempts int, wall real, cpu real, core_hours real, gpu_hours real",
)


def day_of(now: float) -> int:
    """Return the number of a day (UTC) since the epoch."""
    return int(now // DAY)


def tick(database: Database, now: float) -> bool:
    """Write down what was spent today, whatever was written of it before; nothing is written while nothing was spent.

    A dataset of which nothing is left to do spends nothing: those that were done before the last note are not looked at.
    """
    with database.read() as tx:
        last = LAST(tx)[0].day or 0
        news = NEWS(tx, day=day_of(now), since=max(0.0, (last - 1) * DAY))
    if news:
        database.run(lambda tx: NOTE(tx, v=news, day=day_of(now)))
    return False
