"""Something that one task looks at while anyone watches, and whose changes all who watch wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import structlog
from starlette.concurrency import run_in_threadpool

from nunatak.core.errors import NunatakError, Unavailable

T = TypeVar("T")
log = structlog.get_logger("nunatak.api")


class Watched:
    """Versions of what is watched, from 0; `ended` when nobody looks any more."""

    def __init__(self, name: str) -> None:
        """Begin without watchers; `name` says in the log what is watched."""
        self.name = name
        self.watchers = 0
        self.version = 0
        self.ended = False
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def after(self, version: int, seconds: float) -> bool:
        """Wait for something newer than `version`, at most `seconds`; tells whether there is."""
        try:
            async with asyncio.timeout(seconds):
                while self.version <= version and not self.ended:
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def _seen(self, look: Callable[[], T]) -> T | None:
        """Look once, in a thread; None if that fails: the next look is soon, or none comes after what nobody expects."""
        try:
            return await run_in_threadpool(look)
        except NunatakError as error:
            if not (isinstance(error, Unavailable) and error.code.startswith("database")):
                log.warning("watching", what=self.name, error=str(error))
        except Exception:
            log.exception("watching", what=self.name)
            self._end()  # whoever watches asks again, and is told
        return None  # a database that does not go along has said so once, for all who look

    def _tell(self) -> None:
        """Wake all who wait, at once: each next wait is for the next news."""
        told, self._news = self._news, asyncio.Event()
        told.set()

    def _end(self) -> None:
        """Tell all who wait that nobody looks any more."""
        self.ended = True
        self._tell()

    async def stop(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
