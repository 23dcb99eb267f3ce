"""Live changes of datasets as server-sent events: one look at a time for each watched dataset, however many watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from nunatak.api.requests import base_url, dumps
from nunatak.api.services import Services
from nunatak.api.watched import Watched
from nunatak.tasks import look

KEEP_ALIVE = b": still here\n\n"
END = b"event: end\ndata: {}\n\n"
Plain = dict[str, Any]


class Poller(Watched):
    """Looks at one dataset while anyone watches; every watcher waits for the next change."""

    def __init__(self, services: Services, dataset: int) -> None:
        """Begin without watchers."""
        super().__init__(f"dataset {dataset}")
        self.services, self.dataset = services, dataset
        self.plain: Plain = {}

    def read(self) -> Plain:
        """Return the status now."""
        with self.services.database.read() as tx:
            return look.dataset_status(tx, self.services.contexts, self.dataset)

    def begin(self, plain: Plain) -> None:
        """Take a first status and go on looking."""
        if self._task is None:
            self._publish(plain)
            self._task = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while self.watchers and not self.ended:
            await asyncio.sleep(self.services.limits.events)
            if self.services.stopping.is_set():
                break
            found = await self._seen(self.read)
            if found is not None:
                self._publish(found)
        self._end()

    def _publish(self, plain: Plain) -> None:
        if plain == self.plain:
            return
        self.plain, self.version = plain, self.version + 1
        self.ended = plain["state"] == "done"
        self._tell()


async def watch(request: Request, dataset: int) -> Response:
    """Answer with the stream of one dataset. Raises `NotFound` before anything is sent."""
    pollers: dict[int, Poller] = request.app.state.pollers
    services: Services = request.app.state.services
    first = await run_in_threadpool(Poller(services, dataset).read)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(
        _stream(pollers, services, dataset, first, base_url(request)), headers=headers, media_type="text/event-stream"
    )


async def _stream(
    pollers: dict[int, Poller], services: Services, dataset: int, first: Plain, base: str
) -> AsyncIterator[bytes]:
    poller = pollers.get(dataset)
    if poller is None or poller.ended:
        poller = pollers[dataset] = Poller(services, dataset)
    poller.watchers += 1
    try:
        poller.begin(first)
        version = 0
        while True:
            if not await poller.after(version, services.limits.keep_alive):
                yield KEEP_ALIVE
                continue
            if poller.version > version:
                version = poller.version
                yield b"event: status\ndata: " + dumps({**poller.plain, "url": f"{base}/datasets/{dataset}"}) + b"\n\n"
            elif poller.ended:
                if poller.plain.get("state") == "done":
                    yield END
                return
    finally:
        poller.watchers -= 1
        if not poller.watchers:
            if pollers.get(dataset) is poller:
                del pollers[dataset]
            await poller.stop()
