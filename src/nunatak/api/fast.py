"""Routes that are asked thousands of times a second: declared like all others, answered without the layers in between."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable
from time import perf_counter
from typing import Any, get_type_hints

from fastapi import FastAPI
from pydantic import TypeAdapter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from nunatak.api import problems
from nunatak.api.guard import GuardedRoute
from nunatak.api.headers import NO_STORE, SECURITY
from nunatak.api.limits import whole_body
from nunatak.api.metrics import Metrics

Read = Callable[[Scope, bytes], Any]


class FastRoute(GuardedRoute):
    """A route whose function takes `request`, `services`, `body` (bytes) and path parameters, and answers by itself.

    A plain function runs in a thread, as for any other route; an `async` one may wait, but must not work for long.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Work out how each parameter is had."""
        super().__init__(path, endpoint, **options)
        hints = get_type_hints(endpoint, include_extras=True)
        names = list(inspect.signature(endpoint).parameters)
        self._readers = [(name, _reader(name, hints[name])) for name in names]
        self._takes_body = "body" in names
        self._waits = inspect.iscoroutinefunction(endpoint)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the function and send its answer."""
        if scope["method"] not in (self.methods or ()):
            await super().serve(scope, receive, send)
            return
        body = await Request(scope, receive).body() if self._takes_body else b""
        response = await self.reply(scope, body)
        await response(scope, receive, send)

    async def answer(self, scope: Scope, receive: Receive, limit: int) -> Response:
        """Let the caller in and answer; a body may have `limit` bytes. Raises what `problems.found` knows."""
        await self.admit(scope)
        return await self.reply(scope, await whole_body(scope, receive, limit) if self._takes_body else b"")

    async def reply(self, scope: Scope, body: bytes) -> Response:
        """Call the function."""
        values = {name: read(scope, body) for name, read in self._readers}
        if self._waits:
            response: Response = await self.endpoint(**values)
            return response
        return await run_in_threadpool(self.endpoint, **values)


class ShortWay:
    """Answers fast routes before any other layer looks at the request: same guard, limits, headers, errors and metrics.

    The layers together cost four times what such a request takes by itself. Pure ASGI.
    """

    def __init__(self, app: FastAPI, metrics: Metrics, limit: int) -> None:
        """Wrap an application; bodies may have `limit` bytes."""
        self.app, self._metrics, self._limit = app, metrics, limit
        self._routes: dict[str, list[FastRoute]] = defaultdict(list)
        for route in app.routes:
            if isinstance(route, FastRoute):
                for method in route.methods or ():
                    self._routes[method].append(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        if scope["type"] == "http" and not scope.get("root_path"):
            for route in self._routes.get(scope["method"], ()):
                found = route.path_regex.match(scope["path"])
                if found:
                    scope["app"], scope["path_params"] = self.app, found.groupdict()
                    await self._answer(route, scope, receive, send)
                    return
        await self.app(scope, receive, send)

    async def _answer(self, route: FastRoute, scope: Scope, receive: Receive, send: Send) -> None:
        begun, status = perf_counter(), 500
        try:
            try:
                response = await route.answer(scope, receive, self._limit)
            except Exception as error:  # noqa: BLE001 - each becomes an answer
                response = problems.found(error) or problems.unexpected(scope, error)
            status, headers = response.status_code, response.raw_headers
            headers.extend(SECURITY)
            if "cache-control" not in response.headers:
                headers.append(NO_STORE)
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": response.body})
        finally:
            self._metrics.observe(route.name, status, perf_counter() - begun)


def _reader(name: str, hint: Any) -> Read:
    if name in GIVEN:
        return GIVEN[name]
    check = TypeAdapter(hint).validator.validate_python
    return lambda scope, _: check(scope["path_params"][name])


GIVEN: dict[str, Read] = {
    "request": lambda scope, _: Request(scope),
    "services": lambda scope, _: scope["app"].state.services,
    "body": lambda _, body: body,
}
