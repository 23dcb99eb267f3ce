"""Moves files in and out of the sandbox, with a checksum taken on the way; file:// and plain paths here."""

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Tuple

BLOCK = 1 << 20
_LARGE = 4 << 20


class Gone(Exception):  # noqa: N818
    """There is no such file at the other side."""


class Wrong(Exception):  # noqa: N818
    """The file was not what it should be, or was refused; trying again at once does not help."""

    passing = False  # whether it failed in a way that may go by, at every try


class Passing(Exception):  # noqa: N818
    """Failed in a way that may go by."""


PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds between tries, each varied by a half up or down."""


def tried(action: "Callable[[], Any]") -> "Any":
    """Return what `action` gives, tried again while it raises `Passing`. Raises `Wrong` when it did so at every try."""
    for pause in PAUSES:
        try:
            return action()
        except Passing:
            time.sleep(pause * (0.5 + os.urandom(1)[0] / 255.0))
    try:
        return action()
    except Passing as error:
        wrong = Wrong("{} (after {} tries)".format(error, len(PAUSES) + 1))
        wrong.passing = True
        raise wrong from error


def hasher(size: int) -> "Any":
    """Return a SHA-256 object; OpenSSL's is faster and costs some milliseconds and megabytes to load."""
    if 0 <= size < _LARGE:
        for name in ("_sha2", "_sha256"):
            try:
                return __import__(name).sha256()
            except (ImportError, AttributeError):
                continue
    import hashlib

    return hashlib.sha256()


def scheme_of(url: str) -> str:
    """Return the scheme of a URL, "" for a plain path."""
    head, separator, _ = url.partition("://")
    return head.lower() if separator else ""


def local_path(url: str, base: str) -> str:
    """Return the path of a file:// URL or a plain path, relative ones below `base`. Raises `Wrong`."""
    if not url.startswith("file:"):
        if "://" in url:
            raise Wrong("the scheme of {} is not known".format(url))
        return os.path.join(base, url)
    path = url[5:]
    if path.startswith("//"):
        host, slash, path = path[2:].partition("/")
        if host not in ("", "localhost"):
            raise Wrong("{} is on another host".format(url))
        path = slash + path
    if not path.startswith("/"):
        raise Wrong("{} has no absolute path".format(url))
    return _unquote(path)


def _unquote(path: str) -> str:
    if "%" not in path:
        return path
    first, *rest = path.encode("utf-8", "surrogateescape").split(b"%")
    whole = first
    for part in rest:
        try:
            whole += bytes([int(part[:2], 16)]) + part[2:]
        except ValueError:
            whole += b"%" + part
    return os.fsdecode(whole)


def copy(source: str, target: str, mode: int) -> "Tuple[int, str]":
    """Copy a file to a new one on disk; return size and checksum. Raises `Gone`, `Wrong`, `OSError`."""
    try:
        reader = os.open(source, os.O_RDONLY | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Gone("there is no file {}".format(source)) from error
    try:
        found = os.fstat(reader)
        if found.st_mode & 0o170000 != 0o100000:
            raise Wrong("{} is not a regular file".format(source))
        writer = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            size, digest = _pour(reader, writer, found.st_size)
            os.fchmod(writer, mode)
        finally:
            os.close(writer)
    finally:
        os.close(reader)
    return size, digest


def _pour(reader: int, writer: int, expected: int) -> "Tuple[int, str]":
    digest, size = hasher(expected), 0
    block = min(BLOCK, max(expected, 0) + 4096)
    while True:
        data = os.read(reader, block)
        if not data:
            return size, digest.hexdigest()
        digest.update(data)
        size += len(data)
        while data:
            data = data[os.write(writer, data) :]


def checksum(path: str, cold: bool = False) -> "Tuple[int, str]":
    """Return size and checksum of a file; `cold` reads it from the disk rather than from memory where possible."""
    reader = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(reader).st_size
        if cold and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(reader, 0, 0, os.POSIX_FADV_DONTNEED)
        digest = hasher(size)
        for data in iter(lambda: os.read(reader, BLOCK), b""):
            digest.update(data)
    finally:
        os.close(reader)
    return size, digest.hexdigest()


def store(source: str, target: str) -> "Tuple[str, int, str]":
    """Copy an output to a temporary name beside its target, safe on the disk; return that name, size, checksum.

    Raises `OSError`, and `Wrong` if what was read back is not what was written.
    """
    directory, name = os.path.split(target)
    os.makedirs(directory, exist_ok=True)
    part = os.path.join(directory, ".{}.{}-{}.part".format(name[:200], os.uname().nodename[:30], os.getpid()))
    remove(part)
    try:
        mode = 0o666 & ~_umask() | (os.stat(source).st_mode & 0o111 & ~_umask())
        size, digest = copy(source, part, mode)
        synchronise(part)
        if checksum(part, cold=True) != (size, digest):
            raise Wrong("{} does not read back as it was written".format(target))
    except BaseException:
        remove(part)
        raise
    return part, size, digest


def publish(part: str, target: str) -> None:
    """Give a stored file its name, at once and for good."""
    os.rename(part, target)
    synchronise(os.path.dirname(target))


def synchronise(path: str) -> None:
    """Wait until a file or directory is on the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def remove(path: str) -> None:
    """Remove a file if it is there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
