"""All SQL on what tasks come after in other datasets."""

from __future__ import annotations

from nunatak.db.statement import Statement

ADD = Statement(
    "INSERT INTO follows (dataset, number, task, other, other_task, each_job)"
    " SELECT dataset, number, task, other, other_task, each_job = 1 FROM {v} WHERE true",
    v="dataset int, number int, task int, other int, other_task int, each_job int",
)
FOLLOWED = Statement("SELECT DISTINCT other FROM follows WHERE opened IS NULL AND each_job")
FOLLOWERS = Statement("SELECT DISTINCT dataset FROM follows WHERE other = :other AND each_job ORDER BY dataset LIMIT 5")
NOTE = Statement(
    "INSERT INTO arrivals (dataset, number, job) SELECT f.dataset, f.number, v.job FROM {v}"
    " JOIN follows f ON f.other = v.dataset AND f.other_task = v.task AND f.each_job AND f.opened IS NULL WHERE true"
    " ORDER BY f.dataset, f.number, v.job ON CONFLICT (dataset, number, job) DO NOTHING",
    v="dataset int, job int, task int",
)
ARRIVED = Statement(
    "SELECT a.number, a.job FROM {v} JOIN arrivals a ON a.dataset = :dataset AND a.number = v.number AND a.job = v.job"
    " WHERE a.taken",
    v="number int, job int",
)

_STATES = ("waiting", "ready", "queued", "running", "failed", "held", "done")
STANDING = (
    "SELECT f.dataset, f.number, f.task, f.other, f.other_task, f.each_job, f.seen, f.passed, f.opened,"
    " (SELECT total FROM frontier l WHERE l.dataset = f.dataset) AS total,"
    " (SELECT COUNT(*) FROM arrivals a WHERE a.dataset = f.dataset AND a.number = f.number AND NOT a.taken) AS news, "
    + ", ".join(f"COALESCE(SUM(c.{state}), 0) AS {state}" for state in _STATES)
    + " FROM follows f LEFT JOIN task_counts c ON c.dataset = f.other AND (f.other_task < 0 OR c.task = f.other_task)"
)
CLOSED = Statement(
    f"{STANDING} WHERE f.opened IS NULL AND (f.dataset, f.number) > (:dataset, :number)"
    " GROUP BY f.dataset, f.number ORDER BY f.dataset, f.number LIMIT :n"
)
OF_DATASET = Statement(f"{STANDING} WHERE f.dataset = :dataset GROUP BY f.dataset, f.number ORDER BY f.number")
GIVEN_UP = Statement(
    "SELECT COUNT(*) AS n FROM jobs j JOIN tasks t ON t.dataset = j.dataset AND t.job = j.job"
    " AND (:task < 0 OR t.task = :task) AND t.state <> 'done'"
    " WHERE j.dataset = :dataset AND (j.failed > 0 OR j.held > 0) AND j.cancelled"
)
NEW = Statement(
    "SELECT job FROM arrivals WHERE dataset = :dataset AND number = :number AND NOT taken ORDER BY job LIMIT :n"
)
TAKE = Statement(  # by whole keys alone: of what is named besides, PostgreSQL would go through all for each row
    "UPDATE arrivals SET taken = true FROM {v} WHERE arrivals.dataset = v.dataset AND arrivals.number = v.number"
    " AND arrivals.job = v.job",
    v="dataset int, number int, job int",
)
PASS = Statement(
    "UPDATE follows SET seen = seen + :seen, passed = passed + :passed,"
    " opened = CASE WHEN passed + :passed >= :total THEN CAST(:now AS double precision) END"
    " WHERE dataset = :dataset AND number = :number"
)
OPEN = Statement(
    "UPDATE follows SET opened = :now WHERE dataset = :dataset AND number = :number AND opened IS NULL RETURNING number"
)
LAST_DONE = Statement("SELECT MAX(job) AS job FROM tasks WHERE dataset = :dataset")
SWEEP = Statement(  # what was noted is left out by its key: a join would go through all of it for each row
    "INSERT INTO arrivals (dataset, number, job) SELECT :dataset, :number, t.job FROM tasks t"
    " WHERE t.dataset = :other AND t.job >= :first AND t.job < :last AND t.task = :task AND t.state = 'done'"
    " ORDER BY t.job ON CONFLICT (dataset, number, job) DO NOTHING RETURNING job"
)
AGAIN = Statement(
    "UPDATE arrivals SET taken = false WHERE dataset = :dataset AND number = :number AND job >= :first AND job < :last"
    " AND taken RETURNING job"
)
REOPEN = Statement(
    "UPDATE follows SET seen = seen - :seen, opened = NULL WHERE dataset = :dataset AND number = :number"
)

# For the checker.
UNMATCHED = Statement(
    "SELECT f.number, f.seen, f.passed, COUNT(a.job) AS taken, SUM(CASE WHEN a.job < :total THEN 1 ELSE 0 END) AS here"
    " FROM follows f LEFT JOIN arrivals a ON a.dataset = f.dataset AND a.number = f.number AND a.taken"
    " WHERE f.dataset = :dataset AND f.each_job GROUP BY f.dataset, f.number"
    " HAVING f.seen <> COUNT(a.job) OR f.passed <> COALESCE(SUM(CASE WHEN a.job < :total THEN 1 ELSE 0 END), 0)"
)
EARLY = Statement(
    "SELECT f.number, a.job FROM follows f JOIN arrivals a ON a.dataset = f.dataset AND a.number = f.number"
    " LEFT JOIN tasks t ON t.dataset = f.other AND t.job = a.job AND t.task = f.other_task AND t.state = 'done'"
    " WHERE f.dataset = :dataset AND f.each_job AND t.job IS NULL ORDER BY f.number, a.job LIMIT :n"
)
UNOPENED = Statement(
    "SELECT f.number, f.task, a.job FROM follows f JOIN arrivals a ON a.dataset = f.dataset AND a.number = f.number AND a.taken"
    " LEFT JOIN tasks t ON t.dataset = f.dataset AND t.job = a.job AND t.task = f.task"
    " WHERE f.dataset = :dataset AND f.each_job AND a.job < :total AND t.job IS NULL ORDER BY f.number, a.job LIMIT :n"
)
