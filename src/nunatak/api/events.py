"""Live changes of datasets as server-sent events: one look at a time for each watched dataset, however many watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from nunatak.api.requests import base_url, dumps
from nunatak.api.sending import KEEP_ALIVE, Event, Pieces, Sending
from nunatak.api.services import Services
from nunatak.api.staying import Staying
from nunatak.api.watched import Watched
from nunatak.tasks.looking import look

END = Event(b"event: end\ndata: {}\n\n")
Plain = dict[str, Any]


class Poller(Watched):
    """Looks at one dataset while anyone watches; every watcher waits for the next change."""

    def __init__(self, services: Services, dataset: int) -> None:
        """Begin without watchers."""
        super().__init__(f"dataset {dataset}")
        self.services, self.dataset = services, dataset
        self.plain: Plain = {}
        self.pieces = Pieces()
        self._events: dict[str, Event] = {}

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
        self._events.clear()
        self.pieces.forget()
        self.ended = plain["state"] == "done"
        self._tell()

    def event(self, base: str) -> Event:
        """Return the event with the status now, for all who know the server by an address."""
        if base not in self._events:
            plain = {**self.plain, "url": f"{base}/datasets/{self.dataset}"}
            self._events[base] = Event(b"event: status\ndata: " + dumps(plain) + b"\n\n")
        return self._events[base]


async def watch(request: Request, dataset: int) -> Response:
    """Answer with the stream of one dataset. Raises `NotFound` before anything is sent."""
    pollers: dict[int, Poller] = request.app.state.pollers
    services: Services = request.app.state.services
    first = await run_in_threadpool(Poller(services, dataset).read)
    sending = Sending(request)
    stream = _stream(pollers, services, dataset, first, request, sending)
    return StreamingResponse(stream, headers=sending.headers, media_type="text/event-stream")


async def _stream(
    pollers: dict[int, Poller], services: Services, dataset: int, first: Plain, request: Request, sending: Sending
) -> AsyncIterator[bytes]:
    poller = pollers.get(dataset)
    if poller is None or poller.ended:
        poller = pollers[dataset] = Poller(services, dataset)
    poller.watchers += 1
    try:
        poller.begin(first)
        version, base, staying = 0, base_url(request), Staying(request)
        while True:
            told = await poller.after(version, services.limits.keep_alive)
            if not await staying.holds():
                return
            if not told:
                yield sending.next(KEEP_ALIVE, poller.pieces)
                continue
            if poller.version > version:
                version = poller.version
                yield sending.next(poller.event(base), poller.pieces)
            elif poller.ended:
                if poller.plain.get("state") == "done":
                    yield sending.next(END, poller.pieces)
                return
    finally:
        poller.watchers -= 1
        if not poller.watchers:
            if pollers.get(dataset) is poller:
                del pollers[dataset]
            await poller.stop()
