"""Moves files over http and https, with tries; loaded only when a task has such a URL."""

import binascii
import http.client
import os
import urllib.error
import urllib.request

from .transfer import BLOCK, Gone, Passing, Wrong, checksum, hasher, tried

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Tuple

TIMEOUT = 60.0
_PASSING = (408, 425, 429)
_NOT_READABLE = (401, 403, 405, 501)


def fetch(url: str, target: str, mode: int, size: int, sha256: str) -> "Tuple[int, str]":
    """Bring a file; return size and checksum. Raises `Gone`, `Wrong`, `OSError`."""

    def once() -> "Tuple[int, str]":
        found = _download(url, target, size)
        if (size >= 0 and found[0] != size) or (sha256 and found[1] != sha256):
            raise Passing("{} brought {} bytes with checksum {}".format(url, *found))
        return found

    try:
        found: "Tuple[int, str]" = tried(once)
    except Wrong:
        if os.path.exists(target) and (size >= 0 or sha256):
            return checksum(target)  # the caller says what is wrong with it
        raise
    os.chmod(target, mode)
    return found


def put(url: str, source: str) -> "Tuple[int, str, bool]":
    """Bring a file to a URL and read it again; return size, checksum, and whether it could be read again.

    Raises `Wrong` and `OSError`.
    """
    size, digest = checksum(source)
    tried(lambda: _upload(url, source, size, digest))
    try:
        back = tried(lambda: _read_back(url))
    except Gone as error:
        raise Wrong("{} is not there after it was stored".format(url)) from error
    if back is not None and back != (size, digest):
        raise Wrong("{} does not read back as it was written".format(url))
    return size, digest, back is not None


def _open(request: "urllib.request.Request") -> "Any":
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)  # noqa: S310 - the caller has checked the scheme
    except urllib.error.HTTPError as error:
        said = "{} answered {} {}".format(request.full_url, error.code, error.reason)
        error.close()
        if error.code in (404, 410):
            raise Gone(said) from error
        if error.code >= 500 or error.code in _PASSING:
            raise Passing(said) from error
        wrong = Wrong(said)
        wrong.code = error.code  # type: ignore[attr-defined]
        raise wrong from error
    except (OSError, http.client.HTTPException) as error:
        raise Passing("{}: {}".format(request.full_url, error)) from error


def _request(url: str, **more: "Any") -> "urllib.request.Request":
    request = urllib.request.Request(url, **more)  # noqa: S310
    request.add_header("User-Agent", "nunatak-worker")
    return request


def _download(url: str, target: str, size: int) -> "Tuple[int, str]":
    with _open(_request(url)) as response, open(target, "wb") as stream:
        length = response.headers.get("Content-Length")
        return _pour(url, response, stream, size if length is None else int(length))


def _pour(url: str, response: "Any", stream: "Any", expected: int) -> "Tuple[int, str]":
    digest, size = hasher(-1), 0
    while True:
        try:
            data = response.read(BLOCK)
        except (OSError, http.client.HTTPException) as error:
            raise Passing("{} broke off after {} bytes: {}".format(url, size, error)) from error
        if not data:
            break
        digest.update(data)
        size += len(data)
        if stream is not None:
            stream.write(data)
    if 0 <= expected != size:
        raise Passing("{} broke off after {} of {} bytes".format(url, size, expected))
    return size, digest.hexdigest()


def _upload(url: str, source: str, size: int, digest: str) -> None:
    with open(source, "rb") as stream:
        request = _request(url, data=stream, method="PUT")
        request.add_header("Content-Length", str(size))
        request.add_header("Content-Type", "application/octet-stream")
        encoded = binascii.b2a_base64(binascii.unhexlify(digest)).decode().strip()
        request.add_header("Content-Digest", "sha-256=:{}:".format(encoded))  # RFC 9530
        try:
            _open(request).close()
        except Gone as error:
            raise Wrong(str(error)) from error


def _read_back(url: str) -> "Any":
    """Return size and checksum of what is there; None where one may write but not read."""
    try:
        with _open(_request(url)) as response:
            return _pour(url, response, None, int(response.headers.get("Content-Length", -1)))
    except Wrong as error:
        if getattr(error, "code", 0) in _NOT_READABLE:
            return None
        raise
