"""Files on a mounted file system, as `file:///...` URLs under allowed roots; where a laptop's outputs go."""

from __future__ import annotations

import hashlib
import io
import os
import stat as modes
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from nunatak.core import checksums
from nunatak.core.errors import Invalid, NotFound, Refused
from nunatak.storage.oserrors import translate, translated
from nunatak.storage.protocol import Page, Put, Stat, Stored
from nunatak.storage.urls import encode, segments

SCHEME = "file"
BLOCK = 1 << 20
_TEMPORARY = ".nunatak-"


class PosixStorage:
    """Keeps files under one or more directories; nothing outside them is read, written, listed or deleted.

    A symbolic link may lead about inside the roots, never out of them. Links are not listed.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        """Allow the directories `roots`; they need not exist yet."""
        self.roots = tuple(root.resolve() for root in roots)

    def stat(self, urls: Sequence[str]) -> list[Stat | None]:
        """Return size and time of each regular file."""
        return [self._stat(url, self._existing(url)) for url in urls]

    def put(self, items: Sequence[Put]) -> list[Stored]:
        """Write each file beside its place, verify it, force it to disk, and rename it there."""
        return [self._put(item) for item in items]

    def open(self, url: str, offset: int = 0, length: int | None = None) -> BinaryIO:
        """Open a regular file; the bytes are read as they are asked for."""
        if offset < 0 or (length is not None and length < 0):
            raise Invalid(f"cannot read {length} bytes from {offset}", code="bad-range", hint="both count from 0")
        with translated(url):
            fd = os.open(self._existing(url), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        if not modes.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise Invalid(f"{url} is not a file", code="bad-file", url=url)
        return io.BufferedReader(_Section(fd, offset, length), 1 << 16)

    def delete(self, urls: Sequence[str]) -> None:
        """Remove each name; a symbolic link goes, what it leads to stays."""
        for url in urls:
            with translated(url), suppress(FileNotFoundError, NotADirectoryError):
                self._place(url).unlink()

    def entries(self, prefix: str, after: str = "", limit: int = 1000) -> Page:
        """List by walking only the directories that can hold the page."""
        if limit < 1:
            raise Invalid(f"a page of {limit} files cannot be", code="bad-limit", hint="ask for at least 1")
        *parents, _ = segments(prefix, SCHEME, prefix=True)
        directory = self._inside(prefix, _real(parents))
        base = f"{SCHEME}:///" + "".join(encode(part) + "/" for part in parents)
        start = base + encode(segments(prefix, SCHEME, prefix=True)[-1])
        with translated(prefix):
            found = list(islice(_walk(directory, base, start, after), limit + 1))
        files = tuple(found[:limit])
        return Page(files, files[-1].url if len(found) > limit else "")

    def checksums(self, urls: Sequence[str]) -> list[str | None]:
        """Read each file again from the file system."""
        return [self._checksum(url) for url in urls]

    def _put(self, item: Put) -> Stored:
        place = self._place(item.url)
        temporary = place.with_name(f"{_TEMPORARY}{uuid.uuid4().hex}.part")
        with translated(item.url):
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.is_dir():
                raise Invalid(f"{item.url} is a directory", code="bad-file", url=item.url)
            try:
                size, sha256 = _copy(item.source, temporary)
                if item.sha256 and sha256 != item.sha256:
                    raise _mismatch(item, sha256)
                temporary.replace(place)
            finally:
                temporary.unlink(missing_ok=True)
            _sync_directory(place.parent)
        return Stored(item.url, size, sha256)

    def _checksum(self, url: str) -> str | None:
        path = self._existing(url)
        if self._stat(url, path) is None:
            return None
        with translated(url), suppress(FileNotFoundError):
            return checksums.of_file(path)
        return None

    def _stat(self, url: str, path: Path) -> Stat | None:
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise translate(error, url) from error
        return Stat(url, found.st_size, found.st_mtime) if modes.S_ISREG(found.st_mode) else None

    def _place(self, url: str) -> Path:
        """Return where the name stands: its directory with all links followed, itself not."""
        *parents, name = segments(url, SCHEME)
        with translated(url):
            return self._inside(url, _real(parents) / os.fsdecode(name))

    def _existing(self, url: str) -> Path:
        """Return where the file is, all links followed."""
        with translated(url):
            return self._inside(url, _real(segments(url, SCHEME)))

    def _inside(self, url: str, path: Path) -> Path:
        if any(path.is_relative_to(root) for root in self.roots):
            return path
        allowed = ", ".join(str(root) for root in self.roots)
        raise Refused(f"{url} leads outside the storage", code="outside-storage", hint=f"allowed: {allowed}", url=url)


class _Section(io.RawIOBase):
    """A part of an open file, as a stream of its own."""

    def __init__(self, fd: int, offset: int, length: int | None) -> None:
        self._fd, self._at, self._left = fd, offset, length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        wanted = len(buffer) if self._left is None else min(len(buffer), self._left)
        data = os.pread(self._fd, wanted, self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        if self._left is not None:
            self._left -= len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            os.close(self._fd)
        super().close()


def _copy(source: Path | bytes, target: Path) -> tuple[int, str]:
    """Write `source` into the new file `target`, forced to disk; return size and checksum of the bytes written."""
    digest, size = hashlib.sha256(), 0
    with _reading(source) as reader, target.open("xb") as writer:
        while block := reader.read(BLOCK):
            writer.write(block)
            digest.update(block)
            size += len(block)
        writer.flush()
        os.fsync(writer.fileno())
    return size, digest.hexdigest()


def _reading(source: Path | bytes) -> BinaryIO:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    try:
        return source.open("rb")
    except FileNotFoundError as error:
        raise NotFound(f"the source {source} is missing", code="no-source", hint="was it moved or deleted?") from error
    except OSError as error:
        raise translate(error, f"the source {source}") from error


def _walk(directory: Path, base: str, start: str, after: str) -> Iterator[Stat]:
    """Yield files below `directory`, whose URL is `base`, in the order of their URLs.

    A directory sorts by its name with the slash, which makes the walk's order that of the whole URLs.
    """
    try:
        with os.scandir(directory) as scan:
            named = sorted(((base + _name(entry), entry) for entry in scan), key=lambda pair: pair[0])
    except (FileNotFoundError, NotADirectoryError):
        return
    for url, entry in named:
        if url.endswith("/"):
            if (url.startswith(start) or start.startswith(url)) and (url > after or after.startswith(url)):
                yield from _walk(Path(entry.path), url, start, after)
        elif url.startswith(start) and url > after and not entry.name.startswith(_TEMPORARY):
            if not entry.is_file(follow_symlinks=False):
                continue
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield Stat(url, found.st_size, found.st_mtime)


def _name(entry: os.DirEntry[str]) -> str:
    return encode(os.fsencode(entry.name)) + ("/" if entry.is_dir(follow_symlinks=False) else "")


def _real(parts: Sequence[bytes]) -> Path:
    """Return an absolute path with all its links followed; a loop of links stays, and fails when it is opened."""
    return Path(os.fsdecode(os.path.realpath(b"/" + b"/".join(parts))))


def _mismatch(item: Put, sha256: str) -> Invalid:
    return Invalid(
        f"the bytes for {item.url} are not those declared",
        code="bad-checksum",
        hint="the source changed or was damaged on its way: make it or send it again",
        url=item.url,
        expected=item.sha256,
        found=sha256,
    )


def _sync_directory(path: Path) -> None:
    """Force a rename to disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
