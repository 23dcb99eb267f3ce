"""Several recorded outputs as one ZIP file, written while it is sent: nothing is kept of it anywhere."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from starlette.responses import Response, StreamingResponse

from nunatak.core.errors import Conflict, NotFound
from nunatak.core.units import memory_text
from nunatak.storage.protocol import Storage

MOST_BYTES = 2 * 10**9
BLOCK = 1 << 18
Record = dict[str, Any]


def serve(storage: Storage, dataset: int, records: Sequence[Record], over: str = "") -> Response:
    """Answer with the archive of a dataset's files. Raises `NotFound`, or `Conflict` for too many or changed ones.

    `over` says that there are files of more than so much, which are not among the records.
    """
    _check(storage, dataset, records, over)
    headers = {
        "Content-Disposition": f'attachment; filename="dataset-{dataset}.zip"',
        "Cache-Control": "private, no-store",
    }
    return StreamingResponse(packed(storage, records), headers=headers, media_type="application/zip")


def _check(storage: Storage, dataset: int, records: Sequence[Record], over: str) -> None:
    size = sum(item["size"] for item in records)
    if not records:
        raise NotFound(f"dataset {dataset} has no files in the store", code="no-file")
    if over or size > MOST_BYTES:
        what = f"files of more than {over}" if over else f"{memory_text(size)} of files"
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
