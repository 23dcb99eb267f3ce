"""`nunatak doctor`: looks at a whole installation, dataset by dataset, and puts kept counts right where asked to.

Each dataset is looked at in a transaction of its own, so that a large installation goes on working meanwhile.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, make_url
from sqlalchemy.exc import DBAPIError

from nunatak.core.clock import iso
from nunatak.core.errors import NunatakError
from nunatak.core.settings import without_secrets
from nunatak.core.units import count_text, time_text
from nunatak.datasets.plan import Plan
from nunatak.db import migrate
from nunatak.db.database import Database
from nunatak.db.statement import Statement
from nunatak.tasks import invariants, store
from nunatak.tasks.context import Contexts

PAGE = 500
SKEW = 5.0
"""Seconds by which clocks of servers may differ."""
STOP_SECONDS = 600.0
"""A stop that an engine has not carried out for so long is worth a word."""

Missing = Callable[[Sequence[str]], Sequence[str]]
"""Returns those of some checksums of which no blob is kept."""

NUMBERS = Statement("SELECT dataset FROM datasets WHERE dataset > :after ORDER BY dataset LIMIT :n")
RECIPES = Statement("SELECT digest, plan FROM recipes WHERE digest > :after ORDER BY digest LIMIT :n")
HELD_BY = Statement(
    "SELECT COUNT(*) AS n FROM tasks WHERE dataset = :dataset AND state IN ('queued', 'running') AND engine = :engine"
)
OLD_STOPS = Statement("SELECT COUNT(*) AS n, MIN(at) AS oldest FROM stops WHERE engine = :engine AND at < :before")


@dataclass(slots=True)
class Report:
    """What was found: faults make an installation unsound, warnings are worth a look, repairs say what was changed."""

    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    datasets: int = 0
    repairable: list[int] = field(default_factory=list)  # datasets whose counts a repair would work out anew

    @property
    def sound(self) -> bool:
        """Tell whether nothing is wrong (any more)."""
        return not self.faults

    def beside(self, faults: Sequence[str], warnings: Sequence[str]) -> Report:
        """Return the same with what else is wrong with the installation, each thing once."""
        return replace(
            self,
            faults=list(dict.fromkeys([*faults, *self.faults])),
            warnings=list(dict.fromkeys([*warnings, *self.warnings])),
        )

    def to_plain(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return {
            "sound": self.sound,
            "datasets": self.datasets,
            "faults": self.faults,
            "warnings": self.warnings,
            "repaired": self.repaired,
            "repairable": self.repairable,
        }

    def __str__(self) -> str:
        """One line for each thing found, and one that sums up."""
        lines = [f"repaired: {text}" for text in self.repaired]
        lines += [f"warning: {text}" for text in self.warnings]
        lines += [f"fault: {text}" for text in self.faults]
        if self.repairable:
            which = ", ".join(map(str, self.repairable[:PAGE]))
            lines.append(
                f"nunatak doctor --repair works out the counts of dataset {which} anew from tasks and attempts,"
                " and changes nothing else"
            )
        found = "sound" if self.sound else count_text(len(self.faults), "fault")
        return "\n".join([*lines, f"{count_text(self.datasets, 'dataset')} looked at: {found}"])


def examine(
    database: Database,
    contexts: Contexts,
    *,
    repair: bool,
    now: float,
    missing: Missing | None = None,
    data: Path | None = None,
    clocks: bool = False,
) -> Report:
    """Look at everything; with `repair`, correct kept counts that are wrong.

    `missing` tells which blobs are not kept, `data` is the directory of the installation, `clocks`: `now` is to be that of
    the database's machine as well. Nothing is raised for what is found, not even for a database that does not answer.
    """
    report = Report()
    if data is not None:
        _directory(report, data)
    try:
        if _database(report, database, now if clocks else None):
            for dataset in _numbers(database):
                _dataset(report, database, contexts, dataset, repair=repair, now=now)
            _engines(report, database, now)
            if missing is not None:
                _blobs(report, database, missing)
    except (NunatakError, DBAPIError) as error:
        report.faults.append(_said(error, database.url))
    return report


def _database(report: Report, database: Database, now: float | None) -> bool:
    """Look whether the database answers, is whole and has this version's schema; if not, there is no use to go on."""
    if absent := no_database(database.url):  # to open it would make one
        report.faults.append(absent)
        return False
    with database.read() as tx:
        if database.dialect == "sqlite":
            damage = [str(row[0]) for row in tx.exec_driver_sql("PRAGMA quick_check(5)")]
            if damage != ["ok"]:
                report.faults += [f"the database file is damaged: {text}" for text in damage]
                return False
        found, newest = migrate.current(tx), migrate.head()
        if database.dialect == "postgresql" and now is not None:
            _clock(report, float(tx.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())").scalar_one()), now)
    if found is None:
        report.faults.append("the database is empty: nunatak up or nunatak migrate makes its tables")
    elif found > newest:
        report.faults.append(f"{(new := migrate.too_new(found, newest)).message}: {new.hint}")
    elif found != newest:
        report.faults.append(f"the database is at revision {found}, this version needs {newest}: run nunatak migrate")
    return found == newest


def _clock(report: Report, theirs: float, now: float) -> None:
    """Compare the clock of the database's machine with ours."""
    ahead = theirs - now
    if abs(ahead) > SKEW:
        which = "ahead of" if ahead > 0 else "behind"
        report.warnings.append(
            f"the clock of the database is {time_text(round(abs(ahead)))} {which} that of this machine: set both by NTP"
        )


def _numbers(database: Database) -> Iterator[int]:
    """Yield the numbers of all datasets, a page at a time."""
    after = 0
    while True:
        with database.read() as tx:
            page = [row.dataset for row in NUMBERS(tx, after=after, n=PAGE)]
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1]


