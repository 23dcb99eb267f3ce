"""Reads aside what will be asked for again: whoever asks gets what is there, and nobody waits for what comes next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor

import structlog
from sqlalchemy import Connection

from nunatak.core.errors import NunatakError
from nunatak.db.database import Database

log = structlog.get_logger("nunatak.db")


class Aside:
    """One thread of a process that reads, one thing after the other; each thing waits there once at most."""

    def __init__(self, database: Database) -> None:
        """Begin with nothing to read; the thread begins with the first."""
        self._database = database
        self._lock = threading.Lock()
        self._due: set[Hashable] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="aside")

    def soon(self, what: Hashable, read: Callable[[Connection], None]) -> None:
        """Read something soon, in a transaction of its own, unless it is due already."""
        with self._lock:
            if what in self._due:
                return
            self._due.add(what)
        self._thread.submit(self._read, what, read)

    def close(self) -> None:
        """Finish what is being read, and read no more."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _read(self, what: Hashable, read: Callable[[Connection], None]) -> None:
        try:
            with self._database.read() as tx:
                read(tx)
        except NunatakError as error:  # whoever asks when it is too old reads by himself, and is told
            log.info("not read aside", what=str(what), error=error.message)
        except Exception:
            log.exception("reading aside", what=str(what))
        finally:
            with self._lock:
                self._due.discard(what)
