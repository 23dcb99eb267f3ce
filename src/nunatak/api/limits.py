"""Bounds the size of request bodies, declared or not, before anything reads them. Pure ASGI."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nunatak.api.problems import problem_response

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
            response = problem_response(413, "too-large", _sentence(limit), hint="send less at a time", limit=limit)
            await response(scope, receive, send)
            return
        await self.app(scope, receive if declared is not None else _counted(receive, limit), send)


def _sentence(limit: int) -> str:
    return f"the body is larger than {limit} bytes"


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
            raise HTTPException(413, _sentence(limit))
        return message

    return counting
