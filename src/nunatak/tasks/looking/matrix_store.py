"""SQL of the task matrix: tasks by state in tiles of jobs, over a range of jobs, over some jobs of each tile, or by index."""

from __future__ import annotations

from nunatak.db.statement import Statement

_TILE = "SELECT (t.job - :first) / :step AS tile, t.task, t.state, COUNT(*) AS n FROM"
_BY = " GROUP BY (t.job - :first) / :step, t.task, t.state"

ALL = Statement(f"{_TILE} tasks t WHERE t.dataset = :dataset AND t.job >= :first AND t.job < :last{_BY}")
"""Every row of a range of jobs: for ranges that are short."""
SOME = Statement(f"{_TILE} {{v}} JOIN tasks t ON t.dataset = :dataset AND t.job = v.job{_BY}", v="job int")
"""The rows of some jobs."""
WINDOWS = Statement(
    "SELECT v.tile, v.task, v.state, v.low, (SELECT COUNT(*) FROM tasks t WHERE t.dataset = :dataset AND t.state = v.state"
    " AND t.state IN ('waiting', 'queued', 'running', 'failed', 'held') AND t.job >= v.low AND t.job < v.high"
    " AND t.task = v.task) AS n FROM {v}",
    v="tile int, task int, state text, low int, high int",
)
"""How many tasks of a name and state there are in each of many ranges of jobs, from the index of unfinished tasks alone."""
ONCE = Statement("SELECT t.task, t.state FROM tasks t WHERE t.dataset = :dataset AND t.job = -1")
