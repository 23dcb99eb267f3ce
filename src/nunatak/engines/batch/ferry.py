"""Files to and from a directory that is reached by a connection only: as tar archives through the commands' own way."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import IO

from nunatak.core.errors import Unavailable
from nunatak.engines.batch.dialect import Answer

Pipe = Callable[[Sequence[str], IO[bytes], IO[bytes]], Answer]
"""Runs one command to its end between an input and an output; never raises."""

_OURS = """\
set -e
mkdir -p -m 700 -- "$1"
cd -- "$1"
if [ -e .engine ] && [ "$(cat .engine)" != "$2" ]; then
    echo "the directory $1 belongs to another engine" >&2
    exit 93
fi
printf %s "$2" > .engine
"""
_PUT = _OURS + "exec tar -x -f -\n"
_GET = """\
cd -- "$1" || exit
xargs -0 sh -c 'for name; do [ -f "$name" ] && [ ! -L "$name" ] && printf "%s\\0" "$name"; done; exit 0' sh |
    tar -c -f - --no-recursion --null -T -
"""
_TAILS = """\
cd -- "$1" || exit
xargs -0 -n 200 sh -c '
while [ $# -gt 1 ]; do
    if [ -f "$1" ] && [ ! -L "$1" ]; then
        size=$(tail -c "+$2" -- "$1" | head -c 65536 | wc -c)
        if [ "$size" -gt 0 ]; then
            printf "%s %d\\n" "$1" "$size"
            tail -c "+$2" -- "$1" | head -c "$size"
        fi
    fi
    shift 2
done
exit 0' sh
"""
"""Prints at most 64 kB of each file from a byte on, after a line with its name and how many bytes follow."""
_REMOVE = """\
cd -- "$1" && exec xargs -0 sh -c '
rm -rf -- "$@" || exit
for name; do case $name in [0-9]*/*/*) rmdir -p -- "${name%/*}" 2>/dev/null; esac; done
exit 0' sh
"""
_LIST = (
    _OURS
    + """\
find . -mindepth 3 -maxdepth 3 -type d -path './[0-9]*'
find .submissions .series -mindepth 1 -maxdepth 1 -type d 2>/dev/null || true
"""
)


class Ferry:
    """The way to one directory. Everything may be repeated; what is cut short leaves nothing half-made here.

    Every method raises `Unavailable` if the other side does not answer, or refuses.
    """

    def __init__(self, pipe: Pipe, there: str, tag: str, drafts: Path) -> None:
        """Prepare; `tag` tells whose directory it is, archives on their way are in `drafts`."""
        self._pipe, self._there, self._tag, self._drafts = pipe, there, tag, drafts
        shutil.rmtree(drafts, ignore_errors=True)
        drafts.mkdir(parents=True)

    def put(self, files: Mapping[str, Path | bytes], directories: Iterable[str]) -> None:
        """Write files and directories there; those that are gone here are left out. Raises `OSError` for a full disk."""
        with tempfile.TemporaryFile(dir=self._drafts) as archive:
            with tarfile.open(fileobj=archive, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                for name in directories:
                    tar.addfile(_entry(name, 0, 0o700, tarfile.DIRTYPE))
                for name, source in files.items():
                    _add(tar, name, source)
            archive.seek(0)
            self._run(_PUT, archive)

    def get(self, names: Mapping[str, Path], last: str) -> None:
        """Bring files here that are there and regular; those called `last` when all others are here. Raises `OSError`."""
        with tempfile.TemporaryFile(dir=self._drafts) as archive:
            self._run(_GET, _listed(names), archive)
            later: list[tuple[Path, Path]] = []
            for tar, member in _members(archive):
                target = names.get(member.name)
                if target is None or not member.isreg():
                    continue
                draft = self._drafts / f"{len(later)}"
                _extract(tar, member, draft)
                if target.name == last:
                    later.append((draft, target))
                else:
                    draft.replace(target)
            for draft, target in later:
                draft.replace(target)

    def tails(self, offsets: Mapping[str, int]) -> dict[str, bytes]:
        """Return what files there have beyond some bytes: 64 kB of each at most, nothing of one that has no more."""
        asked = [word for name, offset in offsets.items() for word in (name, str(offset + 1))]
        with tempfile.TemporaryFile(dir=self._drafts) as out:
            self._run(_TAILS, _listed(asked), out)
            out.seek(0)
            found: dict[str, bytes] = {}
            while line := out.readline():
                name, _, size = line.decode("utf-8", "replace").rstrip("\n").rpartition(" ")
                if name not in offsets or not size.isdigit():
                    break  # a log was cut while it was read: what follows cannot be told apart
                found[name] = out.read(int(size))
        return found

    def remove(self, names: Iterable[str]) -> None:
        """Delete files and trees there."""
        self._run(_REMOVE, _listed(names))

    def sandboxes(self) -> list[str]:
        """Return what sandboxes, submissions and series are there, relative to the directory."""
        with tempfile.TemporaryFile(dir=self._drafts) as out:
            self._run(_LIST, BytesIO(), out)
            out.seek(0)
            return [line.removeprefix("./") for line in out.read().decode("utf-8", "replace").splitlines()]

    def _run(self, script: str, source: IO[bytes], target: IO[bytes] | None = None) -> None:
        with _null() if target is None else _same(target) as out:
            answer = self._pipe(("sh", "-c", script, "sh", self._there, self._tag), source, out)
        if answer.code or answer.lost:
            raise Unavailable(
                f"files of {self._there}: {answer.words}", code="engine-directory", hint="can it be reached?"
            )


@contextmanager
def _null() -> Iterator[IO[bytes]]:
    with Path("/dev/null").open("wb") as out:
        yield out


@contextmanager
def _same(out: IO[bytes]) -> Iterator[IO[bytes]]:
    yield out


def _listed(names: Iterable[str]) -> IO[bytes]:
    return BytesIO(b"".join(name.encode() + b"\0" for name in names))


def _entry(name: str, size: int, mode: int, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.type, entry.mtime = size, mode, kind, int(time.time())
    return entry


def _add(tar: tarfile.TarFile, name: str, source: Path | bytes) -> None:
    if isinstance(source, bytes):
        tar.addfile(_entry(name, len(source), 0o600), BytesIO(source))
        return
    with suppress(FileNotFoundError, PermissionError, IsADirectoryError), source.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(0)
        tar.addfile(_entry(name, size, 0o700), stream)


def _members(archive: IO[bytes]) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Yield what is in an archive that came whole: it ends with two blocks of zeros. Raises `Unavailable`."""
    size = archive.seek(0, os.SEEK_END)
    archive.seek(max(0, size - 2 * tarfile.BLOCKSIZE))
    whole = archive.read() == b"\0" * 2 * tarfile.BLOCKSIZE
    archive.seek(0)
    try:
        if not whole:
            raise tarfile.ReadError("it is cut short")
        with tarfile.open(fileobj=archive, mode="r:") as tar:
            for member in tar:
                yield tar, member
    except tarfile.TarError as error:
        raise Unavailable(f"an archive came back damaged: {error}", code="engine-directory") from None


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, draft: Path) -> None:
    """Write one file with its time: when an attempt of a series began is seen by that."""
    stream = tar.extractfile(member)
    assert stream
    with stream, draft.open("wb") as out:
        shutil.copyfileobj(stream, out, 1 << 20)
    os.utime(draft, (member.mtime, member.mtime))
