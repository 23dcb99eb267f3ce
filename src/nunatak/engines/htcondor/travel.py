"""Which files go to the node with the job and come back with it, and under which names. Pure functions of values.

On the node every URL of ours is relative to the sandbox, so that the worker needs nothing of the server's file system.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

from nunatak.core.work import FileRecord, Outcome, TaskSpec

RESERVED = (
    "task.json",
    "in",
    "stdout",
    "stderr",
    "worker.log",
    "usage.json",
    "outcome.json",
    "work",
    "tmp",
    "bin",
    "cache",
)
"""Names in a sandbox that are the worker's."""


@dataclass(frozen=True, slots=True)
class Travel:
    """How a task travels: the order for the node, the files to take, URLs that HTCondor fetches, names to come back.

    `take` maps names below the sandbox to paths here; `back` names in the sandbox to the URLs where they belong.
    """

    order: TaskSpec
    take: dict[str, str]
    urls: tuple[str, ...]
    back: dict[str, str]
    gone: dict[str, str]  # what the node calls an input, and its URL here


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


def plan(spec: TaskSpec, shared: Sequence[str], plugins: Sequence[str]) -> Travel:
    """Say how a task travels: paths below `shared` are on the nodes as well, schemes in `plugins` are HTCondor's."""
    take: dict[str, str] = {}
    gone: dict[str, str] = {}
    fetched: dict[str, str] = {}
    inputs = []
    for number, item in enumerate(spec.inputs):
        path, name = local(item.url), ""
        if path and not _below(path, shared):
            name = f"in/{number}"
            take[name] = path
        elif urlsplit(item.url).scheme in plugins:
            name = posixpath.basename(urlsplit(item.url).path)
            if not name or name in RESERVED or name in fetched.values() or name.startswith(("output.", ".", "launch.")):
                name = ""  # two of one name would hide each other: the worker says that it cannot fetch this one
            else:
                fetched[item.url] = name
        if name:
            gone[name] = item.url
            item = replace(item, url=name)
        inputs.append(item)
    back: dict[str, str] = {}
    outputs = []
    for number, output in enumerate(spec.outputs):
        path = local(output.url)
        if path and not _below(path, shared):
            name = f"output.{number}"
            back[name] = output.url
            output = replace(output, url=name)
        outputs.append(output)
    order = replace(spec, inputs=tuple(inputs), outputs=tuple(outputs), avoid=())
    return Travel(order, take, tuple(fetched), back, gone)


def _below(path: str, places: Sequence[str]) -> bool:
    whole = posixpath.normpath(path)
    return any(whole.startswith(posixpath.normpath(place).rstrip("/") + "/") for place in places)


def home_again(outcome: Outcome, travel: Travel) -> Outcome:
    """Return a worker's outcome with the URLs by which we know its files."""
    return replace(
        outcome,
        inputs=tuple(_known(record, travel.gone) for record in outcome.inputs),
        outputs=tuple(_known(record, travel.back) for record in outcome.outputs),
    )


def _known(record: FileRecord, names: dict[str, str]) -> FileRecord:
    return replace(record, url=names[record.url]) if record.url in names else record
