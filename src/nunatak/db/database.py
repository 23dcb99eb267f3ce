"""Opens SQLite or PostgreSQL and hands out transactions: one per request or tick, run again when the database asks for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import QueuePool
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from nunatak.core.errors import Invalid, Unavailable

T = TypeVar("T")
AGAIN = {"40001", "40P01", "55P03"}  # serialization failure, deadlock, lock not available
BUSY_MILLISECONDS = 10_000


class Database:
    """One database. `write` and `read` are transactions; `run` is a write that is run again on a deadlock."""

    def __init__(
        self,
        url: str,
        *,
        pool: int = 8,
        statement_seconds: float = 30.0,
        lock_seconds: float = 10.0,
        passing: bool = False,
    ) -> None:
        """Open `sqlite:///PATH` or `postgresql+psycopg://...`; nothing is read or created yet. Raises `Invalid`.

        What is `passing` need not outlive this process: SQLite writes it to the disk when it likes.
        """
        parsed = make_url(url)
        self.url = url
        if parsed.get_backend_name() == "sqlite":
            if not parsed.database or parsed.database == ":memory:":
                raise Invalid("an SQLite database needs a file", code="bad-database", hint="sqlite:////var/lib/x.db")
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            self.writer = _sqlite(url, 1, "BEGIN IMMEDIATE", sync="OFF" if passing else "NORMAL")
            self.reader = _sqlite(url, pool, "BEGIN", query_only=True)
            self.glancer = _sqlite(url, pool, "", query_only=True)
        elif parsed.get_backend_name() == "postgresql":
            if parsed.drivername == "postgresql":
                parsed = parsed.set(drivername="postgresql+psycopg")
            # Every statement here goes by an index to few rows. Tables grow a thousandfold between two looks of the
            # statistics collector, so the planner is kept from plans that suit small tables.
            options = (
                "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c plan_cache_mode=force_generic_plan"
                f" -c statement_timeout={round(statement_seconds * 1000)} -c lock_timeout={round(lock_seconds * 1000)}"
                " -c idle_in_transaction_session_timeout=60000 -c timezone=UTC -c jit=off"
            )
            self.writer = create_engine(parsed, pool_size=pool, max_overflow=0, connect_args={"options": options})
            self.reader = create_engine(
                parsed,
                pool_size=pool,
                max_overflow=0,
                isolation_level="REPEATABLE READ",
                connect_args={"options": f"{options} -c default_transaction_read_only=on"},
            )
            self.glancer = create_engine(
                parsed,
                pool_size=pool,
                max_overflow=0,
                isolation_level="AUTOCOMMIT",
                pool_reset_on_return=None,
                connect_args={"options": f"{options} -c default_transaction_read_only=on"},
            )
        else:
            raise Invalid(f"{url!r} is no SQLite or PostgreSQL address", code="bad-database")

    @property
    def dialect(self) -> str:
        """Return `sqlite` or `postgresql`."""
        return self.writer.dialect.name

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that may write; committed at the end, rolled back on an error."""
        with _translated(), self.writer.begin() as tx:
            yield tx

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that reads one consistent snapshot."""
        with _translated(), self.reader.begin() as tx:
            yield tx

    @contextmanager
    def glance(self) -> Iterator[Connection]:
        """Open a connection for single statements that read, each of its own snapshot: no transaction around them."""
        with _translated(), self.glancer.connect() as connection:
            yield connection

    def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a write transaction, up to five times while the database says to try again."""
        with _translated():
            try:
                return self._once(work)
            except DBAPIError as error:
                if not _asks_again(error):
                    raise
            return self._again(work)

    def _again(self, work: Callable[[Connection], T]) -> T:
        for attempt in Retrying(
            retry=retry_if_exception(_asks_again),
            stop=stop_after_attempt(4),
            wait=wait_random_exponential(0.01, 0.5),
            reraise=True,
        ):
            with attempt:
                return self._once(work)
        raise AssertionError  # Retrying either returns or raises

    def _once(self, work: Callable[[Connection], T]) -> T:
        """Run `work` once. Raises `Unavailable` if nobody can tell whether it was committed."""
        finished = False
        try:
            with self.writer.begin() as tx:
                result = work(tx)
                finished = True
            return result
        except DBAPIError as error:
            if finished and error.connection_invalidated:
                hint = "look whether it was done before asking again"
                raise Unavailable("the database went away while it committed", code="database", hint=hint) from error
            raise

    def close(self) -> None:
        """Close every connection."""
        self.writer.dispose()
        self.reader.dispose()
        self.glancer.dispose()


def _sqlite(url: str, size: int, begin: str, *, query_only: bool = False, sync: str = "NORMAL") -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=60,
        connect_args={"check_same_thread": False, "timeout": BUSY_MILLISECONDS / 1000},
    )

    def prepare(connection: sqlite3.Connection, _: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, by us
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={sync}")
        connection.execute("PRAGMA cache_size=-65536")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("PRAGMA mmap_size=268435456")
        if query_only:
            connection.execute("PRAGMA query_only=ON")

    event.listen(engine, "connect", prepare)
    if begin:
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _asks_again(error: BaseException) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:  # the server went away and may be back: the pool opens new connections
        return True
    original = error.orig
    if isinstance(original, sqlite3.OperationalError):
        return "locked" in str(original) or "busy" in str(original)
    return getattr(original, "sqlstate", None) in AGAIN


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise Unavailable(
            f"the database did not answer: {error.orig}", code="database", hint="it is tried again; see nunatak doctor"
        ) from error
