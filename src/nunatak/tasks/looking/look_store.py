"""SQL of the read models: what people look at. Every list is paged by key."""

from __future__ import annotations

from nunatak.db.statement import Statement

HEADS = Statement(
    "SELECT d.*, j.total, j.done, j.failed, j.held AS held_jobs FROM datasets d"
    " JOIN job_counts j ON j.dataset = d.dataset WHERE d.dataset < :after"
    " AND (:state = '' OR d.state = :state) AND (:owner = '' OR d.owner = :owner)"
    " AND (:name = '' OR d.name LIKE :name) ORDER BY d.dataset DESC LIMIT :n"
)
HEAD = Statement(
    "SELECT d.*, j.total, j.done, j.failed, j.held AS held_jobs, c.task, c.waiting AS n_waiting, c.ready AS n_ready,"
    " c.queued AS n_queued, c.running AS n_running, c.done AS n_done, c.failed AS n_failed, c.held AS n_held"
    " FROM datasets d JOIN job_counts j ON j.dataset = d.dataset JOIN task_counts c ON c.dataset = d.dataset"
    " WHERE d.dataset = :dataset ORDER BY c.task"
)
SUMS = Statement(
    "SELECT c.dataset, SUM(waiting) AS waiting, SUM(ready) AS ready, SUM(queued) AS queued, SUM(running) AS running,"
    " SUM(done) AS done, SUM(failed) AS failed, SUM(held) AS held FROM {v} JOIN task_counts c ON c.dataset = v.dataset"
    " GROUP BY c.dataset",
    v="dataset int",
)
ROW = (
    "SELECT t.dataset, t.job, t.task, t.state, t.shape, t.pending, t.attempt, t.tries, t.not_before, t.since, t.reason,"
    " t.lease, t.engine, t.claimed, t.started, t.host, COALESCE(t.asked, t.shape) AS asked, t.revision"
    " FROM tasks t WHERE t.dataset = :dataset"
)
JOB = Statement(ROW + " AND t.job = :job ORDER BY t.task")
TASK = Statement(ROW + " AND t.job = :job AND t.task = :task")
UNFINISHED = Statement(
    ROW + " AND t.state = :state AND (t.job, t.task) > (:job, :task)"
    " AND t.state IN ('waiting', 'queued', 'running', 'failed', 'held') ORDER BY t.job, t.task LIMIT :n"
)
READY = Statement(ROW + " AND t.state = 'ready' AND (t.job, t.task) > (:job, :task) ORDER BY t.job, t.task LIMIT :n")
TOUCHED = Statement(ROW + " AND (t.job, t.task) > (:job, :task) ORDER BY t.job, t.task LIMIT :n")
UNFINISHED_OF = Statement(
    ROW + " AND t.state = :state AND (t.job, t.task) > (:job, :task) AND t.task = :only"
    " AND t.state IN ('waiting', 'queued', 'running', 'failed', 'held') ORDER BY t.job, t.task LIMIT :n"
)
READY_OF = Statement(
    ROW + " AND t.state = 'ready' AND t.task = :only AND t.shape = :shape AND t.not_before = 0 AND t.job > :job"
    " ORDER BY t.job LIMIT :n"
)
"""Ready tasks of one name and shape, in the order of the index; those that have to wait for their next try are `LATER`."""
LATER = Statement(
    ROW
    + " AND t.state = 'ready' AND t.not_before > 0 AND (t.job, t.task) > (:job, :task) ORDER BY t.job, t.task LIMIT :n"
)
TOUCHED_OF = Statement(ROW + " AND (t.job, t.task) > (:job, :task) AND t.task = :only ORDER BY t.job, t.task LIMIT :n")
"""The same of one task: told by the index, so that rows of others are not read."""
JOBS = Statement(
    "SELECT job, SUM(CASE WHEN state = 'done' THEN 1 ELSE 0 END) AS done,"
    " SUM(CASE WHEN state = 'failed' THEN 1 ELSE 0 END) AS failed, SUM(CASE WHEN state = 'held' THEN 1 ELSE 0 END) AS held"
    " FROM tasks WHERE dataset = :dataset AND job > :after AND job <= :last GROUP BY job ORDER BY job"
)
ATTEMPTS = Statement(
    "SELECT a.*, e.name AS engine_name, e.site FROM attempts a LEFT JOIN engines e ON e.engine = a.engine"
    " WHERE a.dataset = :dataset AND a.job = :job AND a.task = :task ORDER BY a.attempt"
)
JOB_ATTEMPTS = Statement(
    "SELECT a.*, e.name AS engine_name, e.site FROM attempts a LEFT JOIN engines e ON e.engine = a.engine"
    " WHERE a.dataset = :dataset AND a.job = :job ORDER BY a.ended, a.task, a.attempt"
)
RAN_BY = Statement(
    "SELECT revision FROM attempts WHERE dataset = :dataset AND job = :job AND task = :task AND attempt = :attempt"
    " UNION ALL SELECT revision FROM tasks WHERE dataset = :dataset AND job = :job AND task = :task"
    " AND attempt = :attempt AND lease IS NOT NULL"
)
"""The revision of the recipe by which an attempt ran or runs."""
EVENTS = Statement(
    "SELECT event, at, job, task, actor, verb, detail FROM events WHERE dataset = :dataset AND event > :after"
    " ORDER BY event LIMIT :n"
)
FILES = Statement(
    "SELECT t.job, t.task, a.outputs, a.revision FROM tasks t JOIN attempts a ON a.dataset = t.dataset AND a.job = t.job"
    " AND a.task = t.task AND a.attempt = t.attempt WHERE t.dataset = :dataset AND t.state = 'done'"
    " AND (t.job, t.task) > (:job, :task) AND t.job <= :last ORDER BY t.job, t.task LIMIT :n"
)
LAST_ATTEMPTS = Statement(
    "SELECT a.*, e.name AS engine_name, e.site FROM tasks t JOIN attempts a ON a.dataset = t.dataset AND a.job = t.job"
    " AND a.task = t.task AND a.attempt = t.attempt LEFT JOIN engines e ON e.engine = a.engine WHERE t.dataset = :dataset"
    " AND t.state = 'done' AND (t.job, t.task) > (:job, :task) ORDER BY t.job, t.task LIMIT :n"
)
SPENT_ON = Statement(
    "SELECT a.job, a.task, SUM(CASE WHEN a.verdict = 'ok' THEN a.wall ELSE 0 END) AS well,"
    " SUM(CASE WHEN a.verdict = 'ok' THEN 0 ELSE a.wall END) AS badly,"
    " SUM(CASE WHEN a.verdict = 'ok' THEN 0 ELSE 1 END) AS failures, SUM(CASE WHEN a.verdict = 'evicted' THEN 1 ELSE 0 END)"
    " AS evictions FROM {v} JOIN attempts a ON a.dataset = v.dataset AND a.job = v.job AND a.task = v.task"
    " GROUP BY a.job, a.task",
    v="dataset int, job int, task int",
)
"""What attempts of tasks took that ended well or not: seconds of wall clock."""
LOST_ON = Statement(
    "SELECT task, SUM(wall) AS wall FROM attempts WHERE dataset = :dataset AND verdict <> 'ok' GROUP BY task"
)
"""The same of all that did not end well, by task: it goes over the attempts of a dataset."""
