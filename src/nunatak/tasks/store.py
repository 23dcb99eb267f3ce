"""All SQL on tasks, attempts, shapes and leases."""

from __future__ import annotations

from nunatak.db.statement import Addition, Statement

# Rows are found by their primary key, and a lease is null unless it is open: naming the state too would let the planner
# of PostgreSQL go through the partial indexes, which look small to it while they churn.
KEY = "tasks.dataset = v.dataset AND tasks.job = v.job AND tasks.task = v.task"

ADD_SHAPES = Statement(
    "INSERT INTO shapes (shape, key) SELECT shape, key FROM {v} WHERE true ORDER BY shape ON CONFLICT (shape) DO NOTHING",
    v="shape big, key text",
)
SHAPES = Statement("SELECT s.shape, s.key FROM {v} JOIN shapes s ON s.shape = v.shape", v="shape big")

NEW = "dataset int, job int, task int, state text, shape big, pending int"
ADD = Statement(
    "INSERT INTO tasks (dataset, job, task, state, shape, pending, attempt, tries, not_before, since)"
    " SELECT dataset, job, task, state, shape, pending, 0, 0, 0, :now FROM {v} WHERE true"
    " ON CONFLICT (dataset, job, task) DO NOTHING RETURNING dataset, job, task",
    v=NEW,
)
ADD_CLAIMED = Statement(
    "INSERT INTO tasks (dataset, job, task, state, shape, asked, pending, attempt, tries, not_before, since, lease, engine,"
    " claimed, revision) SELECT dataset, job, task, 'queued', shape, asked, 0, 1, 0, 0, :now, lease, engine, :now, :revision"
    " FROM {v} WHERE true"
    " ON CONFLICT (dataset, job, task) DO NOTHING RETURNING dataset, job, task, lease",
    v="dataset int, job int, task int, shape big, asked big, engine int, lease big",
)

# A task with places to avoid may be claimed by an engine that is none of them, and after a while by any. Where several
# engines claim together, it is not leased to one of those even if it is its turn: then it waits for the next claim.
# What is placed has its whole key: of the number of its dataset alone, PostgreSQL thinks that it is in few rows of a table
# that it has not looked at yet, and goes over all of them with all that is placed.
_AVOIDED = "(avoid LIKE v.node ESCAPE '!' OR avoid LIKE v.site ESCAPE '!')"
CLAIM = Statement(
    "WITH picked AS MATERIALIZED (SELECT dataset, job, task, not_before, avoid FROM tasks WHERE dataset = :dataset"
    " AND task = :task AND shape = :shape AND state = 'ready' AND not_before <= :now AND (avoid IS NULL OR not_before < :patient"
    f" OR EXISTS (SELECT 1 FROM {{v}} WHERE NOT {_AVOIDED})) ORDER BY not_before, job LIMIT :n {{lock}}),"
    " placed AS MATERIALIZED (SELECT dataset, job, task, CASE WHEN not_before < :patient THEN NULL ELSE avoid END AS avoid,"
    " row_number() OVER (ORDER BY not_before, job) AS place FROM picked)"
    " UPDATE tasks SET state = 'queued', attempt = attempt + 1, since = :now, reason = NULL, lease = v.lease,"
    " engine = v.engine, claimed = :now, started = NULL, host = NULL, asked = :asked, revision = :revision"
    " FROM placed JOIN {v} ON placed.place > v.past AND placed.place <= v.last"
    f" AND (placed.avoid IS NULL OR NOT {_AVOIDED.replace('avoid', 'placed.avoid')})"
    " WHERE tasks.dataset = placed.dataset AND tasks.job = placed.job AND tasks.task = placed.task"
    " RETURNING tasks.job, tasks.attempt, tasks.lease, tasks.avoid",
    v="past int, last int, engine int, lease big, node text, site text",
)

NUMBERED = Statement(
    "SELECT job, attempt, tries FROM tasks WHERE dataset = :dataset AND task = :task AND shape = :shape AND state = 'ready'"
    " ORDER BY not_before, job LIMIT :n {lock}"
)
NUMBER = Statement(
    f"UPDATE tasks SET shape = v.shape FROM {{v}} WHERE {KEY}", v="dataset int, job int, task int, shape big"
)

