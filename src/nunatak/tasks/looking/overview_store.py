"""SQL of the overview of many datasets: one statement for each kind of thing shown, however many rows are on the page."""

from __future__ import annotations

from nunatak.datasets.store import STATES
from nunatak.db.statement import Statement

_HEAD = "SELECT d.*, j.total, j.done, j.failed, j.held AS held_jobs FROM datasets d JOIN job_counts j ON j.dataset = d.dataset"
_NEEDY = "(j.failed > 0 OR j.held > 0 OR d.held)"
_OF_DATASETS = (
    " WHERE (:owner = '' OR d.owner = :owner) AND (:team = '' OR d.team = :team) AND (:number = 0 OR d.dataset = :number)"
    " AND (:name = '' OR lower(d.name) LIKE :name) AND (:state = '' OR d.state = :state)"
)
_WHERE = f"{_OF_DATASETS} AND (:needy = 0 OR {_NEEDY} AND d.state <> 'done')"
_ORDERS = {
    "newest": ("d.dataset", "DESC"),
    "oldest": ("d.dataset", "ASC"),
    "name": ("d.name", "ASC"),
    "jobs": ("j.total", "DESC"),
    "needs": ("j.failed + j.held", "DESC"),
}


def _page(key: str, way: str) -> Statement:
    sign = ">" if way == "ASC" else "<"
    key_type = "VARCHAR(255)" if key == "d.name" else "INTEGER"
    return Statement(
        f"{_HEAD}{_WHERE} AND (:begin = 1 OR ({key}, d.dataset) {sign} (CAST(:key AS {key_type}), :after))"
        f" ORDER BY {key} {way}, d.dataset {way} LIMIT :n"
    )


PAGE = {name: _page(key, way) for name, (key, way) in _ORDERS.items()}
"""Datasets in each order; what comes after (`key`, `after`) unless `begin` is 1."""
BY_NAME = Statement(
    "SELECT d.*, j.total, j.done, j.failed, j.held AS held_jobs FROM (SELECT d.* FROM datasets d"
    f"{_OF_DATASETS} AND (:begin = 1 OR (d.name, d.dataset) > (CAST(:key AS VARCHAR(255)), :after))"
    " ORDER BY d.name, d.dataset LIMIT :n) d JOIN job_counts j ON j.dataset = d.dataset ORDER BY d.name, d.dataset"
)
"""The same by name, where nothing of their jobs matters: only what is shown is counted."""

_OF_STATE = f"SELECT * FROM ({_HEAD} WHERE d.state = '{{state}}' AND {_NEEDY} AND (:owner = '' OR d.owner = :owner)" + (
    " ORDER BY d.dataset DESC LIMIT :n) AS {state}_ones"
)
_STUCK = (
    "SELECT * FROM (SELECT DISTINCT d.*, j.total, j.done, j.failed, j.held AS held_jobs FROM follows f"
    " JOIN datasets o ON o.dataset = f.other AND (o.cancelled OR o.state IN ('failed', 'held'))"
    " JOIN datasets d ON d.dataset = f.dataset AND d.state = 'open' JOIN job_counts j ON j.dataset = d.dataset"
    f" WHERE f.opened IS NULL AND NOT {_NEEDY} AND (:owner = '' OR d.owner = :owner)"
    " ORDER BY d.dataset DESC LIMIT :n) AS stuck_ones"
)
NEEDY = Statement(
    " UNION ALL ".join([*(_OF_STATE.replace("{state}", state) for state in ("open", "failed", "held")), _STUCK])
    + " ORDER BY dataset DESC LIMIT :n"
)
"""Datasets of which something waits for a person, or that wait for another of which it does, the newest first."""

COUNTS = Statement(
    f"SELECT c.dataset, c.task, {', '.join(f'SUM(c.{state}) AS {state}' for state in STATES)}"
    " FROM {v} JOIN task_counts c ON c.dataset = v.dataset GROUP BY c.dataset, c.task ORDER BY c.dataset, c.task",
    v="dataset int",
)
EVIDENCE = Statement(
    "SELECT l.dataset, l.task, l.evidence FROM {v} JOIN lessons l ON l.dataset = v.dataset", v="dataset int"
)
SPENT = Statement(
    "SELECT s.dataset, s.cause, SUM(s.attempts) AS attempts, SUM(s.wall) AS wall, SUM(s.cpu) AS cpu"
    " FROM {v} JOIN spent s ON s.dataset = v.dataset GROUP BY s.dataset, s.cause",
    v="dataset int",
)
_GROUP = (
    "WITH w AS MATERIALIZED (SELECT v.dataset, (SELECT x.signature FROM error_groups x WHERE x.dataset = v.dataset"
    " ORDER BY x.{by} DESC, x.signature LIMIT 1) AS signature FROM {v}) SELECT g.dataset, g.signature, g.kind, g.pattern,"
    " g.tasks, g.attempts, g.last_at, g.message, g.advice FROM w JOIN error_groups g ON g.dataset = w.dataset"
    " AND g.signature = w.signature"
)
"""One group of each dataset: chosen once for each of them, whatever the database thinks of joining."""
LATEST_ERROR = Statement(_GROUP.replace("{by}", "last_at + 0"), v="dataset int")  # no index of all datasets serves here
LARGEST_ERROR = Statement(_GROUP.replace("{by}", "tasks"), v="dataset int")

USED_BY = Statement(
    "SELECT s.cause, s.era, SUM(s.wall) AS wall, SUM(s.core_hours) AS core_hours, SUM(s.gpu_hours) AS gpu_hours,"
    " SUM(s.core) AS core, SUM(s.gpu) AS gpu FROM datasets d JOIN spent s ON s.dataset = d.dataset"
    " WHERE d.owner = :owner GROUP BY s.cause, s.era"
)
BUSY_BY = Statement(
    "SELECT COALESCE(SUM(c.queued), 0) AS queued, COALESCE(SUM(c.running), 0) AS running FROM datasets d"
    " JOIN task_counts c ON c.dataset = d.dataset WHERE d.owner = :owner AND d.state IN ('open', 'held')"
)
SHARES_OF = Statement("SELECT name, weight, running, queued FROM shares WHERE kind = 'user' AND name IN ('', :name)")
EXISTS = Statement("SELECT dataset FROM datasets ORDER BY dataset DESC LIMIT 1")
