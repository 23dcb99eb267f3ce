"""Outcomes as engines send them to values, one bad one never spoiling a batch: what cannot be understood says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from nunatak.api import batches
from nunatak.api.models import BATCH
from nunatak.core.complaints import complaint
from nunatak.core.work import FileRecord, Outcome, Reason, Usage

MESSAGE = 4000
"""Characters kept of a message."""

_ONE: TypeAdapter[Any] = TypeAdapter(batches.OutcomeBody)
_KEY: TypeAdapter[Any] = TypeAdapter(batches.LeaseBody)
_RAW: TypeAdapter[Any] = TypeAdapter(dict[str, Any])
_REASONS = {reason.value: reason for reason in Reason}
_NO_USAGE = Usage()


def read_report(body: bytes) -> dict[str, Any]:
    """Return a report in which every outcome is understood or says that it was not. Raises `ValidationError`."""
    try:
        plain: dict[str, Any] = batches.REPORT.validate_json(body)
        return plain
    except ValidationError:
        raw = _RAW.validate_json(body)
        if not isinstance(raw.get("ended"), list):
            raise
        raw["ended"] = [_salvaged(item) for item in raw["ended"][: BATCH + 1]]
        checked: dict[str, Any] = batches.REPORT.validate_python(raw)
        return checked


def _salvaged(item: Any) -> dict[str, Any]:
    """Return an outcome as it is if it is right; else one that says what is wrong. Raises `ValidationError` without a key."""
    item = _without_nul(item)
    try:
        good: dict[str, Any] = _ONE.validate_python(item)
        return good
    except ValidationError as error:
        key: dict[str, Any] = _KEY.validate_python(item)
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        message = f"the outcome could not be understood: {place}: {complaint(first)}"
        return {"address": key["address"], "lease": key["lease"], "reason": Reason.INVALID.value, "message": message}


def _without_nul(plain: Any) -> Any:
    """Replace zero characters, which PostgreSQL cannot keep."""
    if isinstance(plain, str):
        return plain.replace("\x00", "\ufffd")
    if isinstance(plain, dict):
        return {_without_nul(key): _without_nul(value) for key, value in plain.items()}
    if isinstance(plain, list):
        return [_without_nul(value) for value in plain]
    return plain


def outcome(plain: Mapping[str, Any]) -> Outcome:
    """Return the value of a checked body; a reason this version does not know is `invalid`."""
    reason = _REASONS.get(plain["reason"])
    message = plain.get("message", "")
    if reason is None:
        message = f"the reason {plain['reason']!r} is not known here: {message}"
    usage, inputs, outputs = plain.get("usage"), plain.get("inputs"), plain.get("outputs")
    return Outcome(
        plain["address"],
        plain["lease"],
        reason or Reason.INVALID,
        message[:MESSAGE],
        plain.get("exit"),
        plain.get("signal"),
        plain.get("started"),
        plain.get("ended"),
        plain.get("host", ""),
        Usage(**usage) if usage else _NO_USAGE,
        tuple([FileRecord(**item) for item in inputs]) if inputs else (),
        tuple([FileRecord(**item) for item in outputs]) if outputs else (),
        plain.get("detail") or {},
    )
