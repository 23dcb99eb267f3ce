"""All recorded outputs of a dataset as one ZIP file, written while it is sent; of large ones `nunatak get` is the way."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from starlette.responses import Response, StreamingResponse

from nunatak.api.requests import Have, Number
from nunatak.core.address import Address
from nunatak.core.errors import Conflict, NotFound
from nunatak.core.units import count_text, memory_text
from nunatak.storage.protocol import Storage
from nunatak.tasks import lists
from nunatak.web.routing import Pages

pages = Pages()

MOST_TASKS = 1000
MOST_BYTES = 2 * 10**9
BLOCK = 1 << 18
Record = dict[str, Any]


@pages.get("/datasets/{dataset}/files.zip", name="archive_from_page")
def archive(services: Have, dataset: Number) -> Response:
    """Give all recorded outputs as an attachment. Raises `NotFound`, or `Conflict` for more than fit."""
    with services.database.read() as tx:
        context = services.contexts.one(tx, dataset)
        page = lists.files(tx, context, Address(dataset), limit=MOST_TASKS)
    records = [item for item in page["items"] if item["url"].startswith(f"{services.store}/{dataset}/")]
    _check(services.storage, dataset, records, more=bool(page["next"]))
    headers = {
        "Content-Disposition": f'attachment; filename="dataset-{dataset}.zip"',
        "Cache-Control": "private, no-store",
    }
    return StreamingResponse(packed(services.storage, records), headers=headers, media_type="application/zip")


def _check(storage: Storage, dataset: int, records: Sequence[Record], *, more: bool) -> None:
    size = sum(item["size"] for item in records)
    if not records:
        raise NotFound(f"dataset {dataset} has no files in the store", code="no-file")
    if more or size > MOST_BYTES:
        what = f"files of more than {count_text(MOST_TASKS, 'task')}" if more else f"{memory_text(size)} of files"
        raise Conflict(
            f"dataset {dataset} has {what}", code="too-large", hint=f"nunatak get {dataset} brings them, checked"
        )
    for item, stat in zip(records, storage.stat([item["url"] for item in records]), strict=True):
        if stat is None or stat.size != item["size"]:
            how = "is not in storage any more" if stat is None else "was changed in storage"
            raise Conflict(f"{item['name']} of {item['address']} {how}", code="file-changed", hint="retry its task")


def places(records: Sequence[Record]) -> list[str]:
    """Return where each file goes: under its name if no other has it, else JOB/TASK/NAME. None leads outside. Pure."""
    names = [
        str(PurePosixPath(*(part for part in PurePosixPath(item["name"]).parts if part not in ("/", ".."))))
        for item in records
    ]
    taken = Counter(names)
    found = []
    for item, name in zip(records, names, strict=True):
        job = () if item["job"] is None else (str(item["job"]),)
        found.append(name if taken[name] == 1 else str(PurePosixPath(*job, item["task"], name)))
    return found


def _inside(name: str) -> str:
    return str(PurePosixPath(*(part for part in PurePosixPath(name).parts if part not in ("/", ".."))))


class _Sink(io.RawIOBase):
    """What was written and not yet sent; nothing can be gone back to."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        found, self._parts = b"".join(self._parts), []
        return found


def packed(storage: Storage, records: Sequence[Record]) -> Iterator[bytes]:
    """Return the bytes of the archive, a block at a time; files are stored as they are."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w") as made:
        for item, place in zip(records, places(records), strict=True):
            info = zipfile.ZipInfo(place)
            info.external_attr = 0o644 << 16
            with made.open(info, "w") as to, storage.open(item["url"], 0, item["size"]) as stream:
                while block := stream.read(BLOCK):
                    to.write(block)
                    yield sink.take()
    yield sink.take()
