"""Routes that take any address: status, history, why, errors, logs, recorded files and their bytes."""

from __future__ import annotations

import codecs
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from sqlalchemy import Connection
from starlette.responses import Response

from nunatak.api import content
from nunatak.api.datasets import with_url
from nunatak.api.guard import GuardedRoute
from nunatak.api.models import NO_NUL
from nunatak.api.requests import AddressText, After, Have, Limit, address_of, answer, page_after
from nunatak.api.services import Services
from nunatak.api.views import answers
from nunatak.api.views import looking as views
from nunatak.core.address import Address
from nunatak.core.errors import Invalid, NotFound
from nunatak.tasks.logs import using
from nunatak.tasks.logs.keeping import LogSlice
from nunatak.tasks.looking import errors, explain, lists, look, snapshot

router = APIRouter(prefix="/api/v1", tags=["addresses"], route_class=GuardedRoute)

Stream = Annotated[
    str,
    Query(
        pattern="^(stdout|stderr|course|script)$",
        description="stdout, stderr, what it used over time (JSON; of attempts of a minute and more), or what was submitted",
    ),
]
Offset = Annotated[int, Query(ge=0, le=2**53)]
Length = Annotated[int, Query(ge=1, le=4_000_000, description="bytes at most")]
Tail = Annotated[int | None, Query(ge=1, le=4_000_000, description="only the last so many bytes")]
BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
FileName = Annotated[str, Query(min_length=1, max_length=1000, pattern=NO_NUL, description="the name of an output")]
Accept = Annotated[str, Header(max_length=1000)]
RANGE = Annotated[str | None, Header(alias="Range", max_length=100, description="one range of bytes")]
IF_RANGE = Annotated[str | None, Header(alias="If-Range", max_length=100)]
IF_NONE_MATCH = Annotated[str | None, Header(alias="If-None-Match", max_length=1000)]


@router.get("/status/{address:path}", name="get_status", response_model=views.Status, summary="Status")
def get_status(address: AddressText, request: Request, services: Have) -> Response:
    """Return the status of a dataset, job, task or attempt."""
    wanted = address_of(address)
    with services.database.read() as tx:
        plain = look.status(tx, services.contexts, wanted, services.clock(), services.rules)
    if wanted.level in ("task", "attempt"):
        using.fill(services.logs, plain.get("attempts", [plain]), wanted)
    return answer(with_url(request, plain) if wanted.level == "dataset" else plain)


@router.get("/history/{address:path}", name="get_history", response_model=answers.Page, summary="What happened")
def get_history(address: AddressText, services: Have, limit: Limit = 100, after: After = "") -> Response:
    """Return actions and attempts, oldest first."""
    wanted = address_of(address)
    if after and not (after.isascii() and after.isdigit() and len(after) <= 18):
        raise Invalid(f"{after!r} is not a page", code="bad-page", hint="give what the page before called `next`")
    with services.database.read() as tx:
        _check(tx, services, wanted)
        context = services.contexts.one(tx, wanted.dataset)
        return answer(explain.history(tx, context, wanted, after=after, limit=limit))


@router.get("/why/{address:path}", name="get_why", response_model=views.Why, summary="Why it is as it is")
def get_why(address: AddressText, services: Have) -> Response:
    """Say in words why a dataset, job or task is as it is."""
    wanted = address_of(address, "dataset", "job", "task")
    with services.database.read() as tx:
        _check(tx, services, wanted)
        context = services.contexts.one(tx, wanted.dataset)
        return answer(explain.why(tx, services.contexts, context, wanted, services.clock(), services.rules))


@router.get(
    "/snapshot/{address:path}", name="get_snapshot", response_model=views.Snapshot, summary="What a simulation starts from"
)  # fmt: skip
def get_snapshot(address: AddressText, services: Have) -> Response:
    """Return what is left of a dataset, what its tasks were seen to use, the engines, and what else wants them."""
    wanted = address_of(address, "dataset")
    with services.database.read() as tx:
        context = services.contexts.one(tx, wanted.dataset)
        return answer(snapshot.snapshot(tx, services.contexts, context, services.clock()))


