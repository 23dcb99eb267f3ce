"""Opens SQLite or PostgreSQL and hands out transactions: one per request or tick, run again when the database asks for it."""

from __future__ import annotations

import select
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool
from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_random_exponential

from nunatak.core.errors import Invalid, Unavailable
from nunatak.db.bounds import Bounds
from nunatak.db.faults import AWAY, asks_again, is_stale, unavailable
from nunatak.db.outage import Outage

T = TypeVar("T")
BUSY_SECONDS = 10.0
TRIES = 5
TOTAL_SECONDS = 10.0
"""No new try is begun after so long: whoever asked waits, and asks again."""


class Database:
    """One database. `write` and `read` are transactions; `run` is a write that is run again on a deadlock."""

    def __init__(
        self,
        url: str,
        bounds: Bounds | None = None,
        *,
        name: str = "nunatak",
        passing: bool = False,
    ) -> None:
        """Open `sqlite:///PATH` or `postgresql+psycopg://...`; nothing is read or created yet. Raises `Invalid`.

        `name` is what PostgreSQL shows of its connections. What is `passing` need not outlive this process: SQLite writes it
        to the disk when it likes.
        """
        parsed, self.bounds = _parsed(url), bounds or Bounds()
        self.url, self.outage = url, Outage()
        if parsed.get_backend_name() == "sqlite":
            Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
            size, wait = self.bounds.pool, self.bounds.wait
            self.writer = _sqlite(url, 1, wait, "BEGIN IMMEDIATE", sync="OFF" if passing else "NORMAL")
            self.reader = _sqlite(url, size, wait, "BEGIN", query_only=True)
            self.glancer = _sqlite(url, size, wait, "", query_only=True)
            return

        def opened(*, read_only: bool = True, **more: Any) -> Engine:
            options = self.bounds.options(read_only=read_only)
            return _postgresql(parsed, self.bounds, {"application_name": name, "options": options}, **more)

        self.writer = opened(read_only=False)
        self.reader = opened(isolation_level="REPEATABLE READ")
        self.glancer = opened(isolation_level="AUTOCOMMIT", pool_reset_on_return=None)

    @property
    def dialect(self) -> str:
        """Return `sqlite` or `postgresql`."""
        return self.writer.dialect.name

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that may write; committed at the end, rolled back on an error."""
        with self._watched(wrote=True), self.writer.begin() as tx:
            yield tx

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that reads one consistent snapshot."""
        with self._watched(), self.reader.begin() as tx:
            yield tx

    @contextmanager
    def glance(self) -> Iterator[Connection]:
        """Open a connection for single statements that read, each of its own snapshot: no transaction around them."""
        with self._watched(), self.glancer.connect() as connection:
            yield connection

    def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a write transaction, up to five times within ten seconds while the database says to try again.

        Raises `Unavailable` if it does not go along.
        """
        with self._watched(wrote=True):
            try:
                return self._once(work)
            except DBAPIError as error:
                if not asks_again(error):
                    raise
            return self._again(work)

    def _again(self, work: Callable[[Connection], T]) -> T:
        for attempt in Retrying(
            retry=retry_if_exception(asks_again),
            stop=stop_after_attempt(TRIES - 1) | stop_after_delay(TOTAL_SECONDS),
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
                raise Unavailable("the database went away while it committed", code=AWAY.code, hint=hint) from error
            raise

    @contextmanager
    def _watched(self, *, wrote: bool = False) -> Iterator[None]:
        """Raise what a database that does not go along means as `Unavailable`, and keep the book of outages."""
        try:
            yield
        except (DBAPIError, PoolTimeout) as error:
            said = unavailable(error)
            if said is None:
                raise
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                self.close()  # the others of the pools went the same way
            self.outage.failed(said)
            raise said from error
        except Unavailable as error:
            if error.code == AWAY.code:
                self.outage.failed(error)
            raise
        if self.outage.on:
            self.outage.went_well(wrote=wrote)

    def close(self) -> None:
        """Close every connection that is not in use."""
        self.writer.dispose()
        self.reader.dispose()
        self.glancer.dispose()


def _parsed(url: str) -> URL:
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite" and (not parsed.database or parsed.database == ":memory:"):
        raise Invalid("an SQLite database needs a file", code="bad-database", hint="sqlite:////var/lib/x.db")
    if backend not in ("sqlite", "postgresql"):
        raise Invalid(f"{parsed.render_as_string()!r} is no SQLite or PostgreSQL address", code="bad-database")
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername == "postgresql" else parsed


def _postgresql(url: URL, bounds: Bounds, arguments: dict[str, str], **more: Any) -> Engine:
    engine = create_engine(
        url,
        pool_size=bounds.pool,
        max_overflow=bounds.overflow,
        pool_timeout=bounds.wait,
        connect_args={**arguments, "connect_timeout": max(2, round(bounds.connect)), **KEEP_ALIVE},
        **more,
    )
    event.listen(engine, "handle_error", _give_up_stale)
    event.listen(engine, "checkout", _look_alive)
    return engine


KEEP_ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
"""A server whose machine vanished without a word is noticed within a minute."""


def _look_alive(connection: psycopg.Connection[Any], *_: Any) -> None:
    """Drop the connections of a server that ended them meanwhile: only then is there anything to read on an idle one.

    It costs a system call and no way to the server, so that each transaction can afford it.
    """
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    if poll.poll(0):
        raise InvalidatePoolError


def _give_up_stale(context: ExceptionContext) -> None:
    if is_stale(context.original_exception):
        context.is_disconnect = True


def _sqlite(url: str, size: int, wait: float, begin: str, *, query_only: bool = False, sync: str = "NORMAL") -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=wait,
        connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
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
