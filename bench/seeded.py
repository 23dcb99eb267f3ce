"""What pages are looked at over: one dataset of a million jobs in the middle of its life, errors of years, engines and nodes.

Rows are written as reports would leave them, by a few statements over series; `nunatak doctor` finds nothing to say of them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, text
from tests.pages.chain import recipe

from bench.installation import Connection as Client
from bench.installation import Installation
from bench.lives import CAPACITY
from nunatak.core.address import parse
from nunatak.tasks.health.drain import Health, Standing
from nunatak.tasks.logs.keeping import LogStore

SITES, ENGINES, NODES = 20, 40, 4000
SIGNATURES = 2000
"""Different ones among all datasets that are done; the large dataset has `OWN` more."""
OWN = 40
BAD = 13
"""Of a hundred jobs in a row, the one whose second task failed."""
BUSY = 50
"""Of so many touched jobs one runs its first task; as many run the second, and as many are ready for it."""

# One line for each job that was touched: how many of its tasks have rows, and the state of the last of these.
_JOBS = (
    "(SELECT job, CASE WHEN job % 100 = 7 THEN 0 WHEN job % 100 = {bad} THEN 1 WHEN job >= :n - :busy THEN 0"
    " WHEN job >= :n - 3 * :busy THEN 1 ELSE 2 END AS depth, CASE WHEN job % 100 IN (7, {bad}) THEN 'failed'"
    " WHEN job >= :n - :busy THEN 'running' WHEN job >= :n - 2 * :busy THEN 'ready' WHEN job >= :n - 3 * :busy"
    " THEN 'running' ELSE 'done' END AS last FROM generate_series(0, CAST(:n AS int) - 1) AS j(job)) jobs"
).replace("{bad}", str(BAD))
_TASKS = (
    "(SELECT job, task, state, CASE WHEN state = 'ready' THEN 0 WHEN state = 'failed' OR job % 10 = 3 AND state = 'done'"
    " THEN 2 ELSE 1 END AS tries, 1 + (job + task) % :engines AS engine, 'node' || (job + task) % 100 AS host"
    f" FROM (SELECT job, task, CASE WHEN task < depth THEN 'done' ELSE last END AS state FROM {_JOBS},"
    " generate_series(0, 2) AS t(task) WHERE task <= depth) s) tasks_of"
)
TASKS = (
    "INSERT INTO tasks (dataset, job, task, state, shape, pending, attempt, tries, not_before, since, engine, claimed,"
    " started, host, asked, lease, reason) SELECT :dataset, job, task, state, :shape, 0, tries, tries - 1, 0, :now,"
    " engine, :now, CASE WHEN tries > 0 THEN :now END, host, :shape, CASE WHEN state = 'running' THEN 1 + job END,"
    f" CASE WHEN state = 'failed' THEN 'the command failed twice' END FROM {_TASKS}"
)
ATTEMPTS = (
    "INSERT INTO attempts (dataset, job, task, attempt, lease, engine, shape, host, claimed, started, ended, reason,"
    " verdict, action, message, counted, signature, lines, exit, wall, cpu, memory, disk, outputs) SELECT :dataset, job,"
    " task, k, 77, engine, :shape, host, :now, :now, :now, CASE WHEN good THEN 'ok' ELSE 'exit' END,"
    " CASE WHEN good THEN 'ok' ELSE 'user-error' END, CASE WHEN good THEN 'done' WHEN state = 'failed' AND k = 2 THEN"
    " 'failed' ELSE 'again' END, CASE WHEN NOT good THEN 'KeyError: ''spice_ftp_v3''' END, NOT good,"
    f" CASE WHEN NOT good THEN 'E' || lpad((job / 10 % {OWN})::text, 9, '0') END, CASE WHEN NOT good THEN"
    """ '["KeyError: ''spice_ftp_v3''"]' END, CASE WHEN good THEN 0 ELSE 1 END, 2.0, 1.5, 100000000, 1000000, CASE WHEN"""
    """ good THEN '[{"name": "' || names[1 + task] || '", "url": "' || :place || job || '/' || names[1 + task] ||"""
    """ '", "size": 1000000, "sha256": "' || md5(job::text) || md5(task::text) || '"}]' END FROM (SELECT *,"""
    " state = 'done' AND k = tries AS good, ARRAY['muons.parquet', 'light.parquet', 'hits.parquet'] AS names"
    f" FROM {_TASKS}, generate_series(1, 2) AS a(k) WHERE k <= tries AND state IN ('done', 'failed')) s"
)
COUNT = (
    "UPDATE task_counts c SET ready = c.ready + COALESCE(k.ready, 0) - CASE WHEN c.task = 0 THEN :n ELSE 0 END,"
    " waiting = c.waiting - COALESCE(k.touched, 0) * CASE WHEN c.task = 0 THEN 0 ELSE 1 END, running = COALESCE(k.running, 0),"
    " done = COALESCE(k.done, 0), failed = COALESCE(k.failed, 0) FROM (SELECT task, COUNT(*) AS touched, COUNT(*) FILTER"
    " (WHERE state = 'ready') AS ready, COUNT(*) FILTER (WHERE state = 'running') AS running, COUNT(*) FILTER (WHERE state"
    " = 'done') AS done, COUNT(*) FILTER (WHERE state = 'failed') AS failed FROM tasks WHERE dataset = :dataset GROUP BY"
    " task) k WHERE c.dataset = :dataset AND c.task = k.task"
)
COUNT_JOBS = (
    "UPDATE job_counts SET done = (SELECT done FROM task_counts WHERE dataset = :dataset AND task = 2), failed = (SELECT"
    " SUM(failed) FROM task_counts WHERE dataset = :dataset), live = (SELECT SUM(ready + queued + running) FROM task_counts"
    " WHERE dataset = :dataset) WHERE dataset = :dataset"
)
REST = (
    "INSERT INTO jobs (dataset, job, failed) SELECT dataset, job, 1 FROM tasks WHERE dataset = :dataset AND state = 'failed'",
    "UPDATE frontier SET next_job = :n WHERE dataset = :dataset",
    "UPDATE lessons SET begun = :now WHERE dataset = :dataset",
    "INSERT INTO spent (dataset, site, cause, attempts, wall, cpu, core_hours, gpu_hours, era, core, gpu) SELECT :dataset,"
    " 'site' || s, c, :n, 2.0 * :n, 1.5 * :n, :n / 1800.0, 0, 0, :n / 1800.0, 0 FROM generate_series(1, 20) AS g(s),"
    " (VALUES ('ok'), ('user')) AS v(c)",
)
GROUPS = (
    "INSERT INTO error_groups (dataset, signature, kind, pattern, attempts, tasks, first_at, last_at, job, task, attempt,"
    " message, advice, lines, sites, nodes) SELECT d, '{letter}' || lpad((({spread}) % :different)::text, 9, '0'), CASE g % 3"
    " WHEN 0 THEN 'user-error' WHEN 1 THEN 'out-of-memory' ELSE 'input-missing' END, 'KeyError: <text> in line <n> of'"
    " || ' table ' || g, 10 + g % 50, CASE WHEN {failing} THEN 1 + g % 9 ELSE 0 END, :now - 86400, :now - g - d,"
    " {job}, 0, 1, 'KeyError: ''spice_ftp_v3''', 'Look at the line of the program, mend it and send it again',"
    """ '["KeyError: ''spice_ftp_v3''"]', '{{"counts": {{"site' || 1 + g % 20 || '": 9, "site' || 1 + (g + d) % 20 || '":"""
    """ 3}}}}', '{{"counts": {{"node' || g % 100 || '": 4, "node' || (g + 1) % 100 || '": 2}}}}' FROM"""
    " generate_series(CAST(:first AS int), CAST(:last AS int)) AS a(d), generate_series(1, CAST(:each AS int)) AS b(g)"
    " ON CONFLICT DO NOTHING"
)


