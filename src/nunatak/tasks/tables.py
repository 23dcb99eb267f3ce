"""Tables of tasks, attempts, shapes and engines. Times are seconds since the epoch (UTC)."""

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, SmallInteger, String, Table, Text, text

from nunatak.db.schema import metadata

shapes = Table(
    "shapes",
    metadata,
    Column("shape", BigInteger, primary_key=True, autoincrement=False),  # follows from the key
    Column("key", Text, nullable=False),  # canonical JSON of the resource vector
)

# A row appears when a task is first touched. `lease` is null unless the task is leased; the columns after it describe the
# last attempt.
tasks = Table(
    "tasks",
    metadata,
    Column("dataset", Integer, primary_key=True, autoincrement=False),
    Column("job", Integer, primary_key=True, autoincrement=False),  # -1: once a dataset
    Column("task", Integer, primary_key=True, autoincrement=False),  # the task's number in the plan
    Column("state", String(8), nullable=False),
    Column("shape", BigInteger, nullable=False),
    Column("pending", Integer, nullable=False),  # parents not done
    Column("attempt", Integer, nullable=False),  # number of the last attempt
    Column("tries", Integer, nullable=False),  # attempts that count against the retry policy
    Column("free", Integer, nullable=False, server_default="0"),  # attempts since the last retry that did not count
    Column("not_before", Float, nullable=False),
    Column("since", Float, nullable=False),  # when the state began
    Column("reason", Text),
    Column("lease", BigInteger),
    Column("engine", Integer),
    Column("claimed", Float),
    Column("started", Float),
    Column("host", String(255)),
    Column("asked", BigInteger),  # the shape that the last attempt asked for: learnt, where `shape` is what was written
    Column("avoid", Text),  # JSON: {"nodes": [...], "sites": [...]} where the next attempt should not be made
    Column("revision", Integer),  # of the recipe, by which the last attempt runs; null: 1
    postgresql_with={
        "fillfactor": "70",
        "autovacuum_vacuum_scale_factor": "0.02",
        "autovacuum_analyze_scale_factor": "4",  # when there are twice as many: each row changes thrice or more
    },
    sqlite_with_rowid=False,
)
Index(
    "ix_tasks_ready",
    tasks.c.dataset,
    tasks.c.task,
    tasks.c.shape,
    tasks.c.not_before,
    tasks.c.job,
    postgresql_where=text("state = 'ready'"),
    sqlite_where=text("state = 'ready'"),
)
_OPEN = "state IN ('waiting', 'queued', 'running', 'failed', 'held')"
Index(
    "ix_tasks_unfinished",
    tasks.c.dataset,
    tasks.c.state,
    tasks.c.job,
    tasks.c.task,
    postgresql_where=text(_OPEN),
    sqlite_where=text(_OPEN),
)

# What a task comes after in another dataset: there its task `other_task` (-1: everything), in the same job or in all jobs.
# `opened`: when it was there, for all of its jobs where it is for each; for good, whatever is added to the other dataset.
follows = Table(
    "follows",
    metadata,
    Column("dataset", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),  # from 1, as in the plan
    Column("task", Integer, nullable=False),
    Column("other", Integer, nullable=False),
    Column("other_task", Integer, nullable=False),
    Column("each_job", Boolean, nullable=False),
    Column("seen", Integer, nullable=False, server_default="0"),  # arrivals that were taken
    Column("passed", Integer, nullable=False, server_default="0"),  # those of them for which there is a job here
    Column("opened", Float),
    postgresql_with={"fillfactor": "50"},
)
Index(
    "ix_follows_closed",
    follows.c.dataset,
    follows.c.number,
    postgresql_where=text("opened IS NULL"),
    sqlite_where=text("opened IS NULL"),
)
Index("ix_follows_other", follows.c.other)

