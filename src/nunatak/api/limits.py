"""Bounds the size of request bodies, declared or not, before anything reads them. Pure ASGI."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nunatak.api.problems import from_error
from nunatak.core.errors import Invalid

BLOBS = "/api/v1/blobs/"


class BodyLimit:
    """Answers 413 to a body over `limit` bytes; uploads of blobs have their own limit, and are streamed."""

    def __init__(self, app: ASGIApp, limit: int, blob_limit: int) -> None:
        """Wrap an application."""
        self.app, self.limit, self.blob_limit = app, limit, blob_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body counted."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        upload = scope["method"] == "PUT" and scope["path"].startswith(BLOBS)
        limit = self.blob_limit if upload else self.limit
        declared = _content_length(scope)
        if declared is not None and declared > limit:
            await from_error(_too_large(limit))(scope, receive, send)
            return
        await self.app(scope, receive if declared is not None else _counted(receive, limit), send)


async def whole_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Return the body of a request. Raises `Invalid` for one over `limit` bytes, `ClientDisconnect` if it broke off."""
    declared = _content_length(scope)
    if declared is not None and declared > limit:
        raise _too_large(limit)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        return body
    parts, seen = [], 0
    while message["type"] == "http.request":
        part = message.get("body", b"")
        seen += len(part)
        if seen > limit:
            raise _too_large(limit)
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()
    raise ClientDisconnect


def _sentence(limit: int) -> str:
    return f"the body is larger than {limit} bytes"


def _too_large(limit: int) -> Invalid:
    return Invalid(_sentence(limit), code="too-large", hint="send less at a time", limit=limit)


def _content_length(scope: Scope) -> int | None:
    """Return the declared length; None for a body sent in chunks, which is counted as it comes."""
    length = None
    for name, value in scope["headers"]:
        if name == b"content-length":
            length = int(value) if value.isdigit() else None
        elif name == b"transfer-encoding":
            return None
    return length


def _counted(receive: Receive, limit: int) -> Receive:
    seen = 0

    async def counting() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise HTTPException(413, _sentence(limit))  # the one kind that FastAPI lets pass here
        return message

    return counting
