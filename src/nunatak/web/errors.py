"""Errors on the way to a page become a page, those of the API stay problem documents; who is unknown is asked to sign in."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from starlette.responses import RedirectResponse, Response

from nunatak.api import problems
from nunatak.web import guard
from nunatak.web.guard import PageRoute
from nunatak.web.render import Page, View, render

PROBLEM = Page("problem.html")


def install(app: FastAPI) -> None:
    """Take over the handlers of every known error."""
    for kind in problems.KNOWN:
        app.add_exception_handler(kind, _handler(lambda _, error: problems.found(error)))
    app.add_exception_handler(Exception, _handler(lambda request, error: problems.unexpected(request.scope, error)))


def _handler(
    respond: Callable[[Request, Exception], Response | None],
) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(request: Request, error: Exception) -> Response:
        document = respond(request, error) or problems.unexpected(request.scope, error)
        return as_page(request, document) if wants_page(request) else document

    return handle


def wants_page(request: Request) -> bool:
    """Tell whether a person will read the answer."""
    route, path = request.scope.get("route"), request.scope["path"]
    if isinstance(route, PageRoute):
        return route.name == route.rule
    return route is None and not path.startswith("/api/") and "text/html" in request.headers.get("accept", "")


def as_page(request: Request, document: Response) -> Response:
    """Return a problem document as a page, or the way to sign in."""
    problem: dict[str, Any] = {"hint": "", **json.loads(bytes(document.body))}
    if problem["status"] == 401 and request.method == "GET":
        path = request.scope["path"] + (f"?{request.url.query}" if request.url.query else "")
        answer: Response = RedirectResponse(f"/sign-in?next={quote(path, safe='')}", 303)
        if problem["code"] != "no-token":
            guard.unsay(request, answer, "session")
        return answer
    request.scope.setdefault("nunatak.seed", guard.cookie_of(request, "session"))
    view = View(f"{problem['title']}: {problem['detail']}", problem, alarm="failed" if problem["status"] >= 500 else "")
    return render(request, PROBLEM, view, status=problem["status"])
