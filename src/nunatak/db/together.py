"""Small transactions that arrive together are carried out together: many callers, one commit."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from sqlalchemy import Connection

from nunatak.core.errors import Unavailable
from nunatak.db.database import Database

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Entry(Generic[Item, Result]):
    """One caller's item, and what comes of it."""

    __slots__ = ("error", "item", "leads", "result", "woken")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.woken = threading.Event()
        self.leads = False
        self.result: list[Result] = []
        self.error: BaseException | None = None


class Together(Generic[Item, Result]):
    """Callers that come while a transaction is under way share the next one (flat combining).

    `work` takes a transaction and the items of several callers, and returns one result for each, in order. If it fails
    for several, each is tried by itself, so that nobody suffers from another's mistake. One caller does the work
    for all that wait; each of the others is woken once, with its result.
    Source of the idea: Hendler, Incze, Shavit and Tzafrir, Flat combining (SPAA 2010).
    """

    def __init__(
        self, database: Database, work: Callable[[Connection, Sequence[Item]], Sequence[Result]], most: int = 64
    ) -> None:
        """Share transactions of `work`, at most `most` callers in one."""
        self._database, self._work, self._most = database, work, most
        self._lock = threading.Lock()
        self._waiting: deque[_Entry[Item, Result]] = deque()
        self._busy = False

    @property
    def waiting(self) -> int:
        """Return how many callers wait for a transaction."""
        return len(self._waiting)

    def __call__(self, item: Item) -> Result:
        """Carry out `work` on an item, perhaps with others; returns when it is committed. Raises what `work` raises."""
        entry: _Entry[Item, Result] = _Entry(item)
        with self._lock:
            self._waiting.append(entry)
            entry.leads = not self._busy
            self._busy = True
        if not entry.leads:
            entry.woken.wait()
        if entry.leads:
            self._lead()
        if entry.error is not None:
            raise entry.error
        return entry.result[0]

    def _lead(self) -> None:
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        try:
            self._carry_out(batch)
        finally:
            with self._lock:
                following = self._waiting[0] if self._waiting else None
                self._busy = following is not None
                if following is not None:
                    following.leads = True
            for entry in batch:
                entry.woken.set()
            if following is not None:
                following.woken.set()

    def _carry_out(self, batch: Sequence[_Entry[Item, Result]]) -> None:
        try:
            results = self._database.run(lambda tx: self._work(tx, [entry.item for entry in batch]))
            for entry, result in zip(batch, results, strict=True):
                entry.result.append(result)
        except BaseException as error:  # noqa: BLE001 - it is handed to every caller, who raises it
            if len(batch) == 1 or isinstance(error, Unavailable) or not isinstance(error, Exception):
                for entry in batch:
                    entry.error = error
                return
            for entry in batch:
                self._carry_out([entry])