def write(running: Installation, work: Callable[[Connection], object]) -> None:
    """Do something in one transaction, however long it takes."""
    with running.database.write() as tx:
        tx.execute(text("SET LOCAL statement_timeout = 0"))
        work(tx)


def engines(to: Client) -> None:
    """Register engines at all sites, or let them say that they live."""
    for n in range(ENGINES):
        body = {"kind": "bench", "site": f"site{1 + n % SITES}", "session": "s", "capacity": CAPACITY}
        to.post(f"/api/v1/engines/engine{n + 1}/register", body)


def nodes(running: Installation) -> None:
    """Write down nodes, one of fifty drained."""
    now = time.time()
    drained = Standing(Health.DRAINED, now - 600, now + 9000, 1, by="operator", reason="disk")
    bad = json.dumps(drained.to_plain())
    rows = [
        {"site": f"site{1 + n % SITES}", "name": f"node{n // SITES}", "now": now, "standing": None if n % 50 else bad}
        for n in range(NODES)
    ]
    add = (
        "INSERT INTO health (kind, site, name, seen, at, standing) VALUES ('node', :site, :name, :now, :now, :standing)"
    )
    write(running, lambda tx: tx.execute(text(add), rows))


def submit(to: Client, name: str, jobs: int) -> int:
    """Submit three tasks in a row, `jobs` times."""
    body = {
        "text": recipe(name, jobs),
        "filename": "muons.yaml",
        "manifest": {"files": {}, "matches": {}},
    }
    return int(to.post("/api/v1/datasets", body)["dataset"])