def _dataset(report: Report, database: Database, contexts: Contexts, dataset: int, *, repair: bool, now: float) -> None:
    """Look at one dataset as of one moment, which keeps nobody waiting; a repair keeps those waiting who change counts."""
    with database.read() as tx:
        faults = invariants.check(tx, contexts, [dataset])
        repairable = bool(faults) and bool(invariants.differences(tx, contexts.one(tx, dataset)))
    report.datasets += 1
    if repairable and repair:
        changed, faults = database.run(lambda tx: _repair(tx, contexts, dataset, now))
        report.repaired += changed
    elif repairable:
        report.repairable.append(dataset)
    report.faults += faults


def _repair(tx: Connection, contexts: Contexts, dataset: int, now: float) -> tuple[list[str], list[str]]:
    """Put counts right; returns what was changed, and what is still wrong.

    Counts and rows have to be seen as of one moment in which nobody else changes counts. On PostgreSQL whoever wants to
    waits for the end of this transaction; what others did before is in its snapshot, as that is taken after the locks.
    """
    if tx.dialect.name == "postgresql":
        tx.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        tx.exec_driver_sql("LOCK TABLE frontier IN EXCLUSIVE MODE")
        tx.exec_driver_sql("LOCK TABLE task_counts, job_counts IN SHARE ROW EXCLUSIVE MODE")
    changed = invariants.repair(tx, contexts, dataset, now)
    return changed, invariants.check(tx, contexts, [dataset])


def _engines(report: Report, database: Database, now: float) -> None:
    with database.read() as tx:
        leasing = [row.dataset for row in store.LEASING_DATASETS(tx)]
        for engine in store.ENGINES(tx):
            held = sum(HELD_BY(tx, dataset=dataset, engine=engine.engine)[0].n for dataset in leasing)
            report.warnings += _about(engine, held, now)
            late = OLD_STOPS(tx, engine=engine.engine, before=now - STOP_SECONDS)[0]
            if late.n:
                report.warnings.append(
                    f"engine {engine.name} was told to end {count_text(late.n, 'attempt')} since {iso(late.oldest)},"
                    " and has not said so"
                )


def _about(engine: Any, held: int, now: float) -> list[str]:
    """Say what is strange about one engine that holds so many tasks."""
    if engine.seen > now + SKEW:
        return [
            f"engine {engine.name} was heard of {time_text(round(engine.seen - now))} from now: the clock was set back"
        ]
    if engine.lease_until >= now:
        return []
    silent = f"engine {engine.name} was not heard of since {iso(engine.seen)}"
    if held:
        return [f"{silent}; its {'task goes' if held == 1 else f'{held} tasks go'} to others as soon as a server runs"]
    return [silent]


def _blobs(report: Report, database: Database, missing: Missing) -> None:
    """Look whether the files sent along with recipes are there."""
    after = ""
    while True:
        with database.read() as tx:
            rows = RECIPES(tx, after=after, n=PAGE)
        for row in rows:
            plan = Plan.from_plain(json.loads(row.plan))
            wanted = {file.sha256: name for name, file in plan.files.items() if not file.url}
            for sha256 in missing(sorted(wanted)):
                report.faults.append(f'the file {wanted[sha256]} of the recipe "{plan.name}" is gone: blob {sha256}')
        if len(rows) < PAGE:
            return
        after = rows[-1].digest


def _directory(report: Report, data: Path) -> None:
    """Look whether the directory can be used, and keeps its secrets."""
    if not data.is_dir():
        report.faults.append(f"there is no directory {data}")
        return
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        report.faults.append(f"{data} cannot be written by this user")
    if data.stat().st_mode & 0o077:
        report.warnings.append(f"{data} is open to other users: chmod 700 {data}")
    for name in ("token", "engine.token"):
        file = data / name
        if file.is_file() and file.stat().st_mode & 0o077:
            report.faults.append(f"{file} holds a secret and can be read by others: chmod 600 {file}")


def no_database(url: str) -> str:
    """Say that a database in a file is not there; "" for all others."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return ""
    try:
        if Path(parsed.database or "").exists():
            return ""
    except OSError as error:
        return f"{parsed.database} cannot be looked at: {error.strerror}"
    return (
        f"there is no database {parsed.database}: nunatak up makes one, --data or NUNATAK_DATA names another directory"
    )


def _said(error: Exception, url: str) -> str:
    """Say why nothing could be looked at, and what helps."""
    where = without_secrets(url)
    if isinstance(error, NunatakError):
        helps = f"does it run, and is the setting database right ({where})?" if error.code == "database" else error.hint
        return f"{error.message}; {helps.removeprefix('it is tried again; ')}"
    said = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    broken = "not a database" in said or "malformed" in said
    return f"{where}: {said}" + ("; put a backup in its place: docs/how-to/back-up.md" if broken else "")
