"""Files that pages need, read and compressed once; their names have a hash in them, so that browsers keep them for good."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import Response

from nunatak.api.guard import GuardedRoute
from nunatak.core.errors import NotFound

ROOT = files("nunatak.web") / "static"
TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
FOR_GOOD = "public, max-age=31536000, immutable"

router = APIRouter(route_class=GuardedRoute)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: the name it is served by, its kind, its bytes as they are and compressed."""

    name: str
    media_type: str
    data: bytes
    packed: bytes


@cache
def assets() -> dict[str, Asset]:
    """Return every file by its path below `static`, as `app.css` or `vendor/htmx.min.js`."""
    found = {}
    for place in ("", "vendor"):
        for file in (ROOT / place if place else ROOT).iterdir():
            stem, _, kind = file.name.rpartition(".")
            if kind in TYPES and file.is_file():
                data = file.read_bytes()
                digest = hashlib.sha256(data).hexdigest()[:12]
                packed = gzip.compress(data, 9, mtime=0)
                found[f"{place}/{file.name}".lstrip("/")] = Asset(f"{stem}.{digest}.{kind}", TYPES[kind], data, packed)
    return found


@cache
def _by_name() -> dict[str, Asset]:
    return {asset.name: asset for asset in assets().values()}


@cache
def url_of(path: str) -> str:
    """Return where a file is served. Raises `KeyError` for one that is not there: a mistake in a template."""
    return f"/static/{assets()[path].name}"


@router.get("/static/{name}", name="static", include_in_schema=False)
async def static(name: str, request: Request) -> Response:
    """Return a file; what its name stands for never changes."""
    asset = _by_name().get(name)
    if asset is None:
        raise NotFound(f"there is no file {name}", code="no-file")
    packed = "gzip" in request.headers.get("accept-encoding", "") and len(asset.packed) < len(asset.data)
    headers = {"Cache-Control": FOR_GOOD, "Vary": "Accept-Encoding", **({"Content-Encoding": "gzip"} if packed else {})}
    return Response(asset.packed if packed else asset.data, headers=headers, media_type=asset.media_type)
