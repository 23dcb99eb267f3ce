"""Routes of the files sent along with recipes, by their SHA-256; uploads stream to disk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Annotated

import anyio
from anyio import from_thread
from fastapi import APIRouter, Path, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from nunatak.api import models
from nunatak.api.guard import GuardedRoute
from nunatak.api.requests import Have, answer
from nunatak.api.views import recipes as views
from nunatak.core.errors import Unavailable

router = APIRouter(prefix="/api/v1/blobs", tags=["blobs"], route_class=GuardedRoute)

UPLOADS = 20
"""Files that are sent to one server process at a time: each holds one of its 40 threads until it is here."""
SILENT = 30.0
"""Seconds that a sender may be silent."""
GRACE, SLOWEST = 60.0, 1000.0
"""After so many seconds, bytes each second that have to come, on the average."""

Sha256 = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", examples=["0" * 64])]


@router.post("/missing", name="missing_blobs", response_model=views.Missing, summary="Which files are not here yet")
def missing_blobs(sent: models.Hashes, services: Have) -> Response:
    """Return those of the checksums of which no file is kept."""
    return answer({"missing": services.blobs.missing(sent.sha256)})


@router.put(
    "/{sha256}", name="put_blob", response_model=views.Blob, summary="Send a file",
    responses={201: {"model": views.Blob, "description": "It is new"}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)  # fmt: skip
def put_blob(sha256: Sha256, request: Request, services: Have) -> Response:
    """Keep a file under its checksum: 201 if it is new, 200 if it was there. A body with another checksum is refused."""
    with _place(request.app.state.uploads):
        new = bool(services.blobs.missing([sha256]))
        blob = services.blobs.put(_chunks(request), sha256, services.limits.blob)
    return answer({"sha256": blob.sha256, "size": blob.size}, 201 if new else 200)


@contextmanager
def _place(uploads: BoundedSemaphore) -> Iterator[None]:
    """Take one of the places for uploads. Raises `Unavailable` if there is none: other requests need threads too."""
    if not uploads.acquire(blocking=False):
        raise Unavailable("many files are being sent just now", code="uploads", hint="try again")
    try:
        yield
    finally:
        uploads.release()


def _chunks(request: Request) -> Iterator[bytes]:
    """Bring the body over from the event loop, piece by piece. Raises `ClientDisconnect` for one that is all too slow."""
    stream = request.stream()
    begun, seen = time.monotonic(), 0

    async def pull() -> bytes | None:
        try:
            with anyio.fail_after(SILENT):
                return await anext(stream, None)
        except TimeoutError:
            raise ClientDisconnect from None

    while (chunk := from_thread.run(pull)) is not None:
        seen += len(chunk)
        if too_slow(seen, time.monotonic() - begun):
            raise ClientDisconnect
        if chunk:
            yield chunk


def too_slow(seen: int, seconds: float) -> bool:
    """Tell whether so many bytes in so many seconds are less than any line of today brings. Pure."""
    return seconds > GRACE and seen < (seconds - GRACE) * SLOWEST
