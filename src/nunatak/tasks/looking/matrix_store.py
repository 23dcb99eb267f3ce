"""SQL of the task matrix: tasks by state in tiles of jobs, over a range of jobs, over some jobs of each tile, or by index."""

from __future__ import annotations

from nunatak.db.statement import Statement

_TILE = "SELECT (t.job - :first) / :step AS tile, t.task, t.state, COUNT(*) AS n FROM"
_BY = " GROUP BY (t.job - :first) / :step, t.task, t.state"

ALL = Statement(f"{_TILE} tasks t WHERE t.dataset = :dataset AND t.job >= :first AND t.job < :last{_BY}")
"""Every row of a range of jobs: for ranges that are short."""
SOME = Statement(f"{_TILE} {{v}} JOIN tasks t ON t.dataset = :dataset AND t.job = v.job{_BY}", v="job int")
"""The rows of some jobs."""
PAIR = 1 << 30
"""One count of two stands for so many of the other: there are fewer jobs."""
_UNFINISHED = "t.state IN ('waiting', 'queued', 'running', 'failed', 'held')"
WINDOWS = Statement(
    f"SELECT v.place, (SELECT SUM(CASE t.task WHEN v.one THEN 1 WHEN v.other THEN {PAIR} ELSE 0 END) FROM tasks t WHERE"
    f" t.dataset = :dataset AND t.state = v.state AND {_UNFINISHED} AND t.job >= v.low AND t.job < v.high) AS n FROM {{v}}",
    v="place int, one int, other int, state text, low int, high int",
)
"""How many tasks of two names and one state there are in each of many ranges of jobs, from the index of unfinished tasks
alone: one number for both, as beginning to read costs more than reading."""
FEW = Statement(
    " UNION ALL ".join(
        f"SELECT (t.job - :first) / :step AS tile, t.task, '{state}' AS state, COUNT(*) AS n FROM tasks t WHERE :{state} = 1"
        f" AND t.dataset = :dataset AND t.state = '{state}' AND t.job >= :first AND t.job < :last"
        " GROUP BY (t.job - :first) / :step, t.task"
        for state in ("queued", "running", "failed", "held")
    )
)
"""All tasks in some states, from that index."""
ONCE = Statement("SELECT t.task, t.state FROM tasks t WHERE t.dataset = :dataset AND t.job = -1")
