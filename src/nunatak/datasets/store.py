"""All SQL on recipes, datasets and their counts."""

from __future__ import annotations

from nunatak.db.statement import Statement

STATES = ("waiting", "ready", "queued", "running", "done", "failed", "held")

ADD_RECIPE = Statement(
    "INSERT INTO recipes (digest, plan, source, filename, created) VALUES (:digest, :plan, :source, :filename, :now)"
    " ON CONFLICT (digest) DO NOTHING"
)
RECIPE = Statement("SELECT plan, source, filename FROM recipes WHERE digest = :digest")
ADD_DATASET = Statement(
    "INSERT INTO datasets (name, owner, team, recipe, priority, created, changed)"
    " VALUES (:name, :owner, :team, :recipe, :priority, :now, :now) RETURNING dataset"
)
ADD_REVISION = Statement(
    "INSERT INTO revisions (dataset, revision, recipe, author, at, done, live)"
    " VALUES (:dataset, :revision, :recipe, :author, :now, :done, :live)"
)
REVISIONS = Statement(
    "SELECT revision, recipe, author, at, done, live FROM revisions WHERE dataset = :dataset ORDER BY revision"
)
SET_RECIPE = Statement(
    "UPDATE datasets SET recipe = :recipe, revision = :revision, name = :name, changed = :now WHERE dataset = :dataset"
)
PRESENT = Statement("SELECT dataset, revision FROM datasets WHERE dataset = :dataset")
ADD_FRONTIER = Statement("INSERT INTO frontier (dataset, next_job, total) VALUES (:dataset, :next_job, :total)")
DROP_TASK_COUNTS = Statement("DELETE FROM task_counts WHERE dataset = :dataset")
DROP_JOB_COUNTS = Statement("DELETE FROM job_counts WHERE dataset = :dataset")
ADD_JOB_COUNTS = Statement(
    "INSERT INTO job_counts (dataset, total, done, since) VALUES (:dataset, :total, :done, :now)"
)

DATASET = Statement("SELECT * FROM datasets WHERE dataset = :dataset")
LOCK_DATASET = Statement("SELECT * FROM datasets WHERE dataset = :dataset {wait}")
SET_STATE = Statement(
    "UPDATE datasets SET state = :state, ended = :ended, changed = :now WHERE dataset = :dataset AND state <> :state"
)
SET_FLAGS = Statement(
    "UPDATE datasets SET held = :held, gentle = false, closed = :closed, cancelled = :cancelled, reason = :reason,"
    " changed = :now WHERE dataset = :dataset"
)
HOLD_GENTLY = Statement(
    "UPDATE datasets SET held = true, gentle = true, reason = :reason, changed = :now"
    " WHERE dataset = :dataset AND NOT held AND NOT cancelled RETURNING dataset"
)
SET_PRIORITY = Statement(
    "UPDATE datasets SET priority = :priority, name = :name, changed = :now WHERE dataset = :dataset"
)
PLANS = Statement(
    "SELECT d.dataset, d.recipe, d.revision, d.owner, d.team, CASE WHEN d.revision = 1 THEN d.recipe ELSE"
    " (SELECT r.recipe FROM revisions r WHERE r.dataset = d.dataset AND r.revision = 1) END AS first"
    " FROM {wanted} JOIN datasets d ON d.dataset = wanted.dataset",
    wanted="dataset int",
)

LOCK_FRONTIER = Statement(
    "SELECT next_job, total FROM frontier WHERE dataset = :dataset {wait}",
)
TRY_FRONTIER = Statement("SELECT next_job, total FROM frontier WHERE dataset = :dataset {lock}")
FRONTIER = Statement("SELECT next_job, total FROM frontier WHERE dataset = :dataset")
SET_FRONTIER = Statement("UPDATE frontier SET next_job = :next_job, total = :total WHERE dataset = :dataset")

