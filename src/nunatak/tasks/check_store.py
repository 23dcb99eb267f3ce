"""SQL of the checker: what does not agree in one dataset, found by the database in sets; nothing is brought here row by row."""

from __future__ import annotations

from nunatak.db.statement import Statement

_LEASED = "state IN ('queued', 'running')"

STRANGE = Statement(
    "SELECT job, task, state, lease, engine, claimed, attempt, started, pending, shape FROM tasks"
    f" WHERE dataset = :dataset AND ({_LEASED} AND (COALESCE(lease, 0) = 0 OR COALESCE(engine, 0) = 0"
    f" OR COALESCE(claimed, 0) = 0 OR attempt = 0) OR NOT {_LEASED} AND lease IS NOT NULL"
    " OR state = 'running' AND started IS NULL OR state = 'queued' AND started IS NOT NULL OR pending < 0"
    f" OR (state IN ('ready', 'done') OR {_LEASED}) AND pending <> 0 OR COALESCE(shape, 0) = 0)"
    " ORDER BY job, task LIMIT :n"
)
LEDGER = Statement(
    "SELECT t.job, t.task, t.state, t.attempt, COALESCE(a.n, 0) AS n, a.low, a.high, COALESCE(a.good, 0) AS good, a.last"
    " FROM tasks t LEFT JOIN (SELECT job, task, COUNT(*) AS n, MIN(attempt) AS low, MAX(attempt) AS high,"
    " SUM(CASE WHEN action = 'done' THEN 1 ELSE 0 END) AS good, MAX(CASE WHEN action = 'done' THEN attempt END) AS last"
    " FROM attempts WHERE dataset = :dataset GROUP BY job, task) a ON a.job = t.job AND a.task = t.task"
    f" WHERE t.dataset = :dataset AND (COALESCE(a.n, 0) <> t.attempt - CASE WHEN t.{_LEASED} THEN 1 ELSE 0 END"
    " OR a.low <> 1 OR a.high <> a.n OR t.state = 'done' AND COALESCE(a.last, 0) <> t.attempt"
    " OR a.good > 1 AND t.job >= 0) ORDER BY t.job, t.task LIMIT :n"
)
ORPHANS = Statement(
    "SELECT DISTINCT a.job, a.task FROM attempts a LEFT JOIN tasks t ON t.dataset = a.dataset AND t.job = a.job"
    " AND t.task = a.task WHERE a.dataset = :dataset AND t.job IS NULL ORDER BY a.job, a.task LIMIT :n"
)
_LEFT = "COUNT(edges.parent) - COUNT(p.job)"
PENDING = Statement(
    f"SELECT c.job, c.task, c.pending, {_LEFT} AS n FROM tasks c LEFT JOIN {{edges}} ON edges.child = c.task"
    " LEFT JOIN tasks p ON p.dataset = c.dataset AND p.job = c.job AND p.task = edges.parent AND p.state = 'done'"
    " WHERE c.dataset = :dataset AND c.job >= 0 GROUP BY c.job, c.task, c.pending"
    f" HAVING c.pending <> {_LEFT} ORDER BY c.job, c.task LIMIT :n",
    edges="child int, parent int",
)
# The same where tasks wait for the same job of other datasets as well, until it was let go on.
_AWAITED = (
    "(SELECT COUNT(*) FROM {each} LEFT JOIN arrivals a ON a.dataset = c.dataset AND a.number = each.number AND a.job = c.job"
    " AND a.taken WHERE each.task = c.task AND a.job IS NULL)"
)
PENDING_FOLLOWING = Statement(
    f"SELECT c.job, c.task, c.pending, {_LEFT} + {_AWAITED} AS n FROM tasks c LEFT JOIN {{edges}} ON edges.child = c.task"
    " LEFT JOIN tasks p ON p.dataset = c.dataset AND p.job = c.job AND p.task = edges.parent AND p.state = 'done'"
    " WHERE c.dataset = :dataset AND c.job >= 0 GROUP BY c.dataset, c.job, c.task, c.pending"
    f" HAVING c.pending <> {_LEFT} + {_AWAITED} ORDER BY c.job, c.task LIMIT :n",
    edges="child int, parent int",
    each="task int, number int",
)
GATED = Statement(
    "SELECT job, task, state FROM tasks WHERE dataset = :dataset AND (state = 'waiting' AND pending = 0"
    " AND (job < 0 OR task IN (SELECT task FROM {opened})) OR state = 'ready' AND job >= 0"
    " AND task NOT IN (SELECT task FROM {opened})) ORDER BY job, task LIMIT :n",
    opened="task int",
)
UNOPENED = Statement(
    "SELECT DISTINCT p.job, edges.child FROM tasks p JOIN {edges} ON edges.parent = p.task LEFT JOIN tasks c"
    " ON c.dataset = p.dataset AND c.job = p.job AND c.task = edges.child WHERE p.dataset = :dataset AND p.state = 'done'"
    " AND c.job IS NULL ORDER BY p.job, edges.child LIMIT :n",
    edges="child int, parent int",
)
ONCE = Statement("SELECT task, state, pending FROM tasks WHERE dataset = :dataset AND job < 0 ORDER BY task")
DONE_IN_CANCELLED = Statement(
    "SELECT t.task, COUNT(*) AS n FROM jobs j JOIN tasks t ON t.dataset = j.dataset AND t.job = j.job AND t.state = 'done'"
    " WHERE j.dataset = :dataset AND j.cancelled GROUP BY t.task"
)
COUNTED = Statement(
    "SELECT task, shape, state, COUNT(*) AS n, SUM(CASE WHEN job >= 0 THEN 1 ELSE 0 END) AS of_jobs FROM tasks"
    " WHERE dataset = :dataset GROUP BY task, shape, state"
)
JOBS_COUNTED = Statement(
    "SELECT COALESCE(SUM(CASE WHEN failed > 0 THEN 1 ELSE 0 END), 0) AS failed,"
    " COALESCE(SUM(CASE WHEN failed = 0 AND held > 0 THEN 1 ELSE 0 END), 0) AS held,"
    " COALESCE(SUM(CASE WHEN failed = 0 AND held = 0 AND done = :tasks THEN 1 ELSE 0 END), 0) AS done FROM (SELECT job,"
    " SUM(CASE WHEN state = 'failed' THEN 1 ELSE 0 END) AS failed, SUM(CASE WHEN state = 'held' THEN 1 ELSE 0 END) AS held,"
    " SUM(CASE WHEN state = 'done' THEN 1 ELSE 0 END) AS done FROM tasks WHERE dataset = :dataset AND job >= 0"
    " GROUP BY job) of_job"
)
