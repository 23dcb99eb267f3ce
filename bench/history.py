"""A database with years behind it: many finished datasets, every task and attempt with its row."""

from __future__ import annotations

import time

from sqlalchemy import text

from nunatak.core.work import Shape
from nunatak.datasets.plan import CommandPlan, Plan, TaskPlan
from nunatak.db.database import Database
from nunatak.tasks.context import Contexts
from nunatak.tasks.shapes import number_of
from nunatak.tasks.unfold import submit

NAMES = ("a", "b", "c", "d", "e")
SHAPE = Shape().rounded()
SERIES = {
    "postgresql": "generate_series(0, :jobs - 1) AS j(job), generate_series(0, 4) AS t(task)",
    "sqlite": "(WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < :jobs - 1) SELECT n AS job FROM s)"
    " AS j, (WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 4) SELECT n AS task FROM s) AS t",
}
TASKS = (
    "INSERT INTO tasks (dataset, job, task, state, shape, pending, attempt, tries, not_before, since, engine, claimed,"
    " started, host, asked) SELECT :dataset, job, task, 'done', :shape, 0, 1, 0, 0, :now, 1, :now, :now, 'node1', :shape"
    " FROM {series}"
)
ATTEMPTS = (
    "INSERT INTO attempts (dataset, job, task, attempt, lease, engine, shape, host, claimed, started, ended, reason, verdict,"
    " action, exit, wall, cpu, memory, disk) SELECT :dataset, job, task, 1, 77, 1, :shape, 'node1', :now, :now, :now, 'ok',"
    " 'ok', 'done', 0, 2.0, 1.5, 100000000, 1000000 FROM {series}"
)
SPENT = (
    "INSERT INTO spent (dataset, site, cause, attempts, wall, cpu, core_hours, gpu_hours, era, core, gpu)"
    " VALUES (:dataset, 'here', 'ok', 5 * :jobs, 10.0 * :jobs, 7.5 * :jobs, 0.0028 * :jobs, 0, 0, 0.0028 * :jobs, 0)"
)

FILLED, GROWN = 70, 75
"""How full pages of tasks are made, in percent, and how full they are when their rows have lived: those grew from 96 to 136
bytes meanwhile, so that there is room for no other. Rows that are written at once as they end would leave room for one in
each page: new tasks would then be added to as many old pages, each read and written for one row, which lives never bring about.
"""


def plan(jobs: int) -> Plan:
    """Return five tasks in a row."""
    tasks = [
        TaskPlan(name, False, NAMES[max(0, n - 1) : n], (CommandPlan(("true",)),), needs={"cpu": 1}, shape=SHAPE)
        for n, name in enumerate(NAMES)
    ]
    return Plan("history", jobs, tuple(tasks))


def fill(database: Database, datasets: int, jobs: int) -> None:
    """Add `datasets` finished datasets of `jobs` jobs with five tasks each."""
    _fill_pages(database, GROWN)
    contexts, now, series = Contexts(), time.time() - 86400.0, SERIES[database.dialect]
    for _ in range(datasets):
        with database.write() as tx:
            number = submit(tx, contexts, plan(jobs), source="", filename="h.yaml", owner="bench", team="", now=now)
            values = {"dataset": number, "jobs": jobs, "shape": number_of(SHAPE), "now": now}
            if database.dialect == "postgresql":
                tx.execute(text("SET LOCAL statement_timeout = 0"))
            tx.execute(text(TASKS.format(series=series)), values)
            tx.execute(text(ATTEMPTS.format(series=series)), values)
            for statement in (
                SPENT,
                "UPDATE task_counts SET waiting = 0, ready = 0, done = :jobs WHERE dataset = :dataset",
                "UPDATE job_counts SET done = :jobs, live = 0 WHERE dataset = :dataset",
                "UPDATE frontier SET next_job = :jobs WHERE dataset = :dataset",
                "UPDATE datasets SET state = 'done', ended = :now WHERE dataset = :dataset",
            ):
                tx.execute(text(statement), values)
    _fill_pages(database, FILLED)


def _fill_pages(database: Database, percent: int) -> None:
    """Have pages of tasks filled so far from now on; SQLite fills them as it likes."""
    if database.dialect == "postgresql":
        with database.write() as tx:
            tx.execute(text(f"ALTER TABLE tasks SET (fillfactor = {percent})"))
