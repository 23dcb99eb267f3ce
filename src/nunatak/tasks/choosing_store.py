"""SQL of choosing: who wants tasks, the engines there are, and what they hold."""

from __future__ import annotations

from nunatak.db.statement import Statement

ENGINES = Statement("SELECT * FROM engines ORDER BY name")
ENGINE_LOAD = Statement(
    "SELECT t.engine, t.state, COUNT(*) AS n FROM (SELECT DISTINCT dataset FROM task_counts WHERE queued > 0 OR running > 0)"
    " c JOIN tasks t ON t.dataset = c.dataset AND t.state IN ('queued', 'running') GROUP BY t.engine, t.state"
)
"""What engines hold: it goes over all that is under way."""
DEMAND = Statement(
    "SELECT c.dataset, c.task, c.shape, c.queued, c.running, d.priority, d.owner, d.team, j.since, l.needs, l.begun, d.revision,"
    " CASE WHEN d.state = 'open' AND NOT d.held AND NOT d.cancelled THEN c.ready ELSE 0 END AS ready"
    " FROM datasets d JOIN job_counts j ON j.dataset = d.dataset JOIN task_counts c ON c.dataset = d.dataset"
    " LEFT JOIN lessons l ON l.dataset = c.dataset AND l.task = c.task"
    " WHERE d.state IN ('open', 'held') AND (c.queued > 0 OR c.running > 0"
    " OR c.ready > 0 AND d.state = 'open' AND NOT d.held AND NOT d.cancelled) ORDER BY c.dataset, c.task DESC, c.shape"
)
OWNERS = Statement(
    "SELECT d.dataset, d.owner, d.team FROM {v} JOIN datasets d ON d.dataset = v.dataset", v="dataset int"
)
