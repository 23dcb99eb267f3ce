"""What went wrong where files are brought in and out, from the worker's sentence."""

from __future__ import annotations

import re

from nunatak.core.units import memory_text
from nunatak.tasks.verdicts import sayings
from nunatak.tasks.verdicts.evidence import Case, Finding
from nunatak.tasks.verdicts.kinds import Kind

K = Kind
_SIZES = re.compile(r"the input (.+) has (\d+) bytes, expected (\d+) \((.*)\)")
_CHECKSUM = re.compile(r"the input (.+) has the checksum (\w+), expected (\w+) \((.*)\)")
_STALE = ("transport endpoint is not connected", "stale file handle", "stale nfs")


def stage_in(case: Case) -> Finding | None:
    """Tell apart: missing, truncated, changed, not readable, storage down, node's disk full or file system gone."""
    message, text = case.outcome.message, case.text
    found = _SIZES.search(message)
    if found:
        return _wrong_size(found[1], int(found[2]), int(found[3]), found[4])
    found = _CHECKSUM.search(message)
    if found:
        sentence = (
            f"the input {found[1]} is not what it was: its checksum is {found[2][:12]}, {found[3][:12]} is expected"
        )
        return Finding(K.INPUT_CHANGED, f"{sentence} ({found[4]})", K.INPUT_CHANGED, sure=not _far(found[4]))
    if _any(text, _STALE):
        return Finding(K.NOT_MOUNTED, f"a file system is not mounted{case.there}: {message}", message)
    if _any(text, sayings.SPACE):
        return Finding(K.SCRATCH_FULL, f"the disk of the node{case.there} is full: {message}", K.SCRATCH_FULL)
    if "no client for " in message:
        return Finding(K.COMMAND_NOT_FOUND, f"{message}{case.there}", f"{K.COMMAND_NOT_FOUND} client")
    if " is missing" in text or "answered 404" in text or "answered 410" in text:
        return Finding(K.INPUT_MISSING, message, "")
    if _any(text, sayings.DENIED):
        return Finding(K.STAGE_IN, f"it may not be read: {message}", "")
    if _any(text, sayings.DOWN):
        return Finding(K.STORAGE_DOWN, f"the storage does not answer: {message}", "")
    return None


def _wrong_size(name: str, size: int, expected: int, url: str) -> Finding:
    """A file that is shorter than recorded was cut short; over a network, perhaps on the way only."""
    if size < expected:
        sentence = f"input truncated: {name} has {memory_text(size)} of {memory_text(expected)} ({url})"
        return Finding(K.INPUT_TRUNCATED, sentence, K.INPUT_TRUNCATED, sure=not _far(url))
    sentence = f"the input {name} is not what it was: {size} bytes, {expected} are expected ({url})"
    return Finding(K.INPUT_CHANGED, sentence, K.INPUT_CHANGED, sure=not _far(url))


def stage_out(case: Case) -> Finding | None:
    """Tell apart: storage full, not writable, down."""
    message, text = case.outcome.message, case.text
    if _any(text, _STALE):
        return Finding(K.NOT_MOUNTED, f"a file system is not mounted{case.there}: {message}", message)
    if "no client for " in message:
        return Finding(K.COMMAND_NOT_FOUND, f"{message}{case.there}", f"{K.COMMAND_NOT_FOUND} client")
    for kind, signs, words in (
        (K.STORAGE_FULL, sayings.NO_ROOM, "the storage has no room"),
        (K.STORAGE_DENIED, sayings.DENIED, "the storage may not be written"),
        (K.STORAGE_DOWN, sayings.DOWN, "the storage does not answer"),
    ):
        if _any(text, signs):
            return Finding(kind, f"{words}: {message}", "")
    return None


def _any(text: str, signs: tuple[str, ...]) -> bool:
    return any(sign in text for sign in signs)


def _far(url: str) -> bool:
    return "://" in url and not url.startswith("file:")
