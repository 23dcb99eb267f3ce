"""Errors become problem documents (RFC 9457) here and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Scope

from nunatak.core.complaints import complaint
from nunatak.core.errors import NunatakError

log = structlog.get_logger("nunatak.api")

STATUS: Mapping[str, int] = {
    "no-token": 401,
    "bad-token": 401,
    "revoked-token": 401,
    "expired-token": 401,
    "too-large": 413,
    "changed": 412,
    "if-match-needed": 428,
}
"""Codes whose status is not the one of their class."""

TITLES: Mapping[int, str] = {
    400: "Bad request",
    401: "Who are you?",
    403: "You may not",
    404: "Not found",
    405: "Method not allowed",
    409: "Not in the present state",
    412: "It was changed by another",
    413: "Too large",
    416: "No such range",
    422: "It cannot be right",
    428: "A condition is needed",
    500: "Internal error",
    503: "Not now",
}
CODES: Mapping[int, str] = {404: "no-route", 405: "no-method", 413: "too-large", 400: "invalid-request"}
MEDIA_TYPE = "application/problem+json"
MOST_PROBLEMS = 1000


def problem_response(
    status: int,
    code: str,
    detail: str,
    *,
    hint: str = "",
    problems: Sequence[Mapping[str, Any]] = (),
    headers: Mapping[str, str] | None = None,
    **data: Any,
) -> Response:
    """Return a problem document. `type` is a name, not an address: nothing has to be looked up."""
    plain: dict[str, Any] = {
        "type": f"urn:nunatak:{code}",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "code": code,
        "detail": detail,
    }
    if hint:
        plain["hint"] = hint
    if problems:
        plain["problems"] = list(problems)[:MOST_PROBLEMS]
    if data:
        plain["data"] = data
    more = dict(headers or {})
    if status == 401:
        more["WWW-Authenticate"] = 'Bearer realm="nunatak"'
    elif status == 503:
        more["Retry-After"] = "1"
    body = json.dumps(plain, default=str).encode()
    return Response(body, status, more, media_type=MEDIA_TYPE)


def from_error(error: NunatakError) -> Response:
    """Return the document of one of our errors."""
    plain = error.to_plain()
    status = STATUS.get(error.code, error.status)
    return problem_response(
        status, error.code, error.message, hint=error.hint, problems=plain.get("problems", ()), **error.data
    )


def problems_of(errors: Sequence[Any], skip: int = 0) -> list[dict[str, Any]]:
    """Return what pydantic found as problems with dotted paths."""
    found = []
    for item in errors[:MOST_PROBLEMS]:
        path = ".".join(str(part) for part in item["loc"][skip:])
        message = complaint(item)[:500]
        found.append({"message": message, "path": path, "hint": "", "file": "", "line": 0, "column": 0})
    return found


def invalid(errors: Sequence[Any], skip: int = 0) -> Response:
    """Return the document of a request that does not have the right form."""
    problems = problems_of(errors, skip)
    first = problems[0] if problems else {"path": "", "message": "not understood"}
    place = f"{first['path']}: " if first["path"] else ""
    return problem_response(
        422, "invalid-request", f"the request is not right: {place}{first['message']}", problems=problems
    )


def _from_http(error: HTTPException) -> Response:
    status = 422 if error.status_code == 400 else error.status_code
    code = CODES.get(error.status_code, "http")
    return problem_response(status, code, str(error.detail), headers=error.headers)


def _from_data(error: Exception) -> Response:
    log.warning("value refused by the database", error=str(error))
    return problem_response(422, "invalid-value", "a value is out of range for the database")


def _from_database(error: Exception) -> Response:
    log.error("database", error=str(error))
    return problem_response(503, "database", "the database did not answer", hint="try again; see nunatak doctor")


def _from_break(_: Exception) -> Response:
    return problem_response(400, "broken-off", "the request broke off before its end")  # nobody is there to read it


KNOWN: Mapping[type[Exception], Callable[[Any], Response]] = {
    NunatakError: from_error,
    RequestValidationError: lambda error: invalid(error.errors(), 1),
    ValidationError: lambda error: invalid(error.errors(include_url=False)),
    HTTPException: _from_http,
    DataError: _from_data,
    OperationalError: _from_database,
    InterfaceError: _from_database,
    PoolTimeout: _from_database,
    ClientDisconnect: _from_break,
}
"""Every error that is expected, and the document it becomes."""


def found(error: Exception) -> Response | None:
    """Return the document of an expected error; None for any other."""
    for kind, respond in KNOWN.items():
        if isinstance(error, kind):
            return respond(error)
    return None


def install(app: FastAPI) -> None:
    """Map every error of the application."""
    for kind, respond in KNOWN.items():
        app.add_exception_handler(kind, _handler(respond))

    async def anything(request: Request, error: Exception) -> Response:
        return unexpected(request.scope, error)

    app.add_exception_handler(Exception, anything)


def _handler(respond: Callable[[Any], Response]) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(_: Request, error: Exception) -> Response:
        return respond(error)

    return handle


def unexpected(scope: Scope, error: Exception) -> Response:
    """Return the document of an error that nobody expected, and write down where it came from."""
    log.error("unexpected", path=scope["path"], method=scope["method"], exc_info=error)
    return problem_response(500, "internal", "the server failed; its log says how", hint="nunatak doctor")
