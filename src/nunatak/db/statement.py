"""Hot SQL written once for both databases: sets of rows travel as one parameter, the rest is common SQL."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from nunatak.db.faults import is_stale

_NAME = re.compile(r"(?<!:):([a-z_]+)")
_POSTGRES_TYPES = {
    "int": "integer",
    "big": "bigint",
    "real": "double precision",
    "text": "text",
    "small": "smallint",
    "bool": "boolean",
}


class Row(tuple[Any, ...]):
    """One row of a result: columns by name or by place."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return a column."""


class Statement:
    """One SQL statement in which `{name}` stands for a set of rows and `:name` for a value.

    Sets are declared by keyword as `name="column type, ..."` with types int, big, real, text. On PostgreSQL a set is an
    `unnest` of one array a column; on SQLite one JSON array read by `json_each`. `{lock}` becomes `FOR UPDATE SKIP LOCKED`,
    `{wait}` becomes `FOR UPDATE` on PostgreSQL; both vanish on SQLite, where the writer is alone.

    It speaks to the driver itself: what SQLAlchemy does around a statement costs more than most of these statements.
    """

    def __init__(self, sql: str, **sets: str) -> None:
        """Prepare the text for both dialects."""
        self.sets = {name: [tuple(column.split()) for column in columns.split(",")] for name, columns in sets.items()}
        postgres = {name: _unnest(name, columns) for name, columns in self.sets.items()}
        sqlite = {name: _json_each(name, columns) for name, columns in self.sets.items()}
        text = " ".join(sql.split()).replace("%", "%%")
        self.postgresql = _NAME.sub(
            r"%(\1)s", text.format(lock="FOR UPDATE SKIP LOCKED", wait="FOR UPDATE", **postgres)
        )
        self.sqlite = text.replace("%%", "%").format(lock="", wait="", **sqlite)
        self._make: Callable[[Iterable[Any]], Any] | None = None
        self._width = 0

    def __call__(self, tx: Connection, **values: Any) -> Sequence[Row]:
        """Run it; sets are given as sequences of tuples. Returns the rows, if the statement returns any.

        Raises `sqlalchemy.exc.DBAPIError`.
        """
        driver: Any = tx.connection.driver_connection
        try:
            if tx.dialect.name == "postgresql":
                cursor = driver.execute(self.postgresql, self._arrays(values))
                width = cursor.pgresult.nfields  # of a description, each column is made anew whenever it is asked for
            else:
                cursor = driver.execute(self.sqlite, self._json(values))
                width = len(cursor.description or ())
            if not width:
                return ()
            make = self._make
            if make is None or width != self._width:  # a migration adds columns under our feet
                make = self._rows(cursor.description)
            return [make(row) for row in cursor.fetchall()]
        except (psycopg.Error, sqlite3.Error) as error:
            raise translated(tx, self.sqlite, error) from error

    def _rows(self, description: Sequence[Any]) -> Callable[[Iterable[Any]], Any]:
        new: Any = namedtuple  # its fields are known only now
        make: Callable[[Iterable[Any]], Any] = new("Row", [column[0] for column in description], rename=True)._make
        self._width, self._make = len(description), make
        return make

    def _json(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {key: json.dumps(value) if key in self.sets else value for key, value in values.items()}

    def _arrays(self, values: Mapping[str, Any]) -> dict[str, Any]:
        parameters: dict[str, Any] = {}
        for key, value in values.items():
            if key not in self.sets:
                parameters[key] = value
                continue
            columns: Iterable[Sequence[Any]] = zip(*value, strict=True) if value else ([] for _ in self.sets[key])
            for (column, kind), items in zip(self.sets[key], columns, strict=True):
                parameters[f"{key}_{column}"] = _array(items, kind)
        return parameters


class Addition:
    """Adding many rows to one table without asking anything back, the fastest way each database has.

    PostgreSQL gets them in its binary form: text takes seven times as long to write, and has to be read again there.
    """

    def __init__(self, table: str, columns: str) -> None:
        """Prepare for `columns`: name and type as in `Statement`, separated by commas; types are small and bool besides."""
        pairs = [tuple(column.split()) for column in columns.split(",")]
        names = ", ".join(name for name, _ in pairs)
        self.types = [_POSTGRES_TYPES[kind] for _, kind in pairs]
        self.postgresql = f"COPY {table} ({names}) FROM STDIN (FORMAT BINARY)"
        self.sqlite = f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(pairs))})"

    def __call__(self, tx: Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Add the rows. Raises `sqlalchemy.exc.DBAPIError` if one is there already."""
        driver: Any = tx.connection.driver_connection
        try:
            if tx.dialect.name == "postgresql":
                with driver.cursor() as cursor, cursor.copy(self.postgresql) as copy:
                    copy.set_types(self.types)
                    for row in rows:
                        copy.write_row(row)
            else:
                driver.executemany(self.sqlite, [tuple(row) for row in rows])
        except (psycopg.Error, sqlite3.Error) as error:
            raise translated(tx, self.sqlite, error) from error


def translated(tx: Connection, sql: str, error: psycopg.Error | sqlite3.Error) -> BaseException:
    """Return a driver's error as SQLAlchemy's, so that callers see one kind; drops connections that the server closed."""
    closed: bool = isinstance(error, psycopg.Error) and tx.connection.driver_connection.closed  # type: ignore[union-attr]
    gone = closed or is_stale(error)
    if gone:
        tx.invalidate(error)
    base = psycopg.Error if isinstance(error, psycopg.Error) else sqlite3.Error
    return DBAPIError.instance(
        sql, None, error, base, hide_parameters=True, connection_invalidated=gone, dialect=tx.dialect
    )


def _array(items: Iterable[Any], kind: str) -> str:
    """Return PostgreSQL's text form of an array; the driver's own takes ten times as long for thousands of elements."""
    if kind == "text":
        quoted = {item: "NULL" if item is None else _quoted(item) for item in set(items)}  # most occur many times
        return "{" + ",".join([quoted[item] for item in items]) + "}"
    listed = list(items)
    if None not in listed:
        return "{" + repr(listed)[1:-1] + "}"
    return "{" + ",".join(["NULL" if item is None else repr(item) for item in listed]) + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\0", "") + '"'


def _unnest(name: str, columns: Sequence[tuple[str, ...]]) -> str:
    arrays = ", ".join(f"CAST(:{name}_{column} AS {_POSTGRES_TYPES[kind]}[])" for column, kind in columns)
    return f"unnest({arrays}) AS {name}({', '.join(column for column, _ in columns)})"


def _json_each(name: str, columns: Sequence[tuple[str, ...]]) -> str:
    parts = ", ".join(f"json_extract(value, '$[{number}]') AS {column}" for number, (column, _) in enumerate(columns))
    return f"(SELECT {parts} FROM json_each(:{name})) AS {name}"
