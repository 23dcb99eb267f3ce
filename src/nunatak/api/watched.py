"""Something that one task looks at while anyone watches, and whose changes all who watch wait for."""

from __future__ import annotations

import asyncio


class Watched:
    """Versions of what is watched, from 0; `ended` when nobody looks any more."""

    def __init__(self) -> None:
        """Begin without watchers."""
        self.watchers = 0
        self.version = 0
        self.ended = False
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def after(self, version: int, seconds: float) -> bool:
        """Wait for something newer than `version`, at most `seconds`; tells whether there is."""
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: self.version > version or self.ended)
        except TimeoutError:
            return False
        return True

    async def _end(self) -> None:
        """Tell all who wait that nobody looks any more."""
        async with self._changed:
            self.ended = True
            self._changed.notify_all()

    async def stop(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
