"""What options an engine has, without making it: for the reference, and to check a settings file before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoints, entry_points
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from nunatak.core import units
from nunatak.core.errors import Invalid, Problem
from nunatak.engines.settings import BYTES, SECONDS, read

GROUP = "nunatak.engine_options"
HOST_GIVES = frozenset({"directory", "worker", "keep"})
"""Options without a default that `nunatak serve engine` fills in."""


class Option(NamedTuple):
    """One option, as the reference shows it; `default` is empty where the meaning says what holds without it."""

    name: str
    default: str
    meaning: str


def model_of(kind: str, *, installed: EntryPoints | None = None) -> type[BaseModel] | None:
    """Return the options of an engine, None for an engine that does not tell them."""
    found = entry_points(group=GROUP) if installed is None else installed.select(group=GROUP)
    if kind not in found.names:
        return None
    model = found[kind].load()
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise Invalid(f"the entry point {kind!r} of {GROUP} is not a model", code="bad-plugin")
    return model


def faults(kind: str, options: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with options as they are written, their names as paths; those the host gives may be missing."""
    model = model_of(kind)
    if model is None:
        return []
    try:
        read(model, options, kind)
    except Invalid as error:
        return [item for item in error.problems if item.path not in HOST_GIVES - options.keys()]
    return []


def describe(model: type[BaseModel], *, without: type[BaseModel] | None = None) -> list[Option]:
    """Return every option of a model in order, but for those that it has as they are in `without`."""
    known = {} if without is None else {item.name: item for item in describe(without)}
    rows = [Option(name, _default(field), _meaning(field)) for name, field in model.model_fields.items()]
    return [row for row in rows if known.get(row.name) != row]


def _meaning(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required() or field.default_factory is not None or value in ("", None, ()):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value)
    if isinstance(value, str):
        return f"`{value}`"
    if BYTES in field.metadata:
        return units.memory_text(value)
    return units.time_text(value) if value and SECONDS in field.metadata else f"{value:,}"
