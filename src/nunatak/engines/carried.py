"""What an engine may carry in the name of a task between its machine and a node: it does so with rights of its own.

A recipe may name any file by its URL. An engine whose nodes do not see its files opens them itself, so that without a bound
whoever may submit could read its tokens, and write where it may.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from urllib.parse import unquote

from nunatak.core.work import TaskSpec


def local(url: str) -> str:
    """Return the path of a `file:` URL or absolute path on this machine; "" for any other."""
    if url.startswith("/"):
        return url
    if not url.startswith("file:"):
        return ""
    path = url[5:]
    if path.startswith("//"):
        host, slash, rest = path[2:].partition("/")
        if host not in ("", "localhost"):
            return ""
        path = slash + rest
    return unquote(path, errors="surrogateescape") if path.startswith("/") else ""


def below(path: str, places: Iterable[str]) -> bool:
    """Tell whether a path is below one of some places."""
    whole = posixpath.normpath(path)
    return any(whole.startswith(posixpath.normpath(place).rstrip("/") + "/") for place in places)


def public(path: str) -> bool:
    """Tell whether every account of this machine may read a file without links in its path; so for one that is not there."""
    whole = Path(path)
    try:
        entered = all(parent.stat().st_mode & stat.S_IXOTH for parent in reversed(whole.parents))
        return entered and bool(whole.stat().st_mode & stat.S_IROTH)
    except (FileNotFoundError, NotADirectoryError):
        return True  # who looks for it is told so
    except OSError:
        return False


def beyond(
    spec: TaskSpec,
    ours: Sequence[str],
    open_: Sequence[str],
    real: Callable[[str], str] = os.path.realpath,
    public: Callable[[str], bool] = public,
) -> str:
    """Say which file of a task an engine does not carry; "" if there is none.

    It carries what is below `ours` (directories of the store and of files sent along, into which only we write), what is
    below `open_` (others that recipes may use, in which a link may lead about, but not out of all of these), and inputs
    that every account of its machine may read.
    """
    allowed: list[str] = []
    inputs = [(item.name, item.url, True) for item in spec.inputs]
    for name, url, given in inputs + [(item.name, item.url, False) for item in spec.outputs]:
        path = local(url)
        if not path or below(path, ours):
            continue
        allowed = allowed or [real(place) for place in (*ours, *open_)]
        there = real(path) if given else posixpath.join(real(posixpath.dirname(path)), posixpath.basename(path))
        if (below(path, open_) and below(there, allowed)) or (given and public(there)):
            continue
        return (
            f"the input {name} is {url}, which not everybody may read on the engine's machine, and no file of the store: "
            "make it readable for all, or let the operator name its directory in the engine's option `files`"
            if given
            else f"the output {name} belongs to {url}, which is not below the store: leave its place out, "
            "or let the operator name its directory in the engine's option `files`"
        )
    return ""
