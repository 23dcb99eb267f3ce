"""Brings recorded outputs into a directory: several at once, each verified, resumed where it broke off, never twice."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

from nunatak.client.connection import API, Connection, path_of
from nunatak.client.results import OutputFile
from nunatak.core import checksums
from nunatak.core.address import Address, parse
from nunatak.core.errors import Invalid, Unavailable

BLOCK = 1 << 20
TRIES = 5
"""How often a file is tried that arrives damaged or breaks off."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is there and right: `number` of `total`; `had` says that it was there before."""

    file: OutputFile
    path: Path
    had: bool
    number: int
    total: int


def layout(files: Sequence[OutputFile]) -> list[PurePosixPath]:
    """Choose where each file goes below the target: where the recipe put it, else JOB/TASK/NAME. Raises `Invalid`.

    Two files never get the same place, and none leads outside.
    """
    places = [_place(file) for file in files]
    taken: dict[PurePosixPath, int] = {}
    for place in places:
        taken[place] = taken.get(place, 0) + 1
    return [place if taken[place] == 1 else _usual(file) for file, place in zip(files, places, strict=True)]


def _usual(file: OutputFile) -> PurePosixPath:
    address = parse(file.address)
    job = () if address.job is None else (str(address.job),)
    return _inside(PurePosixPath(*job, file.task, file.name), file)


def _place(file: OutputFile) -> PurePosixPath:
    """Return the part of the URL below the dataset's directory if the recipe chose it."""
    dataset = parse(file.address).dataset
    for mark in (f"/store/{dataset}/", f"/{dataset}/"):
        _, found, rest = file.url.partition(mark)
        if found:
            break
    else:
        return _usual(file)
    chosen = not rest.startswith(f"{file.task}/") or not rest.endswith(f"/{quote(file.name)}")
    return _inside(PurePosixPath(unquote(rest)), file) if chosen else _usual(file)


def _inside(place: PurePosixPath, file: OutputFile) -> PurePosixPath:
    if place.is_absolute() or ".." in place.parts or not place.parts or "\0" in str(place):
        raise Invalid(f"the output {file.name!r} of {file.address} has no place below a directory", code="bad-path")
    return place


def fetch(
    connection: Connection,
    files: Sequence[OutputFile],
    to: Path,
    *,
    parallel: int = 4,
    progress: Callable[[Fetched], None] | None = None,
) -> list[Fetched]:
    """Bring `files` below `to`. Raises `Invalid`, `NotFound` or `Unavailable` for the first that cannot be had."""
    places = [to / place for place in layout(files)]
    found: list[Fetched] = []
    with ThreadPoolExecutor(max(1, parallel)) as pool:
        waiting = {
            pool.submit(_one, connection, file, path): (file, path) for file, path in zip(files, places, strict=True)
        }
        try:
            for number, done in enumerate(as_completed(waiting), 1):
                file, path = waiting[done]
                found.append(Fetched(file, path, done.result(), number, len(files)))
                if progress:
                    progress(found[-1])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return sorted(found, key=lambda item: item.path)


def recipe_file(connection: Connection, dataset: int, name: str, to: Path, revision: int | None = None) -> Path:
    """Bring a file that came with a recipe; what arrives damaged is not kept. Raises `NotFound`, `Unavailable`."""
    headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
    part = to.with_name(f".{to.name[:200]}.part")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        place = f"{API}/datasets/{dataset}/recipe/file"
        with connection.stream(place, headers=headers, name=name, revision=revision) as response:
            wanted = response.headers.get("ETag", "").strip('"')
            with part.open("wb") as target:
                _pour(response.iter_bytes(BLOCK), target.fileno())
        if checksums.of_file(part) == wanted:
            return part.replace(to)
    except OSError as error:
        raise _unwritten(to, error) from None
    raise Unavailable(
        f"{name} of dataset {dataset} arrived with a wrong checksum", code="bad-checksum", hint="try again"
    )


def _unwritten(path: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"{path} cannot be written: {error.strerror or error}", code="no-target", hint="check space and permissions"
    )


def _one(connection: Connection, file: OutputFile, path: Path) -> bool:
    """Bring one file; tell whether it was there already."""
    try:
        if path.is_file() and path.stat().st_size == file.size and checksums.of_file(path) == file.sha256:
            return True
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name[:200]}.part")
        for number in range(TRIES):
            if _attempt(connection, file, part, last=number == TRIES - 1):
                part.replace(path)
                return False
    except OSError as error:
        raise _unwritten(path, error) from None
    raise Unavailable(
        f"{file.name} of {file.address} arrived {TRIES} times with a wrong checksum",
        code="bad-checksum",
        hint="try later",
    )


def _attempt(connection: Connection, file: OutputFile, part: Path, *, last: bool) -> bool:
    """Continue or begin a download; tell whether the file is whole and right."""
    have = part.stat().st_size if part.exists() else 0
    if have < file.size or file.size == 0:
        try:
            _download(connection, file, part, have)
        except Unavailable:
            if last:
                raise
            return False
    if part.stat().st_size == file.size and checksums.of_file(part) == file.sha256:
        return True
    if part.stat().st_size >= file.size:
        part.unlink()
    return False


def _download(connection: Connection, file: OutputFile, part: Path, have: int) -> None:
    headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": f'"{file.sha256}"'}
    path = path_of("content", _of_task(file))
    with connection.stream(path, headers=headers, name=file.name) as response:
        resumed = response.status_code == 206
        with part.open("ab" if resumed else "wb") as target:
            _pour(response.iter_bytes(BLOCK), target.fileno())


def _of_task(file: OutputFile) -> Address:
    address = parse(file.address)
    return Address(address.dataset, address.job, file.task)


def _pour(chunks: Iterator[bytes], target: int) -> None:
    for chunk in chunks:
        while chunk:
            chunk = chunk[os.write(target, chunk) :]