REPORTED = "dataset int, job int, task int, attempt int, lease big"
START = Statement(
    "UPDATE tasks SET state = 'running', since = v.at, started = v.at, host = v.host FROM {v}"
    f" WHERE {KEY} AND tasks.attempt = v.attempt AND tasks.lease = v.lease AND tasks.started IS NULL"
    " RETURNING tasks.dataset, tasks.job, tasks.task, tasks.shape",
    v=REPORTED + ", at real, host text",
)
OPEN_ATTEMPTS = Statement(
    "SELECT tasks.dataset, tasks.job, tasks.task, tasks.attempt, tasks.lease, tasks.shape, tasks.tries, tasks.state,"
    " tasks.pending, tasks.engine, tasks.claimed, tasks.started, tasks.host, tasks.free,"
    " COALESCE(tasks.asked, tasks.shape) AS asked, tasks.revision"
    f" FROM {{v}} JOIN tasks ON {KEY} AND tasks.attempt = v.attempt AND tasks.lease = v.lease {{wait}}",
    v=REPORTED,
)
UNBEGUN_WITH = Statement(
    "SELECT tasks.dataset, tasks.job, tasks.task, tasks.attempt, tasks.lease, COALESCE(tasks.asked, tasks.shape) AS asked,"
    f" tasks.avoid, COALESCE(tasks.revision, 1) AS revision FROM {{v}} JOIN tasks ON {KEY} AND tasks.attempt = v.attempt"
    " AND tasks.lease = v.lease AND tasks.engine = :engine AND tasks.state = 'queued'"
    " ORDER BY tasks.dataset, tasks.task, tasks.job",
    v=REPORTED,
)
END = Statement(
    "UPDATE tasks SET state = v.state, shape = CASE WHEN v.shape = 0 THEN tasks.shape ELSE v.shape END,"
    " tries = tasks.tries + v.tried, free = tasks.free + 1 - v.tried,"
    " not_before = v.not_before, since = :now, reason = v.reason, avoid = v.avoid, lease = NULL FROM {v}"
    f" WHERE {KEY} AND tasks.attempt = v.attempt AND tasks.lease = v.lease"
    " RETURNING tasks.dataset, tasks.job, tasks.task, tasks.attempt, tasks.shape, tasks.engine, tasks.claimed,"
    " tasks.started, tasks.host, COALESCE(tasks.asked, tasks.shape) AS asked, tasks.revision",
    v=REPORTED + ", state text, shape big, tried int, not_before real, reason text, avoid text",
)
ADD_ATTEMPTS = Addition(
    "attempts",
    "dataset int, job int, task int, attempt int, lease big, engine int, shape big, host text, claimed real, started real,"
    " ended real, reason text, verdict text, action text, message text, counted bool, signature text, lines text, exit small,"
    " signal small, wall real, cpu real, memory big, disk big, gpu real, inputs text, outputs text, detail text,"
    " revision int",
)
PAST = Statement(
    "SELECT a.dataset, a.job, a.task, a.verdict, a.counted, a.signature, a.host, a.engine, a.shape, a.message FROM {v}"
    " JOIN attempts a ON a.dataset = v.dataset AND a.job = v.job AND a.task = v.task AND a.attempt >= v.first"
    " ORDER BY a.dataset, a.job, a.task, a.attempt",
    v="dataset int, job int, task int, first int",
)
ADD_STALE = Statement(
    "INSERT INTO stale_reports (at, engine, dataset, job, task, attempt, lease, reason, wall, cpu)"
    " SELECT :now, engine, dataset, job, task, attempt, lease, reason, wall, cpu FROM {v}",
    v="engine int, " + REPORTED + ", reason text, wall real, cpu real",
)
ENDED_BEFORE = Statement(
    "SELECT a.dataset, a.job, a.task, a.attempt, a.reason FROM {v} JOIN attempts a ON a.dataset = v.dataset AND a.job = v.job"
    " AND a.task = v.task AND a.attempt = v.attempt AND a.lease = v.lease",
    v=REPORTED,
)

