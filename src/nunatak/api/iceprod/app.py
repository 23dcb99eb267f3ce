"""The routes below /compat/iceprod as an application of their own: errors have IceProd's form there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from nunatak.api import problems
from nunatak.api.requests import answer
from nunatak.core.errors import Conflict, Invalid, NotFound, NunatakError, Refused, Unavailable

PREFIX = "/compat/iceprod"
STATUS: Mapping[type[NunatakError], int] = {Invalid: 400, Conflict: 400, NotFound: 404, Refused: 403, Unavailable: 503}
"""The codes that IceProd gives."""


def compat_app() -> FastAPI:
    """Return the application; `state` is to be that of the one it is mounted in."""
    from nunatak.api.iceprod import actions, datasets, jobs, logs, submit, tasks

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.router.routes.extend(
        route for module in (datasets, jobs, tasks, logs, submit, actions) for route in module.router.routes
    )
    app.add_exception_handler(NunatakError, _ours)
    app.add_exception_handler(RequestValidationError, _wrong)
    for kind in problems.KNOWN:
        if kind not in (NunatakError, RequestValidationError):
            app.add_exception_handler(kind, _other)
    app.add_exception_handler(Exception, _other)
    return app


def mount(app: FastAPI) -> None:
    """Serve the routes in an application."""
    app.mount(PREFIX, _Late(app))


class _Late:
    """Makes the application when it is first asked something: many servers never are."""

    def __init__(self, outer: FastAPI) -> None:
        self.outer = outer
        self.made: FastAPI | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.made is None:
            self.made = compat_app()
            self.made.state = self.outer.state
        await self.made(scope, receive, send)


def _error(code: int, message: str, more: Mapping[str, Any] | None = None) -> Response:
    headers = {"Retry-After": "1"} if code == 503 else None
    return answer({"code": code, "error": message, **(more or {})}, code, headers)


async def _ours(_: Request, error: Exception) -> Response:
    assert isinstance(error, NunatakError)
    code = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
    told = [text for problem in error.problems if (text := str(problem)) not in error.message]
    lines = [error.message, *told]
    return _error(code, "; ".join(lines), {"hint": error.hint} if error.hint else None)


async def _wrong(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = problems.problems_of(error.errors(), 1)[0]
    return _error(400, f"{first['path'] or 'the body'}: {first['message']}")


async def _other(request: Request, error: Exception) -> Response:
    found = problems.found(error) or problems.unexpected(request.scope, error)
    return _error(found.status_code, problems.TITLES.get(found.status_code, "Error"))
