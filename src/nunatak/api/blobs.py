"""Routes of the files sent along with recipes, by their SHA-256; uploads stream to disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from anyio import from_thread
from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from nunatak.api import models
from nunatak.api.guard import GuardedRoute
from nunatak.api.requests import Have, answer
from nunatak.api.views import recipes as views

router = APIRouter(prefix="/api/v1/blobs", tags=["blobs"], route_class=GuardedRoute)

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
    new = bool(services.blobs.missing([sha256]))
    blob = services.blobs.put(_chunks(request), sha256, services.limits.blob)
    return answer({"sha256": blob.sha256, "size": blob.size}, 201 if new else 200)


def _chunks(request: Request) -> Iterator[bytes]:
    """Bring the body over from the event loop, piece by piece."""
    stream = request.stream()

    async def pull() -> bytes | None:
        return await anext(stream, None)

    while (chunk := from_thread.run(pull)) is not None:
        if chunk:
            yield chunk
