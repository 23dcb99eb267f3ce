"""What the engine of a pool needs after a restart: its attempts, their orders and how far the event logs were read.

One SQLite file. What was learnt from a log and how far it was read are written in one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nunatak.core.errors import Unavailable
from nunatak.engines.htcondor.bindings import Job
from nunatak.engines.keys import Key

_TABLES = """
CREATE TABLE IF NOT EXISTS attempts (
    number INTEGER PRIMARY KEY, address TEXT NOT NULL, lease TEXT NOT NULL, segment INTEGER NOT NULL, home TEXT NOT NULL,
    member INTEGER NOT NULL, cluster INTEGER, proc INTEGER, begun REAL, host TEXT NOT NULL, memory INTEGER NOT NULL,
    stop TEXT NOT NULL, probe TEXT NOT NULL, ended REAL, outcome TEXT NOT NULL, UNIQUE (address, lease)
);
CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY, text BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS segments (number INTEGER PRIMARY KEY, position INTEGER NOT NULL, mark BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS engine (name TEXT NOT NULL);
"""
_COLUMNS = (
    "number, address, lease, segment, home, member, cluster, proc, begun, host, memory, stop, probe, ended, outcome"
)
_KEEP = f"INSERT OR REPLACE INTO attempts ({_COLUMNS}) VALUES ({', '.join('?' * 15)})"  # noqa: S608 - constants


@dataclass(slots=True)
class Attempt:
    """One attempt: its job once it is known, when it began and where, why we stopped it, and how it ended (JSON).

    `home` is the job's directory below that of all; `member` its number in a series, -1 if it is alone.
    """

    number: int
    key: Key
    segment: int
    home: str = ""
    member: int = -1
    job: Job | None = None
    begun: float | None = None
    host: str = ""
    memory: int = 0  # bytes, as HTCondor measured
    stop: str = ""
    probe: str = ""  # the node that is tried with it
    ended: float | None = None
    outcome: str = ""

    @property
    def external(self) -> str:
        """Return the job as HTCondor's commands write it."""
        return f"{self.job[0]}.{self.job[1]}" if self.job else ""


class Records:
    """The file; every method that writes is one transaction and raises `Unavailable` if that cannot be."""

    def __init__(self, path: Path, fresh_name: str) -> None:
        """Open or make it; a new one is for the engine `fresh_name`."""
        try:
            self._file = sqlite3.connect(path, isolation_level=None)
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = FULL")
            self._file.executescript(_TABLES)
            if not self._file.execute("SELECT name FROM engine").fetchall():
                self._file.execute("INSERT INTO engine (name) VALUES (?)", (fresh_name,))
            self.name: str = self._file.execute("SELECT name FROM engine").fetchone()[0]
        except sqlite3.Error as error:
            raise _away(error) from error

    def attempts(self) -> list[Attempt]:
        """Return all attempts in the order of their arrival."""
        rows = self._file.execute(f"SELECT {_COLUMNS} FROM attempts ORDER BY number").fetchall()  # noqa: S608
        return [
            Attempt(
                number, (address, lease), segment, home, member, (cluster, proc) if cluster is not None else None, *rest
            )
            for number, address, lease, segment, home, member, cluster, proc, *rest in rows
        ]

    def order(self, number: int) -> bytes:
        """Return the order of an attempt; empty if there is none any more."""
        try:
            found = self._file.execute("SELECT text FROM orders WHERE number = ?", (number,)).fetchone()
        except sqlite3.Error as error:
            raise _away(error) from error
        return found[0] if found else b""

    def segments(self) -> dict[int, tuple[int, bytes]]:
        """Return how far each log was read, and how it begins."""
        return {number: (at, mark) for number, at, mark in self._file.execute("SELECT * FROM segments ORDER BY number")}

    def keep(
        self,
        changed: Iterable[Attempt],
        gone: Iterable[int],
        segments: Mapping[int, tuple[int, bytes]],
        orders: Mapping[int, bytes] | None = None,
    ) -> None:
        """Keep what changed and new orders, forget attempts by number, and have exactly these segments."""
        numbers: Sequence[tuple[int]] = [(number,) for number in gone]
        try:
            self._file.execute("BEGIN IMMEDIATE")
            try:
                self._file.executemany(_KEEP, [_row(attempt) for attempt in changed])
                self._file.executemany("INSERT OR REPLACE INTO orders VALUES (?, ?)", (orders or {}).items())
                self._file.executemany("DELETE FROM attempts WHERE number = ?", numbers)
                self._file.executemany("DELETE FROM orders WHERE number = ?", numbers)
                self._file.execute("DELETE FROM segments")
                self._file.executemany(
                    "INSERT INTO segments VALUES (?, ?, ?)", [(number, *rest) for number, rest in segments.items()]
                )
                self._file.execute("COMMIT")
            except BaseException:
                if self._file.in_transaction:
                    self._file.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise _away(error) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _row(attempt: Attempt) -> tuple[object, ...]:
    cluster, proc = attempt.job or (None, None)
    return (
        attempt.number, *attempt.key, attempt.segment, attempt.home, attempt.member, cluster, proc, attempt.begun,
        attempt.host, attempt.memory, attempt.stop, attempt.probe, attempt.ended, attempt.outcome,
    )  # fmt: skip


def _away(error: Exception) -> Unavailable:
    return Unavailable(
        f"the engine cannot write its records: {error}", code="engine-directory", hint="check space and permissions"
    )
