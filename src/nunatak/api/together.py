"""Small transactions that arrive together are carried out together: many callers, one commit, one thread woken."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, NamedTuple, TypeVar

from nunatak.core.errors import Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")
Carry = Callable[[Sequence[Item]], Sequence[Result]]


class _Entry(NamedTuple, Generic[Item, Result]):
    """One caller's item, and where it waits for what comes of it."""

    item: Item
    future: asyncio.Future[Result]


class Together(Generic[Item, Result]):
    """Callers that come while a transaction is under way share the next one (flat combining).

    `carry` takes the items of several callers and returns one result for each, in order; it opens its own transaction and
    runs in a thread, one at a time. Several of these may share a thread (`lane`): they take turns, and while one is served
    more callers gather for the next. If it fails for several, each is tried by itself, so that nobody suffers from another's
    mistake. Callers wait on the event loop: neither a request nor a transaction costs a switch of threads of its own.
    Source of the idea: Hendler, Incze, Shavit and Tzafrir, Flat combining (SPAA 2010).
    """

    def __init__(self, carry: Carry[Item, Result], lane: ThreadPoolExecutor | None = None, most: int = 64) -> None:
        """Share calls of `carry`, at most `most` callers in one; `lane` has one thread."""
        self._carry, self._most = carry, most
        self._lock = threading.Lock()
        self._waiting: deque[_Entry[Item, Result]] = deque()
        self._busy = False
        self._lane = lane or ThreadPoolExecutor(1, thread_name_prefix="together")

    @property
    def waiting(self) -> int:
        """Return how many callers wait for a transaction."""
        return len(self._waiting)

    async def __call__(self, item: Item) -> Result:
        """Have `carry` do an item, perhaps with others; returns when it is committed. Raises what `carry` raises."""
        entry: _Entry[Item, Result] = _Entry(item, asyncio.get_running_loop().create_future())
        with self._lock:
            self._waiting.append(entry)
            begin, self._busy = not self._busy, True
        if begin:
            self._lane.submit(self._lead)
        return await entry.future

    def _lead(self) -> None:
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        _deliver(list(zip(batch, self._outcomes([entry.item for entry in batch]), strict=True)))
        with self._lock:
            self._busy = bool(self._waiting)
            if self._busy:
                self._lane.submit(self._lead)

    def _outcomes(self, items: Sequence[Item]) -> list[Result | BaseException]:
        """Return for each item its result, or the error that its caller is to raise."""
        try:
            results: list[Result | BaseException] = [*self._carry(items)]
            assert len(results) == len(items), "one result for each caller"
            return results
        except BaseException as error:  # noqa: BLE001 - it is handed to the callers, who raise it
            if len(items) == 1 or isinstance(error, Unavailable) or not isinstance(error, Exception):
                return [error] * len(items)
            return [outcome for item in items for outcome in self._outcomes([item])]


def _deliver(ended: Sequence[tuple[_Entry[Item, Result], Result | BaseException]]) -> None:
    """Wake each event loop once with all that is meant for it."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[_Entry[Item, Result], Result | BaseException]]] = defaultdict(
        list
    )
    for entry, outcome in ended:
        loops[entry.future.get_loop()].append((entry, outcome))
    for loop, own in loops.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, own)


def _settle(ended: Sequence[tuple[_Entry[Item, Result], Result | BaseException]]) -> None:
    for entry, outcome in ended:
        if entry.future.done():  # its caller went away
            continue
        if isinstance(outcome, BaseException):
            entry.future.set_exception(outcome)
        else:
            entry.future.set_result(outcome)