@router.get(
    "/errors/{address:path}", name="get_errors", response_model=answers.Items, summary="What went wrong, grouped"
)
def get_errors(address: AddressText, services: Have) -> Response:
    """Group the tasks that need a person by what went wrong, the largest group first."""
    wanted = address_of(address, "dataset", "job", "task")
    with services.database.read() as tx:
        _check(tx, services, wanted)
        context = services.contexts.one(tx, wanted.dataset)
        return answer({"items": errors.errors(tx, context, wanted)})


@router.get(
    "/logs/{address:path}", name="get_logs", response_model=views.LogText, summary="stdout, stderr, and what was submitted",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)  # fmt: skip
def get_logs(
    address: AddressText,
    services: Have,
    stream: Stream = "stdout",
    offset: Offset = 0,
    limit: Length = 1_000_000,
    tail: Tail = None,
    accept: Accept = "",
) -> Response:
    """Return part of a log; without an attempt in the address, that of the last one. `Accept: text/plain` gives the bytes."""
    wanted = address_of(address, "task", "attempt")
    with services.database.read() as tx:
        plain = look.status(tx, services.contexts, wanted, services.clock())
    if wanted.attempt is None:
        wanted = wanted.of(max(plain["attempt"], 1))
    logs = services.logs
    part = logs.read(wanted, stream, offset, limit) if tail is None else logs.tail(wanted, stream, tail)
    headers = {"Log-Next": str(part.next), "Log-Total": str(part.total), "Log-Complete": str(part.complete).lower()}
    if "text/plain" in accept and "application/json" not in accept:
        return Response(part.data, headers=headers, media_type="text/plain; charset=utf-8")
    text, size = _decoded(part)
    return answer(
        {
            "address": str(wanted),
            "stream": stream,
            "offset": part.offset,
            "next": part.offset + size,
            "total": part.total,
            "complete": part.complete,
            "text": text,
        }
    )


def _decoded(part: LogSlice) -> tuple[str, int]:
    """Return a part as text and how many bytes that is: a letter cut in the middle is left for the next part."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    whole = part.next >= part.total
    text = decoder.decode(part.data, final=whole)
    left = 0 if whole else len(decoder.getstate()[0])
    if left >= len(part.data):
        return part.data.decode("utf-8", "replace"), len(part.data)
    return text, len(part.data) - left


@router.get("/files/{address:path}", name="list_files", response_model=answers.Page, summary="Recorded outputs")
def list_files(address: AddressText, services: Have, limit: Limit = 100, after: After = "") -> Response:
    """Return the outputs of done tasks below an address; one task's outputs are never split between pages."""
    wanted = address_of(address, "dataset", "job", "task")
    with services.database.read() as tx:
        _check(tx, services, wanted)
        context = services.contexts.one(tx, wanted.dataset)
        return answer(lists.files(tx, context, wanted, after=page_after(after), limit=limit))


@router.get(
    "/content/{address:path}", name="get_content", summary="Bytes of a recorded output", response_class=Response,
    responses={
        200: {"description": "The file", "content": BINARY},
        206: {"description": "Part of it", "content": BINARY},
        304: {"description": "You have it"},
    },
)  # fmt: skip
def get_content(
    address: AddressText,
    services: Have,
    name: FileName,
    wanted_range: RANGE = None,
    if_range: IF_RANGE = None,
    if_none_match: IF_NONE_MATCH = None,
) -> Response:
    """Return the bytes of one output of a job or task; the ETag is its SHA-256."""
    wanted = address_of(address, "job", "task")
    with services.database.read() as tx:
        _check(tx, services, wanted)
        context = services.contexts.one(tx, wanted.dataset)
        record = content.find(tx, context, wanted, name)
    if not record["url"].startswith(f"{services.store}/{wanted.dataset}/"):
        raise NotFound(f"{name} is not in the store", code="file-elsewhere", hint=f"it is kept at {record['url']}")
    return content.serve(services.storage, record, wanted_range, if_range, if_none_match)


def _check(tx: Connection, services: Services, wanted: Address) -> None:
    """Raise `NotFound` or `Invalid` unless the address is there."""
    if wanted.level != "dataset":
        look.status(tx, services.contexts, wanted, services.clock())
