"""SHA-256 over files and bytes; every checksum in Nunatak is the lower-case hexadecimal SHA-256 (FIPS 180-4)."""

from __future__ import annotations

import hashlib
from pathlib import Path


def of_bytes(data: bytes) -> str:
    """Return the checksum of `data`."""
    return hashlib.sha256(data).hexdigest()


def of_file(path: Path) -> str:
    """Return the checksum of a file, read in blocks. Raises `OSError` if it cannot be read."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