MOVE_TASKS = Statement(
    f"INSERT INTO task_counts (dataset, task, shape, {', '.join(STATES)})"
    f" SELECT dataset, task, shape, {', '.join(STATES)} FROM {{moves}} WHERE true ORDER BY dataset, task, shape"
    " ON CONFLICT (dataset, task, shape) DO UPDATE SET "
    + ", ".join(f"{state} = task_counts.{state} + excluded.{state}" for state in STATES),
    moves=", ".join(["dataset int", "task int", "shape big", *(f"{state} int" for state in STATES)]),
)
MOVE_JOBS = Statement(
    "INSERT INTO job_counts (dataset, total, done, failed, held, live, since)"
    " SELECT dataset, total, done, failed, held, live, since FROM {moves} WHERE true ORDER BY dataset"
    " ON CONFLICT (dataset) DO UPDATE SET total = job_counts.total + excluded.total, done = job_counts.done + excluded.done,"
    " failed = job_counts.failed + excluded.failed, held = job_counts.held + excluded.held,"
    " live = job_counts.live + excluded.live,"
    " since = CASE WHEN excluded.since > job_counts.since THEN excluded.since ELSE job_counts.since END"
    " RETURNING dataset, live",
    moves="dataset int, total int, done int, failed int, held int, live int, since real",
)
# `core` and `gpu` are scaled to the begin of an era, each 2**32 times smaller than seen from the era before (see
# tasks.sharing.usage): the newer era wins, and what lies three eras back is nothing.
_OLDER = (
    "CASE {} - {} WHEN 0 THEN 1.0 WHEN 1 THEN 2.3283064365386963e-10 WHEN 2 THEN 5.421010862427522e-20 ELSE 0.0 END"
)
_NEW_ERA = "CASE WHEN excluded.era > spent.era THEN excluded.era ELSE spent.era END"
_KEPT = _OLDER.format(f"({_NEW_ERA})", "spent.era")
_ADDED = _OLDER.format(f"({_NEW_ERA})", "excluded.era")
SPEND = Statement(
    "INSERT INTO spent (dataset, site, cause, attempts, wall, cpu, core_hours, gpu_hours, era, core, gpu)"
    " SELECT v.dataset, e.site, v.cause, SUM(v.attempts), SUM(v.wall), SUM(v.cpu), SUM(v.core_hours),"
    " SUM(v.gpu_hours), MAX(v.era), SUM(v.core), SUM(v.gpu)"
    " FROM {v} JOIN engines e ON e.engine = v.engine WHERE true GROUP BY v.dataset, e.site, v.cause"
    " ORDER BY 1, 2, 3 ON CONFLICT (dataset, site, cause) DO UPDATE SET attempts = spent.attempts + excluded.attempts,"
    " wall = spent.wall + excluded.wall, cpu = spent.cpu + excluded.cpu,"
    " core_hours = spent.core_hours + excluded.core_hours, gpu_hours = spent.gpu_hours + excluded.gpu_hours,"
    f" era = {_NEW_ERA},"
    f" core = spent.core * {_KEPT} + excluded.core * {_ADDED}, gpu = spent.gpu * {_KEPT} + excluded.gpu * {_ADDED}",
    v="dataset int, engine int, cause text, attempts int, wall real, cpu real, core_hours real, gpu_hours real,"
    " era int, core real, gpu real",
)
MARK_JOBS = Statement(
    "INSERT INTO jobs (dataset, job, sinks, failed, held)"
    " SELECT dataset, job, sinks, failed, held FROM {marks} WHERE true ORDER BY dataset, job"
    " ON CONFLICT (dataset, job) DO UPDATE SET sinks = jobs.sinks + excluded.sinks,"
    " failed = jobs.failed + excluded.failed, held = jobs.held + excluded.held"
    " RETURNING dataset, job, sinks, failed, held",
    marks="dataset int, job int, sinks int, failed int, held int",
)
CANCEL_JOBS = Statement(
    "INSERT INTO jobs (dataset, job, cancelled) SELECT dataset, job, cancelled = 1 FROM {marks} WHERE true"
    " ON CONFLICT (dataset, job) DO UPDATE SET cancelled = excluded.cancelled",
    marks="dataset int, job int, cancelled int",
)
CANCELLED_JOBS = Statement("SELECT job FROM jobs WHERE dataset = :dataset AND cancelled")
LAST_MARKED = Statement(
    "SELECT MAX(job) AS job FROM jobs WHERE dataset = :dataset AND (cancelled OR failed > 0 OR held > 0 OR sinks > 0)"
)
FORGET_MARKS = Statement("DELETE FROM jobs WHERE dataset = :dataset AND job >= :first")
TROUBLED_JOBS = Statement(
    "SELECT job, failed, held FROM jobs WHERE dataset = :dataset AND (failed > 0 OR held > 0) AND job > :after"
    " ORDER BY job LIMIT :n"
)
JOB_MARKS = Statement(
    "SELECT jobs.job, sinks, failed, held, cancelled FROM {wanted} CROSS JOIN jobs"  # SQLite else goes through all of a dataset
    " WHERE jobs.dataset = :dataset AND jobs.job = wanted.job",
    wanted="job int",
)

TASK_COUNTS = Statement(
    f"SELECT task, shape, {', '.join(STATES)} FROM task_counts WHERE dataset = :dataset ORDER BY task, shape"
)
STATE_SUMS = Statement(
    f"SELECT {', '.join(f'COALESCE(SUM({state}), 0) AS {state}' for state in STATES)}"
    " FROM task_counts WHERE dataset = :dataset"
)
JOB_COUNTS = Statement("SELECT total, done, failed, held, live FROM job_counts WHERE dataset = :dataset")
FREE = Statement(
    "SELECT d.dataset, d.revision FROM {wanted} JOIN datasets d ON d.dataset = wanted.dataset"
    " WHERE d.state = 'open' AND NOT d.held AND NOT d.cancelled",
    wanted="dataset int",
)
STOPPED_DATASETS = Statement(
    "SELECT d.dataset, d.held, d.gentle, d.cancelled, d.reason FROM datasets d JOIN job_counts j ON j.dataset = d.dataset"
    " WHERE d.state IN ('open', 'held') AND j.live > 0 AND (d.cancelled OR d.held AND EXISTS"
    " (SELECT 1 FROM task_counts c WHERE c.dataset = d.dataset AND (c.queued > 0 OR c.running > 0"
    " AND NOT d.gentle))) ORDER BY d.dataset"
)
ADD_EVENT = Statement(
    "INSERT INTO events (at, dataset, job, task, actor, verb, detail)"
    " VALUES (:now, :dataset, :job, :task, :actor, :verb, :detail)"
)
ADD_EVENTS = Statement(
    "INSERT INTO events (at, dataset, job, task, actor, verb, detail)"
    " SELECT :now, dataset, job, task, :actor, :verb, detail FROM {v} WHERE true",
    v="dataset int, job int, task text, detail text",
)
SPLITS = Statement("SELECT detail FROM events WHERE dataset = :dataset AND verb = 'split' ORDER BY event")
SUBMITTED = Statement("SELECT detail FROM events WHERE dataset = :dataset ORDER BY event LIMIT 1")
EVENTS = Statement(
    "SELECT event, at, job, task, actor, verb, detail FROM events WHERE dataset = :dataset AND event > :after"
    " ORDER BY event LIMIT :n"
)
