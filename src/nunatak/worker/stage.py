"""Stage-in and stage-out: every input there and right before the payload, every output stored or none published."""

import os
import stat

from . import transfer
from .failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Tuple

    from .spec import Input, Output

_LISTED = 20

BY_CLIENT = ("gsiftp", "osdf", "pelican", "stash", "s3", "root", "davs", "dav", "srm")
"""Schemes of files that a client of the node moves."""


def is_far(url: str) -> bool:
    """Tell whether a file is moved over a network rather than copied here."""
    return transfer.scheme_of(url) in ("http", "https", *BY_CLIENT)


def mover(url: str) -> "Any":
    """Return the module that moves a file over a network: `fetch` brings it, `put` stores it. Loaded when it is needed."""
    if transfer.scheme_of(url) in BY_CLIENT:
        from . import clients

        return clients
    from . import web

    return web


def stage_in(inputs: "List[Input]", work: str, base: str) -> "List[Dict[str, Any]]":
    """Bring every input into `work`; relative URLs are below `base`. Returns records; raises `Failure` (stage-in)."""
    records = []
    for item in inputs:
        try:
            size, digest = _bring(item, os.path.join(work, item.name), base)
        except transfer.Gone as error:
            if item.optional:
                continue
            raise Failure("stage-in", "the input {} is missing: {}".format(item.name, error)) from error
        except (transfer.Wrong, OSError) as error:
            raise Failure("stage-in", "the input {} could not be had: {}".format(item.name, error)) from error
        _check(item, size, digest)
        records.append(_record(item.name, item.url, size, digest, False))
    return records


def bring_back(item: "Input", work: str, base: str) -> "Dict[str, Any]":
    """Bring a file that is good to have, whole and as recorded; return its record. Raises `Failure`, leaving nothing."""
    target = os.path.join(work, item.name)
    try:
        size, digest = _bring(item, target, base)
        _check(item, size, digest)
    except (transfer.Gone, transfer.Wrong, OSError, Failure) as error:
        transfer.remove(target)
        raise Failure("stage-in", str(error)) from error
    return _record(item.name, item.url, size, digest, True)


def keep(name: str, url: str, work: str, base: str) -> "Dict[str, Any]":
    """Store a file of the sandbox, whole or not at all; return its record. Raises `Failure`, `transfer.Wrong`, `OSError`."""
    root = os.path.realpath(work)
    source = os.path.realpath(os.path.join(root, name))
    if not source.startswith(root + os.sep) or not os.path.isfile(source):
        raise Failure("output", "{} is not a regular file in the sandbox".format(name))
    if is_far(url):
        size, digest, _ = mover(url).put(url, source)
        return _record(name, url, size, digest, True)
    target = transfer.local_path(url, base)
    part, size, digest = transfer.store(source, target)
    try:
        transfer.publish(part, target)
    finally:
        transfer.remove(part)
    return _record(name, url, size, digest, True)


def _bring(item: "Input", target: str, base: str) -> "Tuple[int, str]":
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if is_far(item.url):
        found: "Tuple[int, str]" = mover(item.url).fetch(item.url, target, item.mode, item.size, item.sha256)
        return found
    return transfer.copy(transfer.local_path(item.url, base), target, item.mode)


def _check(item: "Input", size: int, digest: str) -> None:
    if 0 <= item.size != size:
        text = "the input {} has {} bytes, expected {} ({})".format(item.name, size, item.size, item.url)
        raise Failure("stage-in", text)
    if item.sha256 and item.sha256 != digest:
        text = "the input {} has the checksum {}, expected {} ({})".format(item.name, digest, item.sha256, item.url)
        raise Failure("stage-in", text)


def stage_out(outputs: "List[Output]", work: str, base: str) -> "Tuple[List[Dict[str, Any]], List[str]]":
    """Store every output, then publish all. Returns records and the URLs that could not be read again.

    Raises `Failure`: `output` if one is missing or no file, `stage-out` if one could not be stored.
    """
    present = _present(outputs, work)
    records, parts, unread = [], [], []
    try:
        for item, source in sorted(present, key=lambda pair: is_far(pair[0].url)):
            try:
                if is_far(item.url):
                    size, digest, was_read = mover(item.url).put(item.url, source)
                    unread += [] if was_read else [item.url]
                else:
                    target = transfer.local_path(item.url, base)
                    part, size, digest = transfer.store(source, target)
                    parts.append((part, target))
            except (transfer.Wrong, OSError) as error:
                raise Failure("stage-out", "the output {} could not be stored: {}".format(item.name, error)) from error
            records.append(_record(item.name, item.url, size, digest, item.temporary))
        _publish(parts)
    finally:
        for part, _ in parts:
            transfer.remove(part)
    order = [item.name for item in outputs]
    return sorted(records, key=lambda record: order.index(record["name"])), unread


def _publish(parts: "List[Tuple[str, str]]") -> None:
    for part, target in parts:
        try:
            transfer.publish(part, target)
        except OSError as error:
            raise Failure("stage-out", "{} could not be published: {}".format(target, error)) from error


def _present(outputs: "List[Output]", work: str) -> "List[Tuple[Output, str]]":
    """Return the outputs that are there with their true paths. Raises `Failure` (output)."""
    root = os.path.realpath(work)
    found, missing = [], []
    for item in outputs:
        path = os.path.realpath(os.path.join(root, item.name))
        if not path.startswith(root + os.sep):
            raise Failure("output", "the output {} is a link that leads out of the sandbox".format(item.name))
        try:
            mode = os.stat(path).st_mode
        except OSError:
            missing += [] if item.optional else [item.name]
            continue
        if stat.S_ISDIR(mode):
            raise Failure(
                "output", "the output {} is a directory: name its files, or make one archive".format(item.name)
            )
        if not stat.S_ISREG(mode):
            raise Failure("output", "the output {} is not a regular file".format(item.name))
        found.append((item, path))
    if missing:
        there = ", ".join(_listing(root)) or "nothing"
        raise Failure("output", "missing: {}; there is: {}".format(", ".join(missing), there))
    return found


def _listing(root: str) -> "List[str]":
    names = []
    for directory, _, files in os.walk(root):
        names += [os.path.relpath(os.path.join(directory, name), root) for name in files]
        if len(names) > 10 * _LISTED:
            break
    names.sort()
    more = len(names) - _LISTED
    return names[:_LISTED] + (["and {} more".format(more)] if more > 0 else [])


def _record(name: str, url: str, size: int, digest: str, temporary: bool) -> "Dict[str, Any]":
    return {"name": name, "url": url, "size": size, "sha256": digest, "temporary": temporary}
