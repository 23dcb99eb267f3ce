"""Bytes of recorded outputs: found by the ledger, read from storage, whole or in part (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection
from starlette.responses import Response, StreamingResponse

from nunatak.api.problems import problem_response
from nunatak.core.address import Address
from nunatak.core.errors import Conflict, Invalid, NotFound
from nunatak.storage.protocol import Storage
from nunatak.tasks.context import Context
from nunatak.tasks.looking import lists

BLOCK = 1 << 18
PAGE = 1000
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z", re.ASCII)


def find(tx: Connection, context: Context, address: Address, name: str) -> dict[str, Any]:
    """Return the record of one output. Raises `NotFound`, or `Invalid` if several tasks have one of this name."""
    found: list[dict[str, Any]] = []
    seen: list[str] = []
    after = ""
    while True:
        page = lists.files(tx, context, address, after=after, limit=PAGE)
        found += [item for item in page["items"] if item["name"] == name]
        seen += [item["name"] for item in page["items"]][: 20 - len(seen)]
        after = page["next"]
        if not after:
            break
    if not found:
        hint = f"it has {', '.join(seen)}" if seen else "nothing was recorded there yet"
        raise NotFound(f"{address} has no output {name!r}", code="no-file", hint=hint)
    if len(found) > 1:
        places = " or ".join(item["address"] for item in found[:5])
        raise Invalid(f"several tasks have an output {name!r}", code="several-files", hint=f"ask for {places}")
    return found[0]


def serve(
    storage: Storage, record: dict[str, Any], wanted: str | None, if_range: str | None, if_none_match: str | None
) -> Response:
    """Answer with the bytes of a recorded file."""
    size, tag = record["size"], f'"{record["sha256"]}"'
    headers = {"ETag": tag, "Accept-Ranges": "bytes", "Cache-Control": "private, no-cache"}
    if if_none_match and tag in [item.strip().removeprefix("W/") for item in if_none_match.split(",")]:
        return Response(status_code=304, headers=headers)
    _check_there(storage, record)
    start, stop = 0, size
    span = _span(wanted, size) if wanted and if_range in (None, tag) else None
    if span is not None:
        start, stop = span
        if start >= size or start >= stop:
            more = {"Content-Range": f"bytes */{size}"}
            return problem_response(416, "bad-range", f"the file has {size} bytes", headers=more)
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    base = record["name"].rsplit("/", 1)[-1]
    headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(base, safe='')}"
    headers["Content-Length"] = str(stop - start)
    blocks = _blocks(storage, record["url"], start, stop - start)
    return StreamingResponse(blocks, 206 if span else 200, headers, media_type="application/octet-stream")


def _check_there(storage: Storage, record: dict[str, Any]) -> None:
    stat = storage.stat([record["url"]])[0]
    if stat is None:
        raise NotFound(f"{record['name']} is not in storage any more", code="file-gone", url=record["url"])
    if stat.size != record["size"]:
        raise Conflict(
            f"{record['name']} has {stat.size} bytes in storage, {record['size']} were recorded",
            code="file-changed",
            hint="the file was changed by something else; retry the task to make it anew",
            url=record["url"],
        )


def _span(wanted: str, size: int) -> tuple[int, int] | None:
    """Return [start, stop) of a single range; None for anything else, which is then ignored."""
    found = _RANGE.match(wanted.strip())
    if not found or not (found[1] or found[2]):
        return None
    if not found[1]:
        return max(0, size - int(found[2])), size
    start = int(found[1])
    if found[2] and int(found[2]) < start:
        return None
    return start, min(int(found[2]) + 1, size) if found[2] else size


def _blocks(storage: Storage, url: str, start: int, length: int) -> Iterator[bytes]:
    with storage.open(url, start, length) as stream:
        while block := stream.read(BLOCK):
            yield block
