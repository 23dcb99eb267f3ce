"""Hot SQL written once for both databases: sets of rows travel as one parameter, the rest is common SQL."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row

_NAME = re.compile(r"(?<!:):([a-z_]+)")
_POSTGRES_TYPES = {"int": "integer", "big": "bigint", "real": "double precision", "text": "text"}


class Statement:
    """One SQL statement in which `{name}` stands for a set of rows and `:name` for a value.

    Sets are declared by keyword as `name="column type, ..."` with types int, big, real, text. On PostgreSQL a set is an
    `unnest` of one array a column; on SQLite one JSON array read by `json_each`. `{lock}` becomes `FOR UPDATE SKIP LOCKED`,
    `{wait}` becomes `FOR UPDATE` on PostgreSQL; both vanish on SQLite, where the writer is alone.
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

    def __call__(self, tx: Connection, **values: Any) -> Sequence[Row[Any]]:
        """Run it; sets are given as sequences of tuples. Returns the rows, if the statement returns any."""
        if tx.dialect.name == "postgresql":
            result = tx.exec_driver_sql(self.postgresql, self._arrays(values))
        else:
            parameters = {key: json.dumps(value) if key in self.sets else value for key, value in values.items()}
            result = tx.exec_driver_sql(self.sqlite, parameters)
        return result.fetchall() if result.returns_rows else ()

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
    """Adding many rows to one table without asking anything back, the fastest way each database has."""

    def __init__(self, table: str, columns: str) -> None:
        """Prepare for `columns`, separated by commas."""
        self.count = columns.count(",") + 1
        self.postgresql = f"COPY {table} ({columns}) FROM STDIN"
        self.sqlite = f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * self.count)})"

    def __call__(self, tx: Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Add the rows. Raises `IntegrityError` of the driver if one is there already."""
        if tx.dialect.name == "postgresql":
            driver = tx.connection.driver_connection
            assert driver is not None
            with driver.cursor() as cursor, cursor.copy(self.postgresql) as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            tx.exec_driver_sql(self.sqlite, [tuple(row) for row in rows])


def _array(items: Iterable[Any], kind: str) -> str:
    """Return PostgreSQL's text form of an array; the driver's own takes ten times as long for thousands of elements."""
    if kind == "text":
        return "{" + ",".join(["NULL" if item is None else _quoted(item) for item in items]) + "}"
    return "{" + ",".join(["NULL" if item is None else repr(item) for item in items]) + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\0", "") + '"'


def _unnest(name: str, columns: Sequence[tuple[str, ...]]) -> str:
    arrays = ", ".join(f"CAST(:{name}_{column} AS {_POSTGRES_TYPES[kind]}[])" for column, kind in columns)
    return f"unnest({arrays}) AS {name}({', '.join(column for column, _ in columns)})"


def _json_each(name: str, columns: Sequence[tuple[str, ...]]) -> str:
    parts = ", ".join(f"json_extract(value, '$[{number}]') AS {column}" for number, (column, _) in enumerate(columns))
    return f"(SELECT {parts} FROM json_each(:{name})) AS {name}"
