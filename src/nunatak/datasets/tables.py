"""Tables of recipes, datasets and their progress. Times are seconds since the epoch (UTC)."""

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, String, Table, Text, text

from nunatak.db.schema import metadata

recipes = Table(
    "recipes",
    metadata,
    Column("digest", String(64), primary_key=True),  # SHA-256 of the plan
    Column("plan", Text, nullable=False),  # canonical JSON
    Column("source", Text, nullable=False),  # what the user wrote
    Column("filename", String(255), nullable=False),
    Column("created", Float, nullable=False),
)

datasets = Table(
    "datasets",
    metadata,
    Column("dataset", Integer, primary_key=True, autoincrement=True),
    Column("name", String(255), nullable=False),
    Column("owner", String(255), nullable=False),
    Column("team", String(255), nullable=False, server_default=""),
    Column("recipe", String(64), nullable=False),
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("priority", Float, nullable=False, server_default="1"),
    Column("state", String(8), nullable=False, server_default="open"),  # derived from the counts, kept for lists
    Column("held", Boolean, nullable=False, server_default=text("false")),
    Column("gentle", Boolean, nullable=False, server_default=text("false")),  # held, but what runs may end
    Column("closed", Boolean, nullable=False, server_default=text("false")),
    Column("cancelled", Boolean, nullable=False, server_default=text("false")),
    Column("reason", Text),  # why it is held, closed or cancelled
    Column("created", Float, nullable=False),
    Column("changed", Float, nullable=False),
    Column("ended", Float),
    sqlite_autoincrement=True,
)
Index("ix_datasets_state_dataset", datasets.c.state, datasets.c.dataset)
Index("ix_datasets_owner_dataset", datasets.c.owner, datasets.c.dataset)

revisions = Table(
    "revisions",
    metadata,
    Column("dataset", Integer, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("recipe", String(64), nullable=False),
    Column("author", String(255), nullable=False),
    Column("at", Float, nullable=False),
    Column("done", Integer),  # tasks that were done when it came
    Column("live", Integer),  # tasks that were with engines then, and went on by the one before
)

# Jobs below `next_job` have rows where they were touched; those from it on have none, and cost nothing.
frontier = Table(
    "frontier",
    metadata,
    Column("dataset", Integer, primary_key=True, autoincrement=False),
    Column("next_job", Integer, nullable=False),
    Column("total", Integer, nullable=False),
)

# How many tasks of one name and shape are in each state. Shape 0: jobs not touched yet whose shape depends on the job.
task_counts = Table(
    "task_counts",
    metadata,
    Column("dataset", Integer, primary_key=True, autoincrement=False),
    Column("task", Integer, primary_key=True, autoincrement=False),
    Column("shape", BigInteger, primary_key=True, autoincrement=False),
    *(
        Column(state, Integer, nullable=False, server_default="0")
        for state in ("waiting", "ready", "queued", "running", "done", "failed", "held")
    ),
    postgresql_with={"fillfactor": "50"},
)

job_counts = Table(
    "job_counts",
    metadata,
    Column("dataset", Integer, primary_key=True, autoincrement=False),
    *(Column(state, Integer, nullable=False, server_default="0") for state in ("total", "done", "failed", "held")),
    Column("live", Integer, nullable=False, server_default="0"),  # tasks that are ready, queued or running
    Column("since", Float, nullable=False, server_default="0"),  # when tasks were last given to an engine, about
    postgresql_with={"fillfactor": "50"},
)

# Only jobs of which there is something to say: failed, held or cancelled ones, and those with several last tasks.
jobs = Table(
    "jobs",
    metadata,
    Column("dataset", Integer, primary_key=True, autoincrement=False),
    Column("job", Integer, primary_key=True, autoincrement=False),
    Column("sinks", Integer, nullable=False, server_default="0"),  # last tasks that are done
    Column("failed", Integer, nullable=False, server_default="0"),
    Column("held", Integer, nullable=False, server_default="0"),
    Column("cancelled", Boolean, nullable=False, server_default=text("false")),
)
Index(
    "ix_jobs_trouble",
    jobs.c.dataset,
    jobs.c.job,
    postgresql_where=text("failed > 0 OR held > 0"),
    sqlite_where=text("failed > 0 OR held > 0"),
)

# Who did what: one row an action, whatever it touched.
events = Table(
    "events",
    metadata,
    Column("event", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("dataset", Integer, nullable=False),
    Column("job", Integer),
    Column("task", String(64)),
    Column("actor", String(255), nullable=False),
    Column("verb", String(32), nullable=False),
    Column("detail", Text),
)
Index("ix_events_dataset_event", events.c.dataset, events.c.event)
