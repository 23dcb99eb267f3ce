"""Routes that create run through here: one transaction, done once for an Idempotency-Key, answered again from what was kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Header, Request
from sqlalchemy import Connection
from starlette.responses import Response

from nunatak.accounts import repeats
from nunatak.accounts.repeats import Answer
from nunatak.api.requests import dumps, principal_of, services_of

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x20-\x7e]+$",
        description="a word of the caller's own: the same request sent again with it is done once and answered alike",
    ),
]


def create(
    request: Request, key: str | None, body: bytes, work: Callable[[Connection], Any], status: int = 200
) -> Response:
    """Run `work` in one transaction and answer with what it returns, as JSON."""
    kept, replayed = run(request, key, body, lambda tx: Answer(status, dumps(work(tx)).decode()))
    return reply(kept.body, kept.status, replayed)


def run(request: Request, key: str | None, body: bytes, work: Callable[[Connection], Answer]) -> tuple[Answer, bool]:
    """Run `work` in one transaction, once for a key. Returns the answer, and whether it is a kept one."""
    services = services_of(request)
    if key is None:
        return services.database.run(work), False
    digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode() + body).hexdigest()
    name, now = principal_of(request).name, services.clock()
    return services.database.run(lambda tx: repeats.once(tx, name, key, digest, now, work))


def reply(text: str, status: int, replayed: bool) -> Response:
    """Return a JSON text as an answer that says whether it was kept from before."""
    headers = {"Idempotency-Replayed": "true"} if replayed else None
    return Response(text.encode(), status, headers, media_type="application/json")