def large(running: Installation, jobs: int) -> int:
    """Make a dataset of which nine of ten jobs were touched: most are done, some failed, many run; returns its number."""
    dataset, n = submit(running.connect(), "muons, new ice", jobs), jobs * 9 // 10
    place = f"file://{running.place}/data/store/{dataset}/"

    def work(tx: Connection) -> None:
        shape = tx.execute(
            text("SELECT shape FROM task_counts WHERE dataset = :d LIMIT 1"), {"d": dataset}
        ).scalar_one()
        values: dict[str, Any] = {
            "dataset": dataset,
            "n": n,
            "busy": n // BUSY,
            "engines": ENGINES,
            "now": time.time() - 600.0,
        }
        values |= {"shape": shape, "place": place}
        for statement in (TASKS, ATTEMPTS, COUNT, COUNT_JOBS, *REST):
            tx.execute(text(statement), values)
        groups = GROUPS.format(letter="E", spread="g - 1", failing="true", job=f"{BAD} + 100 * (g - 1)")
        tx.execute(text(groups), {**values, "first": dataset, "last": dataset, "each": OWN, "different": OWN})

    write(running, work)
    return dataset


def errors(running: Installation, last: int, each: int) -> None:
    """Give every dataset up to `last`, which are done, `each` kinds of errors that it got over."""
    values = {"first": 1, "last": last, "each": each, "different": SIGNATURES, "now": time.time() - 1000.0}
    groups = GROUPS.format(letter="F", spread="g * 7 + d * 13", failing="false", job="g")
    write(running, lambda tx: tx.execute(text(groups), values))


def log(running: Installation, address: str, size: int, *, ended: bool) -> None:
    """Write a log of `size` bytes, of lines as a program writes them, as the server keeps it."""
    logs, wanted = LogStore(running.place / "data" / "logs", limit=10**9), parse(address)
    begin = time.time()
    line = "{:.3f} INFO propagate: event {} of 5000000, {} photons at depth {:.2f} m in {:.4f} s\n"
    at, number = 0, 0
    while at < size:
        block = []
        for _ in range(10_000):
            number += 1
            block.append(
                line.format(begin + number, number, number * 7919 % 100_003, number % 977 * 1.7, number % 613 / 997)
            )
        data = "".join(block).encode()
        logs.append([(wanted, "stdout", at, data)])
        at += len(data)
    if ended:
        logs.finish([wanted])