FREED = "dataset int, job int, task int, state text, shape big, pending int, freed int, open int"
FREE_CHILDREN = Statement(
    "UPDATE tasks SET pending = tasks.pending - v.freed,"
    " state = CASE WHEN tasks.state = 'waiting' AND tasks.pending - v.freed = 0 AND v.open = 1 THEN 'ready' ELSE tasks.state END,"
    " since = CASE WHEN tasks.state = 'waiting' AND tasks.pending - v.freed = 0 AND v.open = 1 THEN :now ELSE tasks.since END"
    f" FROM {{v}} WHERE {KEY} RETURNING tasks.dataset, tasks.job, tasks.task, tasks.state, tasks.pending, tasks.shape",
    v=FREED,
)
OPEN_GATE = Statement(
    "UPDATE tasks SET state = 'ready', since = :now WHERE dataset = :dataset AND task = :task AND state = 'waiting'"
    " AND pending = 0 AND job >= 0 RETURNING job, shape"
)
LAST_TOUCHED = Statement("SELECT MAX(job) AS job FROM tasks WHERE dataset = :dataset")
TOUCHED_BEYOND = Statement(
    "SELECT COUNT(*) AS n FROM tasks WHERE dataset = :dataset AND job >= :first AND task = :task"
)
LAST_BEGUN = Statement(
    "SELECT MAX(job) AS job FROM tasks WHERE dataset = :dataset AND (attempt > 0 OR state NOT IN ('ready', 'waiting'))"
)
LOCKED_BEYOND = Statement(
    "SELECT job, task, state, shape, attempt FROM tasks WHERE dataset = :dataset AND job >= :first"
    " ORDER BY job, task {wait}"
)
FORGET_BEYOND = Statement("DELETE FROM tasks WHERE dataset = :dataset AND job >= :first")
ONCE_DONE = Statement(
    "SELECT task FROM tasks WHERE dataset = :dataset AND job = -1 AND state = 'done'"
    " UNION ALL SELECT -number FROM follows WHERE dataset = :dataset AND opened IS NOT NULL"
)

LOCKED_ROWS = Statement(
    "SELECT dataset, job, task, state, shape, pending, attempt, tries, lease, engine, claimed, started, host,"
    " COALESCE(asked, shape) AS asked, revision FROM tasks WHERE dataset = :dataset AND job = :job ORDER BY task {wait}"
)
LOCKED_ROWS_IN = Statement(
    "SELECT tasks.dataset, tasks.job, tasks.task, tasks.state, tasks.shape, tasks.pending, tasks.attempt, tasks.tries,"
    " tasks.lease, tasks.engine, tasks.claimed, tasks.started, tasks.host, COALESCE(tasks.asked, tasks.shape) AS asked,"
    " tasks.revision"
    " FROM {v} CROSS JOIN tasks WHERE tasks.dataset = :dataset AND tasks.job = v.job"  # as JOB_MARKS: by its key
    " ORDER BY tasks.job, tasks.task {wait}",
    v="job int",
)
LOCKED_ROWS_OF = Statement(
    "SELECT dataset, job, task, state, shape, pending, attempt, tries, lease, engine, claimed, started, host,"
    " COALESCE(asked, shape) AS asked, revision FROM tasks WHERE dataset = :dataset AND state = :state"
    " AND (job, task) > (:job, :task) ORDER BY job, task LIMIT :n {wait}"
)
CHANGE = Statement(
    "UPDATE tasks SET state = v.state, pending = v.pending, reason = v.reason, tries = v.tries,"
    " free = CASE WHEN v.tries = 0 THEN 0 ELSE tasks.free END,"
    " avoid = CASE WHEN v.tries = 0 THEN NULL ELSE tasks.avoid END, not_before = 0, since = :now,"
    f" lease = NULL FROM {{v}} WHERE {KEY}",
    v="dataset int, job int, task int, state text, pending int, tries int, reason text",
)
ADD_STOPS = Statement(
    "INSERT INTO stops (engine, dataset, job, task, attempt, lease, at)"
    " SELECT engine, dataset, job, task, attempt, lease, :now FROM {v} WHERE true"
    " ON CONFLICT (engine, dataset, job, task, attempt) DO NOTHING",
    v="engine int, dataset int, job int, task int, attempt int, lease big",
)
STOPS = Statement("SELECT dataset, job, task, attempt, lease FROM stops WHERE engine = :engine ORDER BY at LIMIT :n")
CLEAR_STOPS = Statement(
    "DELETE FROM stops WHERE (engine, dataset, job, task, attempt) IN"
    " (SELECT engine, dataset, job, task, attempt FROM {v})",
    v="engine int, dataset int, job int, task int, attempt int",
)

