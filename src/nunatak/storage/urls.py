"""Reads storage URLs into path segments, so that no spelling of an URL leads outside the place it names."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

from nunatak.core.errors import Invalid

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
SAFE = "!$&'()*+,;=:@~-._"
"""What stays as it is in a path segment, beside letters and digits (RFC 3986, section 3.3)."""


def segments(url: str, scheme: str, *, prefix: bool = False) -> list[bytes]:
    """Return the decoded path segments of `scheme:///a/b` or `scheme://localhost/a/b`.

    With `prefix`, the last segment may be empty (the URL of a directory). Raises `Invalid` with code `bad-url` for
    another scheme or host, a query or fragment, a broken escape, and for segments that are empty, `.`, `..` or hide
    a separator.
    """
    head, separator, rest = url.partition("://")
    if not separator or head.lower() != scheme:
        raise _bad(url, f"it does not begin with {scheme}://")
    host, slash, path = rest.partition("/")
    if host.lower() not in ("", "localhost"):
        raise _bad(url, f"it names the host {host!r}", f"write {scheme}:///{path}")
    if not slash:
        raise _bad(url, "it has no path")
    if "?" in path or "#" in path:
        raise _bad(url, "it has a query or a fragment", "write %3F for ? and %23 for # in a file name")
    if _BAD_ESCAPE.search(path):
        raise _bad(url, "it has a % that is no escape", "write %25 for % in a file name")
    parts = [unquote_to_bytes(part) for part in path.split("/")]
    checked = parts[:-1] if prefix else parts
    if any(part in (b"", b".", b"..") for part in checked) or parts[-1] in (b".", b".."):
        raise _bad(url, "a part of its path is empty, . or ..")
    if any(b"/" in part or b"\0" in part for part in parts):
        raise _bad(url, "a part of its path hides a separator or a zero byte")
    return parts


def encode(name: str | bytes) -> str:
    """Return one path segment as it stands in an URL."""
    return quote(name, safe=SAFE)


def canonical(url: str, scheme: str) -> str:
    """Return the one spelling of an URL, so that two spellings of a file compare equal. Raises `Invalid`."""
    return f"{scheme}:///" + "/".join(encode(part) for part in segments(url, scheme))


def _bad(url: str, why: str, hint: str = "") -> Invalid:
    return Invalid(f"{url!r} cannot be used: {why}", code="bad-url", hint=hint, url=url)
