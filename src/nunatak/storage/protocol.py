"""The boundary to a place that keeps files: six bulk methods, frozen values in and out.

Stage-out, the catalog, the archive and its verification all speak to storage through this; `tests/contract` holds the
suite that every storage passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class Put:
    """A file to store: where it goes, its bytes or the local file that has them, and its checksum ("" = not known)."""

    url: str
    source: Path | bytes
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is now stored; `size` in bytes, `sha256` of the bytes that were written."""

    url: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Stat:
    """A stored file; `size` in bytes, `modified` in seconds since the epoch."""

    url: str
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a listing, in the order of the URLs; ask again after `next`, unless it is ""."""

    files: tuple[Stat, ...]
    next: str = ""


class Storage(Protocol):
    """One place that keeps files. Every method may be repeated.

    Raises `Invalid` for an URL that is not of this storage, `Refused` where access is denied, and `Unavailable` where
    trying again may help. A bulk method stops at the first error; what it did before stays done, so it can be
    repeated whole.
    """

    def stat(self, urls: Sequence[str]) -> list[Stat | None]:
        """Return what is known of each file, in order; None where there is none."""

    def put(self, items: Sequence[Put]) -> list[Stored]:
        """Store files, in order. Each is there whole and verified, or not at all; what was there is replaced.

        Raises `Invalid` with code `bad-checksum` if the bytes are not those declared, `NotFound` for a missing source.
        """

    def open(self, url: str, offset: int = 0, length: int | None = None) -> BinaryIO:
        """Open a file to read `length` bytes from `offset` (None: to its end); the caller closes it.

        Raises `NotFound`.
        """

    def delete(self, urls: Sequence[str]) -> None:
        """Delete files; those that do not exist are no error."""

    def entries(self, prefix: str, after: str = "", limit: int = 1000) -> Page:
        """List the files whose URLs begin with `prefix` and come after `after`, at most `limit` of them, in order."""

    def checksums(self, urls: Sequence[str]) -> list[str | None]:
        """Read each file where it is stored and return its checksum, in order; None where there is none."""