PARENT_OUTPUTS = Statement(
    "SELECT a.dataset, a.job, a.task, a.outputs FROM {v} JOIN tasks t ON t.dataset = v.dataset AND t.job = v.job"
    " AND t.task = v.task AND t.state = 'done' JOIN attempts a ON a.dataset = t.dataset AND a.job = t.job"
    " AND a.task = t.task AND a.attempt = t.attempt",
    v="dataset int, job int, task int",
)
ALL_OUTPUTS = Statement(
    "SELECT a.dataset, a.job, a.task, a.outputs FROM tasks t JOIN attempts a ON a.dataset = t.dataset AND a.job = t.job"
    " AND a.task = t.task AND a.attempt = t.attempt WHERE t.dataset = :dataset AND t.task = :task AND t.job >= 0"
    " AND t.state = 'done' ORDER BY a.job"
)
EXPIRE_FILES = Statement(
    "INSERT INTO expired_files (url, dataset, at) SELECT url, dataset, :now FROM {v} WHERE true"
    " ON CONFLICT (url) DO NOTHING",
    v="url text, dataset int",
)

GROUPS = Statement("SELECT * FROM error_groups WHERE dataset = :dataset ORDER BY attempts DESC, signature LIMIT :n")
GROUPS_OF = Statement(
    "SELECT g.* FROM {v} JOIN error_groups g ON g.dataset = v.dataset AND g.signature = v.signature"
    " ORDER BY g.dataset, g.signature {wait}",
    v="dataset int, signature text",
)
COUNT_GROUPS = Statement("SELECT COUNT(*) AS n FROM error_groups WHERE dataset = :dataset")
MOVE_GROUPS = Statement(
    "INSERT INTO error_groups (dataset, signature, kind, pattern, attempts, tasks, first_at, last_at, job, task, attempt,"
    " message, advice, lines, sites, nodes) SELECT dataset, signature, kind, pattern, attempts, tasks, first_at, last_at,"
    " job, task, attempt, message, advice, lines, sites, nodes FROM {v} WHERE true ORDER BY dataset, signature"
    " ON CONFLICT (dataset, signature) DO UPDATE SET kind = excluded.kind, attempts = error_groups.attempts + excluded.attempts,"
    " tasks = error_groups.tasks + excluded.tasks, last_at = excluded.last_at, job = excluded.job, task = excluded.task,"
    " attempt = excluded.attempt, message = excluded.message, advice = excluded.advice,"
    " lines = excluded.lines, sites = excluded.sites, nodes = excluded.nodes"
    " RETURNING dataset, signature, kind, tasks, pattern, nodes",
    v="dataset int, signature text, kind text, pattern text, attempts int, tasks int, first_at real, last_at real,"
    " job int, task int, attempt int, message text, advice text, lines text, sites text, nodes text",
)
LESSONS = Statement(
    "SELECT l.dataset, l.task, l.evidence, l.needs FROM {v} JOIN lessons l ON l.dataset = v.dataset AND l.task = v.task"
    " ORDER BY l.dataset, l.task {wait}",
    v="dataset int, task int",
)
EVIDENCE = Statement(
    "SELECT l.dataset, l.task, l.evidence FROM {v} JOIN lessons l ON l.dataset = v.dataset AND l.task = v.task",
    v="dataset int, task int",
)
"""What is known of some tasks, for reading only."""
NEEDS = Statement(
    "SELECT l.dataset, l.task, l.needs FROM {v} JOIN lessons l ON l.dataset = v.dataset AND l.task = v.task",
    v="dataset int, task int",
)
LESSONS_OF = Statement("SELECT task, evidence, needs FROM lessons WHERE dataset = :dataset")
SET_LESSONS = Statement(
    "INSERT INTO lessons (dataset, task, evidence, needs) SELECT dataset, task, evidence, needs FROM {v} WHERE true"
    " ORDER BY dataset, task"
    " ON CONFLICT (dataset, task) DO UPDATE SET evidence = excluded.evidence, needs = excluded.needs",
    v="dataset int, task int, evidence text, needs text",
)
BEGIN_LESSONS = Statement(
    "UPDATE lessons SET begun = :now WHERE begun IS NULL AND (dataset, task) IN (SELECT l.dataset, l.task FROM {v}"
    " JOIN lessons l ON l.dataset = v.dataset AND l.task = v.task ORDER BY l.dataset, l.task {wait})",
    v="dataset int, task int",
)
SPENT = Statement("SELECT dataset, era, SUM(core) AS core, SUM(gpu) AS gpu FROM spent GROUP BY dataset, era")
SHARES = Statement("SELECT * FROM shares ORDER BY kind, name")
SET_SHARE = Statement(
    "INSERT INTO shares (kind, name, weight, running, queued, who, at)"
    " VALUES (:kind, :name, :weight, :running, :queued, :who, :now)"
    " ON CONFLICT (kind, name) DO UPDATE SET weight = excluded.weight, running = excluded.running,"
    " queued = excluded.queued, who = excluded.who, at = excluded.at"
)
UNSET_SHARE = Statement("DELETE FROM shares WHERE kind = :kind AND name = :name RETURNING kind")
FORGET_GROUP = Statement("UPDATE error_groups SET tasks = 0 WHERE dataset = :dataset AND signature = :signature")
OF_GROUP = Statement(
    "SELECT a.job, a.task FROM {v} JOIN attempts a ON a.dataset = v.dataset AND a.job = v.job AND a.task = v.task"
    " AND a.attempt = v.attempt WHERE a.signature = :signature",
    v="dataset int, job int, task int, attempt int",
)
FORGET_FAILING = Statement("UPDATE error_groups SET tasks = 0 WHERE dataset = :dataset AND tasks > 0")
END_DELAYS = Statement(
    "UPDATE tasks SET not_before = 0 WHERE dataset = :dataset AND state = 'ready' AND not_before > :now"
)

