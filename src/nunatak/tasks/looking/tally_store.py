"""SQL of the read model that adds up attempts: for looking back at a whole campaign, not for serving."""

from __future__ import annotations

from nunatak.db.statement import Statement

SPENT = Statement(
    "SELECT a.dataset, a.task, a.engine, a.verdict, a.shape, COUNT(*) AS attempts,"
    " SUM(CASE WHEN a.counted THEN 1 ELSE 0 END) AS counted, COALESCE(SUM(a.wall), 0) AS wall,"
    " COALESCE(SUM(a.cpu), 0) AS cpu, COALESCE(SUM(a.started - a.claimed), 0) AS queued, MAX(a.ended) AS last"
    " FROM attempts a GROUP BY a.dataset, a.task, a.engine, a.verdict, a.shape"
    " ORDER BY a.dataset, a.task, a.engine, a.verdict, a.shape"
)
COUNTS = Statement(
    "SELECT dataset, task, SUM(waiting) AS waiting, SUM(ready) AS ready, SUM(queued) AS queued, SUM(running) AS running,"
    " SUM(done) AS done, SUM(failed) AS failed, SUM(held) AS held FROM task_counts GROUP BY dataset, task"
    " ORDER BY dataset, task"
)
NEXT_TRY = Statement("SELECT MIN(not_before) AS at FROM tasks WHERE state = 'ready' AND not_before > :now")
ENDS = Statement("SELECT dataset, state, held, reason, ended FROM datasets ORDER BY dataset")
