"""SQL of the snapshot that a simulation of a live dataset starts from."""

from __future__ import annotations

from nunatak.db.statement import Statement

OTHERS = Statement(
    "SELECT d.dataset, d.owner, d.team, d.priority, c.task, c.shape,"
    " c.waiting + c.ready + c.queued + c.running AS unfinished FROM datasets d"
    " JOIN task_counts c ON c.dataset = d.dataset WHERE d.state = 'open' AND NOT d.held AND NOT d.cancelled"
    " AND d.dataset <> :dataset AND c.waiting + c.ready + c.queued + c.running > 0"
    " ORDER BY unfinished DESC, c.dataset, c.task, c.shape LIMIT :n"
)
OTHERS_SUM = Statement(
    "SELECT COALESCE(SUM(c.waiting + c.ready + c.queued + c.running), 0) AS unfinished FROM datasets d"
    " JOIN task_counts c ON c.dataset = d.dataset WHERE d.state = 'open' AND NOT d.held AND NOT d.cancelled"
    " AND d.dataset <> :dataset"
)
EVIDENCE = Statement(
    "SELECT l.dataset, l.task, l.evidence FROM {v} JOIN lessons l ON l.dataset = v.dataset AND l.task = v.task",
    v="dataset int, task int",
)
SPENT = Statement(
    "SELECT site, cause, SUM(attempts) AS attempts, SUM(wall) AS wall FROM spent WHERE dataset = :dataset"
    " GROUP BY site, cause ORDER BY site, cause LIMIT 1000"
)
SHARES = Statement("SELECT kind, name, weight, running, queued FROM shares ORDER BY kind, name LIMIT :n")
PUT_SHARES = Statement(
    "INSERT INTO shares (kind, name, weight, running, queued, who, at) SELECT kind, name, weight, running, queued, '', :now"
    " FROM {v} WHERE true ON CONFLICT (kind, name) DO UPDATE SET weight = excluded.weight, running = excluded.running,"
    " queued = excluded.queued",
    v="kind text, name text, weight real, running int, queued int",
)
