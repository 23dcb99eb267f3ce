"""SQL of the use of sites over time."""

from __future__ import annotations

from nunatak.db.statement import Statement

LAST = Statement("SELECT MAX(at) AS at FROM site_use")
ADD = Statement(
    "INSERT INTO site_use (site, at, cores, busy, gpus, gpus_busy)"
    " SELECT v.site, :now, v.cores, v.busy, v.gpus, v.gpus_busy FROM {v} WHERE true ON CONFLICT (site, at) DO NOTHING",
    v="site text, cores real, busy real, gpus real, gpus_busy real",
)
FORGET = Statement("DELETE FROM site_use WHERE at < :before")
POINTS = Statement("SELECT site, at, cores, busy, gpus, gpus_busy FROM site_use WHERE at >= :since ORDER BY site, at")