# Jobs of other datasets that are where they were waited for; `taken`: the job here was let go on.
arrivals = Table(
    "arrivals",
    metadata,
    Column("dataset", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("job", Integer, primary_key=True, autoincrement=False),
    Column("taken", Boolean, nullable=False, server_default=text("false")),
    sqlite_with_rowid=False,
)
Index(
    "ix_arrivals_new",
    arrivals.c.dataset,
    arrivals.c.number,
    arrivals.c.job,
    postgresql_where=text("NOT taken"),
    sqlite_where=text("NOT taken"),
)

# Every ended attempt, kept for good; rows are only ever added.
attempts = Table(
    "attempts",
    metadata,
    Column("dataset", Integer, primary_key=True, autoincrement=False),
    Column("job", Integer, primary_key=True, autoincrement=False),
    Column("task", Integer, primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("lease", BigInteger, nullable=False),
    Column("engine", Integer, nullable=False),
    Column("shape", BigInteger, nullable=False),
    Column("host", String(255)),
    Column("claimed", Float, nullable=False),
    Column("started", Float),
    Column("ended", Float, nullable=False),
    Column("reason", String(16), nullable=False),  # core.work.Reason
    Column("verdict", String(24), nullable=False),  # tasks.verdicts.kinds.Kind
    Column("action", String(16), nullable=False),  # tasks.verdicts.kinds.Action
    Column("message", Text),
    Column("counted", Boolean, nullable=False, server_default=text("false")),  # used up a try
    Column("signature", String(10)),  # the same for failures of the same kind
    Column("lines", Text),  # JSON: the few lines of the log that explain it
    Column("exit", SmallInteger),
    Column("signal", SmallInteger),
    Column("wall", Float),
    Column("cpu", Float),
    Column("memory", BigInteger),
    Column("disk", BigInteger),
    Column("gpu", Float),
    Column("inputs", Text),  # JSON
    Column("outputs", Text),  # JSON
    Column("detail", Text),  # JSON
    Column("revision", Integer),  # of the recipe, by which it ran; null: 1
    postgresql_with={"autovacuum_analyze_scale_factor": "1"},
    sqlite_with_rowid=False,
)

# Attempts that failed, by what they have in common: `tasks` counts each task once since a person last let them go on.
error_groups = Table(
    "error_groups",
    metadata,
    Column("dataset", Integer, primary_key=True, autoincrement=False),
    Column("signature", String(10), primary_key=True),
    Column("kind", String(24), nullable=False),  # of the latest: one failure is not yet known to be the user's error
    Column("pattern", Text, nullable=False),  # what they have in common, readable
    Column("attempts", Integer, nullable=False),
    Column("tasks", Integer, nullable=False),
    Column("first_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("job", Integer, nullable=False),  # the latest of them, as an example
    Column("task", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("message", Text, nullable=False),
    Column("advice", Text, nullable=False),
    Column("lines", Text),  # JSON
    Column("sites", Text, nullable=False),  # JSON: the most frequent with their counts
    Column("nodes", Text, nullable=False),  # JSON, likewise
    sqlite_with_rowid=False,
)
Index(
    "ix_error_groups_latest",
    error_groups.c.last_at,
    error_groups.c.kind,
    error_groups.c.dataset,
    error_groups.c.signature,
)

# What attempts of a task were seen to use.
lessons = Table(
    "lessons",
    metadata,
    Column("dataset", Integer, primary_key=True, autoincrement=False),
    Column("task", Integer, primary_key=True, autoincrement=False),
    Column("evidence", Text),  # tasks.learning.evidence; null until the first attempt ends
    Column("needs", Text),  # JSON: what is asked for since something was learnt (memory, disk: bytes, time: seconds)
    Column("begun", Float),  # when the first attempt was claimed
    postgresql_with={"fillfactor": "50"},
)

# Time spent on attempts, by what became of it; wall and cpu are seconds. `core_hours` and `gpu_hours` were occupied, used
# or not; `core` and `gpu` are the same hours scaled to the begin of an era, to be forgotten (see tasks.sharing.usage).
spent = Table(
    "spent",
    metadata,
    Column("dataset", Integer, primary_key=True, autoincrement=False),
    Column("site", String(64), primary_key=True),
    Column("cause", String(16), primary_key=True),  # tasks.health.events.Cause
    Column("attempts", Integer, nullable=False),
    Column("wall", Float, nullable=False),
    Column("cpu", Float, nullable=False),
    Column("core_hours", Float, nullable=False),
    Column("gpu_hours", Float, nullable=False),
    Column("era", Integer, nullable=False),
    Column("core", Float, nullable=False),
    Column("gpu", Float, nullable=False),
    postgresql_with={"fillfactor": "50"},
)

# The same by the day (UTC, since the epoch) on which it was noticed; what was spent before days were kept is that of day 0.
use_by_day = Table(
    "use_by_day",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("dataset", Integer, primary_key=True, autoincrement=False),
    Column("site", String(64), primary_key=True),
    Column("cause", String(16), primary_key=True),
    Column("attempts", Integer, nullable=False),
    *(Column(name, Float, nullable=False) for name in ("wall", "cpu", "core_hours", "gpu_hours")),
    Index("ix_use_by_day_dataset", "dataset"),
    sqlite_with_rowid=False,
)

# What operators say of groups, users, datasets and sites; name "" is the rule for all that have none of their own.
shares = Table(
    "shares",
    metadata,
    Column("kind", String(8), primary_key=True),  # group, user, dataset, site
    Column("name", String(255), primary_key=True),
    Column("weight", Float),
    Column("running", Integer),  # most tasks with engines at a time
    Column("queued", Integer),  # most of them not running yet
    Column("who", String(255), nullable=False),
    Column("at", Float, nullable=False),
)

# What attempts say of nodes, not yet looked at: one row a report.
health_news = Table(
    "health_news",
    metadata,
    Column("news", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("events", Text, nullable=False),  # JSON
)

# What is remembered of nodes, and of features at sites.
health = Table(
    "health",
    metadata,
    Column("kind", String(8), primary_key=True),  # node, feature; board: who has the scores in memory
    Column("site", String(64), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("seen", Float, nullable=False),
    Column("at", Float, nullable=False),  # of the weights in `score`
    Column("score", Text),  # JSON: tasks.health.score
    Column("standing", Text),  # JSON: tasks.health.drain; null: fine
    postgresql_with={"fillfactor": "50"},
)
Index(
    "ix_health_standing",
    health.c.kind,
    health.c.site,
    health.c.name,
    postgresql_where=text("standing IS NOT NULL"),
    sqlite_where=text("standing IS NOT NULL"),
)

# Reports that came with another key than the open attempt's: they change nothing.
stale_reports = Table(
    "stale_reports",
    metadata,
    Column("report", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("engine", Integer, nullable=False),
    Column("dataset", Integer, nullable=False),
    Column("job", Integer, nullable=False),
    Column("task", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("lease", BigInteger, nullable=False),
    Column("reason", String(16), nullable=False),
    Column("wall", Float),
    Column("cpu", Float),
)
Index("ix_stale_reports_dataset", stale_reports.c.dataset, stale_reports.c.job, stale_reports.c.task)

engines = Table(
    "engines",
    metadata,
    Column("engine", Integer, primary_key=True, autoincrement=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("kind", String(32), nullable=False),
    Column("site", String(64), nullable=False),
    Column("session", String(32), nullable=False),  # a second process of the same name is refused
    Column("node", String(255), nullable=False, server_default=""),  # its only one; "": it has several
    Column("capacity", Text, nullable=False),
    Column("seen", Float, nullable=False),
    Column("lease_until", Float, nullable=False),
)

# Attempts that an engine has to end: their leases are already void.
stops = Table(
    "stops",
    metadata,
    Column("engine", Integer, primary_key=True, autoincrement=False),
    Column("dataset", Integer, primary_key=True, autoincrement=False),
    Column("job", Integer, primary_key=True, autoincrement=False),
    Column("task", Integer, primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("lease", BigInteger, nullable=False),
    Column("at", Float, nullable=False),
)

# What stopped attempts kept for the next one; the latest of each task, until it is done.
checkpoints = Table(
    "checkpoints",
    metadata,
    Column("dataset", Integer, primary_key=True, autoincrement=False),
    Column("job", Integer, primary_key=True, autoincrement=False),
    Column("task", Integer, primary_key=True, autoincrement=False),
    Column("attempt", Integer, nullable=False),
    Column("url", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("saved", Float, nullable=False),  # seconds of the attempt's wall clock
)

# Leases of the maintenance loops: one leader each.
leaders = Table(
    "leaders",
    metadata,
    Column("loop", String(32), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("until", Float, nullable=False),
)

# Temporary outputs whose job is done, to be deleted.
expired_files = Table(
    "expired_files",
    metadata,
    Column("url", Text, primary_key=True),
    Column("dataset", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("given_up", Boolean, nullable=False, server_default=text("false")),
)

# How much of each site was in use at some moments of the last day: what its curve is drawn from.
site_use = Table(
    "site_use",
    metadata,
    Column("site", String(64), primary_key=True),
    Column("at", Float, primary_key=True, autoincrement=False),
    *(Column(name, Float, nullable=False) for name in ("cores", "busy", "gpus", "gpus_busy")),
    sqlite_with_rowid=False,
)

# How many tasks were in each state at some moments: what the curve of a dataset's progress is drawn from.
progress = Table(
    "progress",
    metadata,
    Column("dataset", Integer, primary_key=True, autoincrement=False),
    Column("at", Float, primary_key=True, autoincrement=False),
    *(
        Column(state, Integer, nullable=False)
        for state in ("waiting", "ready", "queued", "running", "done", "failed", "held")
    ),
    sqlite_with_rowid=False,
)
