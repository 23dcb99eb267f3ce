"""The process that takes what workers tell: HTTP, for anybody who can reach it, so everything is bounded and nothing believed.

It knows the secret and the root of all boxes, and nothing else of its engine: a key says where its holder may write. It
is told on its standard input what somebody looks at, writes on its standard output who told for the first time, and ends
with its engine.
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
import resource
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from nunatak.engines.tails import keeping
from nunatak.engines.tails.listener_order import ListenerOrder
from nunatak.engines.tails.order import genuine
from nunatak.engines.tails.told import MOST_BODY, Told, read
from nunatak.engines.tails.turns import Turns

CONNECTIONS = 200
FILES = 600
"""Open files of the process: also what has not come as far as a connection, or to saying who it is, is bounded by it."""
LIFE = 30.0
"""Seconds after which a connection is cut, whatever it does."""
MOST_SENT = 4 * MOST_BODY
"""Bytes that one connection may bring."""
MOST_NEWS = 100_000


class Bounded(HttpToolsProtocol):
    """A connection that is short, and brings little."""

    _end: asyncio.TimerHandle
    _sent = 0

    def connection_made(self, transport: Any) -> None:
        """Begin, unless there are too many."""
        super().connection_made(transport)
        self._end = self.loop.call_later(LIFE, transport.abort)
        if len(self.connections) > CONNECTIONS:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take bytes, up to a bound: headers have none otherwise."""
        self._sent += len(data)
        if self._sent > MOST_SENT:
            self.transport.abort()
        else:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._end.cancel()
        super().connection_lost(exc)


class Listener:
    """Takes what is told, and answers what is wanted and when to tell again."""

    def __init__(self, root: Path, secret: bytes, turns: Turns) -> None:
        """Write into boxes below `root`."""
        self._root, self._secret, self._turns = root, secret, turns
        self.news: deque[bytes] = deque(maxlen=MOST_NEWS)

    async def tell(self, request: Request) -> Response:
        """Answer one telling."""
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BODY:
                    return Response(status_code=413)
            told = read(bytes(body))
        except (ClientDisconnect, ValueError):
            return Response(status_code=400)
        return self.answer(told)

    def answer(self, told: Told) -> Response:
        """Take what was told, if its teller may and it is its turn."""
        if not genuine(self._secret, told.address, told.lease, told.place, told.key):
            return Response(status_code=403)
        if self._turns.early(told.place):
            return Response(status_code=429)
        new = not self._turns.known(told.place)
        try:
            kept = keeping.take(self._root / told.place, told)
        except OSError:
            return Response(status_code=503)
        if kept is None:
            return Response(status_code=410)
        if new:
            self.news.append(orjson.dumps([told.address, told.lease]) + b"\n")
        again = self._turns.next(told.place, told=bool(told.pieces), more=keeping.more(told, kept))
        return Response(orjson.dumps({"want": keeping.wanted(kept), "again": again}), media_type="application/json")

    def hear(self, line: bytes) -> None:
        """Take a line from the engine: the boxes that somebody looks at."""
        try:
            self._turns.watched = frozenset(orjson.loads(line)["watched"])
        except (ValueError, KeyError, TypeError):
            return

    def say(self, file: int) -> None:
        """Write who told for the first time, as far as that is read."""
        while self.news:
            try:
                os.write(file, self.news[0])
            except BlockingIOError:
                return
            self.news.popleft()


def _server(order: ListenerOrder, app: Starlette) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        host=order.host,
        port=order.port,
        http=Bounded,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=2,
        timeout_graceful_shutdown=2,
        ssl_certfile=order.certificate,
        ssl_keyfile=order.private_key,
    )
    return uvicorn.Server(config)


class Certificate:
    """The file with the certificate, which is renewed now and then: new connections get what is in it."""

    def __init__(self, server: uvicorn.Server) -> None:
        """Know what the server has read."""
        self._config = server.config
        self._made = self._changed()

    def _changed(self) -> float:
        file = self._config.ssl_certfile
        return Path(file).stat().st_mtime if file else 0.0

    def renew(self) -> None:
        """Read it again if it changed; one that cannot be read leaves the one before."""
        with suppress(OSError):
            changed = self._changed()
            if changed != self._made and self._config.ssl and self._config.ssl_certfile:
                self._config.ssl.load_cert_chain(self._config.ssl_certfile, self._config.ssl_keyfile)
                self._made = changed


async def _talk(listener: Listener, server: uvicorn.Server) -> None:
    """Hear the engine until it is gone, and say what is new twice a second."""
    certificate = Certificate(server)
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader(limit=2**22)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    os.set_blocking(1, False)
    hearing = asyncio.ensure_future(reader.readline())
    while not server.should_exit:
        await asyncio.wait([hearing], timeout=0.5)
        certificate.renew()
        try:
            listener.say(1)
            if hearing.done():
                line = hearing.result()
                if not line:
                    break
                listener.hear(line)
                hearing = asyncio.ensure_future(reader.readline())
        except (OSError, ValueError):
            break
    server.should_exit = True


async def _run(order: ListenerOrder) -> None:
    listener = Listener(Path(order.root), Path(order.secret).read_bytes(), Turns(order.every, time.monotonic))
    server = _server(order, Starlette(routes=[Route("/{path:path}", listener.tell, methods=["POST"])]))
    talking = asyncio.ensure_future(_talk(listener, server))
    await server.serve()
    talking.cancel()


def main() -> None:
    """Listen until the engine is gone."""
    order = ListenerOrder(**orjson.loads(io.FileIO(0, closefd=False).readline()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    os.nice(5)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # who is there may send anything, also to fill a log
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    uvloop.run(_run(order))


if __name__ == "__main__":
    main()