ENGINE = Statement("SELECT * FROM engines WHERE name = :name {wait}")
ENGINES = Statement("SELECT * FROM engines ORDER BY engine")
SITES = Statement("SELECT e.engine, e.site FROM {v} JOIN engines e ON e.engine = v.engine", v="engine int")
ENGINE_NUMBERS = Statement(
    "SELECT e.name, e.session, e.engine, e.site, e.node FROM {v} JOIN engines e ON e.name = v.name AND e.session = v.session",
    v="name text, session text",
)
ENGINE_NUMBER = Statement("SELECT engine FROM engines WHERE name = :name AND session = :session")
ADD_ENGINE = Statement(
    "INSERT INTO engines (name, kind, site, node, session, capacity, seen, lease_until)"
    " VALUES (:name, :kind, :site, :node, :session, :capacity, :now, :until) RETURNING engine"
)
RENEW_ENGINE = Statement(
    "UPDATE engines SET session = :session, kind = :kind, site = :site, node = :node, capacity = :capacity, seen = :now,"
    " lease_until = :until WHERE engine = :engine"
)
BEAT = Statement(
    "UPDATE engines SET capacity = :capacity, seen = :now, lease_until = :until"
    " WHERE name = :name AND session = :session RETURNING engine, site, node"
)
FREE_ENGINE = Statement(
    "UPDATE engines SET session = :nobody, lease_until = :now WHERE engine = :engine AND session = :session RETURNING engine"
)
LIVE_ENGINES = Statement("SELECT COUNT(*) AS n FROM engines WHERE lease_until > :now")
HEARD = Statement("SELECT MAX(seen) AS seen FROM engines")
LATE_ENGINES = Statement("SELECT engine, name FROM engines WHERE lease_until < :now")
LOCK_LATE_ENGINES = Statement("SELECT engine, name FROM engines WHERE lease_until < :now {lock}")
ATTEMPTS_OF = Statement(
    f"SELECT tasks.dataset, tasks.job, tasks.task, tasks.attempt, tasks.lease FROM {{v}} JOIN tasks ON {KEY}"
    " AND tasks.attempt = v.attempt AND tasks.engine = :engine AND tasks.lease IS NOT NULL UNION ALL"
    " SELECT a.dataset, a.job, a.task, a.attempt, a.lease FROM {v} JOIN attempts a ON a.dataset = v.dataset AND a.job = v.job"
    " AND a.task = v.task AND a.attempt = v.attempt AND a.engine = :engine",
    v="dataset int, job int, task int, attempt int",
)
_LEASED = (
    "SELECT dataset, job, task, attempt, lease, state, engine, claimed, started, shape, tries, host, pending,"
    " COALESCE(asked, shape) AS asked, revision FROM tasks"
)
LEASES_OF = Statement(
    f"{_LEASED} WHERE dataset = :dataset AND state IN ('queued', 'running') AND engine = :engine"
    " ORDER BY job, task LIMIT :n {wait}"
)
QUEUED_AT = Statement(
    f"{_LEASED} WHERE dataset = :dataset AND state = 'queued' AND engine = :engine ORDER BY job, task LIMIT :n {{wait}}"
)
LEASES_SEEN = Statement(
    "SELECT dataset, job, task, attempt, lease, state FROM tasks WHERE dataset = :dataset AND state IN ('queued', 'running')"
    " AND engine = :engine ORDER BY job, task LIMIT :n"
)
LEASING_DATASETS = Statement(
    "SELECT DISTINCT dataset FROM task_counts WHERE queued > 0 OR running > 0 ORDER BY dataset"
)
