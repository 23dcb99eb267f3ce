"""Blobs by their SHA-256, as `{root}/{first two digits}/{all digits}`: the files sent along with datasets."""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from nunatak.core import checksums
from nunatak.core.errors import Invalid, NotFound
from nunatak.storage.oserrors import translated

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob that is now kept; `size` in bytes."""

    sha256: str
    size: int


class ContentStore:
    """A directory of blobs. Several processes may use it at once."""

    def __init__(self, root: Path) -> None:
        """Use the directory `root`, made when first needed."""
        self.root = root

    def missing(self, hashes: Sequence[str]) -> list[str]:
        """Return those of `hashes` that are not kept, each once, in order. Raises `Invalid` for what is no checksum."""
        return [sha256 for sha256 in dict.fromkeys(hashes) if not self.path(sha256).is_file()]

    def put(self, chunks: Iterable[bytes], sha256: str, limit: int) -> Blob:
        """Keep a stream of bytes that was declared to have the checksum `sha256`.

        A blob already there is written anew, which mends a damaged one. Raises `Invalid` with code `bad-checksum` if it
        has another, or `too-large` beyond `limit` bytes; nothing is left behind then.
        """
        place = self.path(sha256)
        temporary = place.with_name(f".{uuid.uuid4().hex}.part")
        with translated(f"blob {sha256}"):
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                size = _write(temporary, chunks, sha256, limit)
                temporary.replace(place)
            finally:
                temporary.unlink(missing_ok=True)
        return Blob(sha256, size)

    def open(self, sha256: str) -> BinaryIO:
        """Open a blob to read; the caller closes it. Raises `NotFound`."""
        try:
            return self.path(sha256).open("rb")
        except FileNotFoundError as error:
            raise NotFound(f"there is no blob {sha256}", code="no-blob", hint="upload it first") from error

    def path(self, sha256: str) -> Path:
        """Return where a blob is, if it is kept. Raises `Invalid` for what is no checksum."""
        if not _SHA256.match(sha256):
            raise Invalid(f"{sha256!r} is not a checksum", code="bad-hash", hint="64 lower-case hexadecimal digits")
        return self.root / sha256[:2] / sha256

    def damaged(self, hashes: Sequence[str]) -> list[str]:
        """Read blobs again and return those whose bytes are not what their name says; missing ones are left out."""
        kept = (sha256 for sha256 in dict.fromkeys(hashes) if self.path(sha256).is_file())
        return [sha256 for sha256 in kept if checksums.of_file(self.path(sha256)) != sha256]


def _write(target: Path, chunks: Iterable[bytes], sha256: str, limit: int) -> int:
    """Write the stream into the new file `target`, forced to disk; return its size in bytes."""
    digest, size = hashlib.sha256(), 0
    with target.open("xb") as writer:
        for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise Invalid(
                    f"a file is larger than {limit} bytes", code="too-large", hint="use a storage URL", limit=limit
                )
            digest.update(chunk)
            writer.write(chunk)
        if digest.hexdigest() != sha256:
            found = digest.hexdigest()
            raise Invalid(
                f"the bytes sent do not have the checksum {sha256}",
                code="bad-checksum",
                hint="the file changed or was damaged on its way: send it again",
                expected=sha256,
                found=found,
            )
        writer.flush()
        os.fsync(writer.fileno())
    return size
