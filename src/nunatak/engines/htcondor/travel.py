"""Which files go to the node with the job and come back with it, and under which names. Pure functions of values.

On the node every URL of ours is relative to the sandbox, so that the worker needs nothing of the server's file system.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import orjson

from nunatak.core.schemes import FEATURES
from nunatak.core.work import FORMAT, FileRecord, Input, Outcome, Series, Shape, TaskSpec
from nunatak.engines.carried import below, local

RESERVED = (
    "task.json",
    "in",
    "series",
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
OUT = "../../"
"""From the sandbox of a member of a series to the directory of its job."""
THE_WORKERS = ("", "file", "http", "https", "data")
"""Schemes that are never left to HTCondor."""


@dataclass(frozen=True, slots=True)
class Travel:
    """How a task travels: the order for the node, the files to take, URLs that HTCondor fetches, names to come back.

    `take` maps names below the job's directory to paths here; `back` names in the sandbox to the URLs where they belong.
    """

    order: TaskSpec
    take: dict[str, str]
    urls: tuple[str, ...]
    back: dict[str, str]
    gone: dict[str, str]  # what the node calls an input, and its URL here


def plan(spec: TaskSpec, shared: Sequence[str], plugins: Sequence[str]) -> Travel:
    """Say how a task travels: paths below `shared` are on the nodes as well, schemes in `plugins` are HTCondor's."""
    take: dict[str, str] = {}
    gone: dict[str, str] = {}
    fetched: dict[str, str] = {}
    inputs = []
    for number, item in enumerate(spec.inputs):
        path, name = local(item.url), ""
        if path and not below(path, shared):
            name = f"in/{number}"
            take[name] = path
        elif not path and scheme_of(item.url) in plugins:
            name = posixpath.basename(urlsplit(item.url).path)
            if not name or name in RESERVED or name in fetched.values() or name.startswith(("output.", ".", "launch.")):
                name = ""  # two of one name would hide each other: the worker says that it cannot fetch this one
            else:
                fetched[item.url] = name
        if name:
            gone[name] = item.url
            item = _called(item, name)
        inputs.append(item)
    back: dict[str, str] = {}
    outputs = []
    for number, output in enumerate(spec.outputs):
        path = local(output.url)
        if path and not below(path, shared):
            name = f"output.{number}"
            back[name] = output.url
            output = replace(output, url=name)
        outputs.append(output)
    order = replace(spec, inputs=tuple(inputs), outputs=tuple(outputs), avoid=(), engines={}, owner="", group="")
    return Travel(order, take, tuple(fetched), back, gone)


def in_series(travels: Sequence[Travel]) -> list[Travel]:
    """Return how the members of a series travel: what they need is beside their sandboxes, once for all of them.

    `clash` must not hold.
    """
    names: dict[str, str] = {}
    found = []
    for travel in travels:
        new = {name: names.setdefault(path, f"in/{len(names)}") for name, path in travel.take.items()}
        inputs = tuple(
            _called(item, OUT + new.get(item.url, item.url)) if item.url in travel.gone else item
            for item in travel.order.inputs
        )
        take = {new[name]: path for name, path in travel.take.items()}
        gone = {OUT + new.get(name, name): url for name, url in travel.gone.items()}
        found.append(Travel(replace(travel.order, inputs=inputs), take, travel.urls, travel.back, gone))
    return found


def clash(travels: Sequence[Travel]) -> bool:
    """Tell whether files that HTCondor fetches for several tasks would hide each other in one directory."""
    names: dict[str, str] = {}
    return any(names.setdefault(name, url) != url for travel in travels for name, url in travel.gone.items()
               if name not in travel.take)  # fmt: skip


def schemes(travel: Travel) -> tuple[str, ...]:
    """Return the schemes that HTCondor has to fetch for a task."""
    return tuple(sorted({scheme_of(url) for url in travel.urls}))


def scheme_of(url: str) -> str:
    """Return the scheme of a URL, "" for a path."""
    scheme, colon, _ = url.partition(":")
    return scheme.lower() if colon and "/" not in scheme else ""


def unfetched(spec: TaskSpec, plugins: Sequence[str]) -> str:
    """Say which input neither the worker nor HTCondor can fetch; "" if there is none."""
    for item in spec.inputs:
        scheme = scheme_of(item.url)
        known = scheme in THE_WORKERS or scheme in plugins or FEATURES.get(scheme) in spec.shape.features
        if not known and not item.optional:
            return f"the input {item.name} could not be had: no machine of the pool fetches {scheme}: {item.url}"
    return ""


def _called(item: Input, url: str) -> Input:
    return Input(item.name, url, item.sha256, item.size, item.optional, item.mode)


def home_again(outcome: Outcome, travel: Travel) -> Outcome:
    """Return a worker's outcome with the URLs by which we know its files."""
    return replace(
        outcome,
        inputs=tuple(_known(record, travel.gone) for record in outcome.inputs),
        outputs=tuple(_known(record, travel.back) for record in outcome.outputs),
    )


def _known(record: FileRecord, names: dict[str, str]) -> FileRecord:
    return replace(record, url=names[record.url]) if record.url in names else record


# ---- what is kept of it until the end


def order_text(spec: TaskSpec, live: Mapping[str, Any] | None = None) -> bytes:
    """Return what `TaskSpec.to_plain` does, as JSON; copying each dataclass would take most of the time.

    `live` says how the worker is to tell what is printed.
    """
    return orjson.dumps({**_plain(spec), "live": live} if live else _plain(spec))


def packed(spec: TaskSpec, travel: Travel, together: Shape | None = None) -> bytes:
    """Return what was asked for and how it travels, to be kept; `together` is the shape of its series."""
    kept = {"task": _plain(spec), "back": travel.back, "gone": travel.gone, "urls": travel.urls, "together": together}
    return orjson.dumps(kept)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for: an attempt, how it travels, and the shape of its series if it is in one."""

    spec: TaskSpec
    travel: Travel
    together: Shape | None = None


def unpacked(text: bytes) -> Asked | None:
    """Return what was packed; None if that can no longer be read."""
    try:
        plain: Any = orjson.loads(text)
        spec, together = TaskSpec.from_plain(plain["task"]), plain["together"]
        travel = Travel(spec, {}, tuple(plain["urls"]), plain["back"], plain["gone"])
        return Asked(spec, travel, Shape.from_plain(together) if together else None)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def in_one(asked: Sequence[Asked]) -> TaskSpec | Series:
    """Return what is asked for by one job."""
    together = asked[0].together
    return Series(tuple(item.spec for item in asked), together) if together else asked[0].spec


def _plain(spec: TaskSpec) -> dict[str, Any]:
    return {"format": FORMAT, **{field: getattr(spec, field) for field in TaskSpec.__slots__}}
