"""What every route takes from a request and how it answers: services, caller, page, JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from fastapi import Depends, Path, Query, Request
from starlette.responses import Response

from nunatak.accounts.policy import Principal
from nunatak.api.services import Services
from nunatak.core.address import Address, parse
from nunatak.core.errors import Invalid

_PAGE = re.compile(r"(-?\d{1,9}|\d{1,18})(\.\d{1,9})?\Z", re.ASCII)

Number = Annotated[int, Path(ge=1, le=999_999_999, description="the number of a dataset")]
Limit = Annotated[int, Query(ge=1, le=1000, description="how many at most")]
After = Annotated[str, Query(max_length=64, description="what the page before gave as `next`")]
AddressText = Annotated[
    str,
    Path(
        max_length=100,
        description="`42`, `42/17`, `42/17/propagate`, `42/17/propagate#2` (the # as %23) or `42/analyze`",
        examples=["1/0/first"],
    ),
]


def services_of(request: Request) -> Services:
    """Return what `create_app` was given."""
    services: Services = request.app.state.services
    return services


def principal_of(request: Request) -> Principal:
    """Return who asks, as the guard found out."""
    principal: Principal = request.scope["nunatak.principal"]
    return principal


async def _services(request: Request) -> Services:
    return services_of(request)


async def _principal(request: Request) -> Principal:
    return principal_of(request)


async def raw_body(request: Request) -> bytes:
    """Return the body as it came, for routes that parse it themselves, off the event loop."""
    return await request.body()


Have = Annotated[Services, Depends(_services)]
Caller = Annotated[Principal, Depends(_principal)]
Body = Annotated[bytes, Depends(raw_body)]


def page_after(text: str) -> str:
    """Return what to go on after. Raises `Invalid` for what no page gave."""
    if text and not _PAGE.match(text):
        raise Invalid(f"{text!r} is not a page", code="bad-page", hint="give what the page before called `next`")
    return text


def address_of(text: str, *levels: str) -> Address:
    """Read an address, of one of `levels` if any are given. Raises `Invalid`."""
    address = parse(text)
    if levels and address.level not in levels:
        raise Invalid(f"{text} is a {address.level}", code="bad-level", hint=f"give a {' or '.join(levels)}")
    return address


def base_url(request: Request) -> str:
    """Return how people reach this server, without a final slash."""
    services = services_of(request)
    if services.url:
        return services.url
    host = request.headers.get("host") or "localhost"
    return f"{request.scope['scheme']}://{host}"


def dumps(plain: Any) -> bytes:
    """Return JSON; numbers that JSON does not have become null, and what is no text becomes question marks."""
    try:
        return orjson.dumps(plain)
    except (
        TypeError
    ):  # whole numbers beyond 64 bits, halves of surrogate pairs: rare, and right for the standard library
        return json.dumps(_finite(plain), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _finite(plain: Any) -> Any:
    if isinstance(plain, float):
        return plain if math.isfinite(plain) else None
    if isinstance(plain, dict):
        return {key: _finite(value) for key, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [_finite(value) for value in plain]
    return plain


def answer(plain: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer, without another look at it."""
    return ready(dumps(plain), status, headers)


def ready(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer that is JSON already."""
    return Response(body, status, headers, media_type="application/json")
