"""Read what a worker left behind, trusting nothing, and speak for one that left nothing. Pure functions of bytes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from nunatak.core.complaints import complaint
from nunatak.core.errors import Invalid
from nunatak.core.work import FORMAT, Checkpoint, FileRecord, Outcome, Output, Reason, Usage
from nunatak.engines.protocol import Handle

MOST_OUTCOME = 16_000_000
"""Bytes of an outcome that are read; a longer one is not understood."""
MOST_USAGE = 32_768
"""Bytes of a usage of which its course is read; ours are a tenth of that."""
SHOWN = 200
"""Characters of an outcome that could not be understood, shown to a person."""
_SHA256 = re.compile(r"([0-9a-f]{64})?\Z")
_OUTCOME: TypeAdapter[Outcome] = TypeAdapter(Outcome)
_USAGE: TypeAdapter[Usage] = TypeAdapter(Usage)


def read_outcome(data: bytes, handle: Handle) -> Outcome:
    """Return the outcome of `handle` from the bytes of an `outcome.json`.

    Whatever is wrong with them (not JSON, another attempt's, wrong types, impossible amounts) becomes an outcome with
    reason `invalid` that says so and shows how the bytes begin.
    """
    try:
        outcome = _strictly(data)
        if (outcome.address, outcome.lease) != (handle.address, handle.lease):
            raise Invalid(f"it is about {outcome.address!r:.80} with lease {outcome.lease!r:.40}")
        return outcome
    except Invalid as error:
        message = f"the worker's outcome could not be understood: {error.message}; it begins with {shown(data)}"
        return Outcome(handle.address, handle.lease, Reason.INVALID, message)


@dataclass(frozen=True, slots=True)
class Stop:
    """The engine told a worker to stop: why, in words and for programs; `at` in seconds since boot."""

    reason: Reason
    message: str
    at: float


def conclude(handle: Handle, outcome: bytes | None, usage: bytes, stop: Stop | None, words: str) -> Outcome:
    """Return how an attempt ended whose worker is gone.

    `outcome` is what is in `outcome.json` (None: no such file), `usage` what is in `usage.json`, `words` what is known
    of the end of the worker. A worker that was told to stop only knows that; the engine knows why.
    """
    if outcome is not None:
        told = read_outcome(outcome, handle)
        if stop and stop.reason is not Reason.TERMINATED and told.reason is Reason.TERMINATED:
            return replace(told, reason=stop.reason, message=stop.message)
        return told
    reason, why = (stop.reason, f"{stop.message}; the worker") if stop else (Reason.LOST, "the worker")
    message = f"{why} left no outcome: {words}"
    return Outcome(handle.address, handle.lease, reason, message, usage=read_usage(usage), detail=read_course(usage))


def held_to_promise(outcome: Outcome, promised: Sequence[Output]) -> Outcome:
    """Return an outcome as it is, or with reason `invalid` if it says ok with other outputs than those asked for.

    What is recorded as an output is read by other tasks and handed to people, so a worker may not choose it.
    """
    if outcome.reason is not Reason.OK:
        return outcome
    wrong = _broken_promise({record.name: record for record in outcome.outputs}, promised)
    if len({record.name for record in outcome.outputs}) < len(outcome.outputs):
        wrong = "with an output twice"
    if not wrong:
        return outcome
    message = f"the worker's outcome is not what was asked for: it says ok {wrong}"
    return replace(outcome, reason=Reason.INVALID, message=message, inputs=(), outputs=())


def held_to_checkpoint(outcome: Outcome, promised: Checkpoint | None) -> Outcome:
    """Return an outcome as it is, or without its checkpoint if that is not a file at the place it was to be kept at."""
    kept = outcome.detail.get("checkpoint")
    if kept is None or (promised is not None and isinstance(kept, Mapping) and _is_kept(kept, promised)):
        return outcome
    return replace(outcome, detail={name: value for name, value in outcome.detail.items() if name != "checkpoint"})


def _is_kept(kept: Mapping[str, Any], promised: Checkpoint) -> bool:
    size, sha256, saved = kept.get("size"), kept.get("sha256"), kept.get("saved")
    return (
        kept.get("url") == promised.url
        and isinstance(size, int)
        and size >= 0
        and isinstance(sha256, str)
        and len(sha256) == 64
        and _SHA256.match(sha256) is not None
        and isinstance(saved, int | float)
        and saved >= 0
    )


def _broken_promise(made: Mapping[str, FileRecord], promised: Sequence[Output]) -> str:
    """Say what is wrong with the outputs; nothing if all is well."""
    for output in promised:
        record = made.get(output.name)
        if record is None and not output.optional:
            return f"without the output {output.name:.80}"
        if record is not None and record.url != output.url:
            return f"with the output {output.name:.80} at {record.url!r:.80} instead of {output.url!r:.80}"
        if record is not None and record.temporary is not output.temporary:
            return f"with the output {output.name:.80} marked as {'temporary' if record.temporary else 'kept'}"
    others = sorted(made.keys() - {output.name for output in promised})
    return f"with the output {others[0]:.80}, which was not asked for" if others else ""


def read_usage(data: bytes) -> Usage:
    """Return the usage from the bytes of a `usage.json`; what cannot be understood counts as not measured."""
    try:
        _sane(json.loads(data))
        usage = _USAGE.validate_json(data, strict=True)
    except (Invalid, ValidationError, ValueError, RecursionError):
        return Usage()
    return usage if _possible(usage) else Usage()


def read_course(data: bytes) -> dict[str, Any]:
    """Return as a detail what a `usage.json` tells of use over time; {} if it tells nothing. Whoever draws it looks closer."""
    try:
        plain = json.loads(data) if len(data) <= MOST_USAGE else None
        _sane(plain)
    except (Invalid, ValueError, RecursionError):
        return {}
    course = plain.get("course") if isinstance(plain, dict) else None
    return {"course": course} if isinstance(course, dict) else {}


def shown(data: bytes, most: int = SHOWN) -> str:
    """Return the beginning of `data` as quoted printable ASCII, safe in a log, a page and a terminal."""
    return ascii(data[:most].decode("utf-8", "replace")) + ("..." if len(data) > most else "")


def _strictly(data: bytes) -> Outcome:
    if len(data) > MOST_OUTCOME:
        raise Invalid(f"it is longer than {MOST_OUTCOME} bytes")
    try:
        plain = json.loads(data)
        _sane(plain)
        if not isinstance(plain, dict) or plain.get("format") != FORMAT:
            raise Invalid(f"it is not an object with format {FORMAT}")
        outcome = _OUTCOME.validate_json(data, strict=True)
    except RecursionError:
        raise Invalid("it is nested too deeply") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Invalid(f"{'.'.join(str(part) for part in first['loc']) or 'it'}: {complaint(first)}") from None
    except ValueError:
        raise Invalid("it is not JSON" if data else "it is empty") from None
    if not _possible(outcome.usage):
        raise Invalid("usage: an amount is below zero")
    for record in (*outcome.inputs, *outcome.outputs):
        _check_record(record)
    return outcome


def _sane(value: Any) -> None:
    """Refuse numbers no database takes and text that is not text, at any depth."""
    if isinstance(value, str):
        if "\0" in value or (not value.isascii() and _has_surrogate(value)):
            raise Invalid("a text has characters that are not allowed")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise Invalid("a number is not finite")
    elif isinstance(value, int):
        if abs(value) >= 2**63:
            raise Invalid("a number is too large")
    elif isinstance(value, Mapping):
        for name, item in value.items():
            _sane(name)
            _sane(item)
    elif isinstance(value, list):
        for item in value:
            _sane(item)


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= sign <= "\udfff" for sign in text)


def _possible(usage: Usage) -> bool:
    amounts = (usage.wall, usage.cpu, usage.memory, usage.disk, usage.gpu)
    return all(amount is None or amount >= 0 for amount in amounts)


def _check_record(record: FileRecord) -> None:
    if not record.name:
        raise Invalid("a file has no name")
    if record.size < 0:
        raise Invalid(f"the size of {record.name!r:.80} is below zero")
    if not _SHA256.match(record.sha256):
        raise Invalid(f"the checksum of {record.name!r:.80} is not a SHA-256")
