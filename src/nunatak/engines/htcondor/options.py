"""Options of the engine `htcondor`, checked whole before anything is asked of a pool."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from nunatak.engines.settings import Count, Memory, Positive, Seconds

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_FEATURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+=-]*\Z")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*\Z")
OURS = ("NunatakEngine", "NunatakAddress", "NunatakLease", "NunatakAvoid", "NunatakExcluded", "NunatakProbe")
"""Attributes of our jobs that nobody else may set."""


def _pairs(value: Any) -> Any:
    """Read `name = expression; name = expression`."""
    if not isinstance(value, str):
        return value
    found = {}
    for part in filter(None, (item.strip() for item in value.split(";"))):
        name, equals, text = part.partition(" = ")
        found[name.strip()] = text.strip() if equals else ""
    return found


def _listed(value: Any) -> Any:
    return tuple(item.strip() for item in value.split(",") if item.strip()) if isinstance(value, str) else value


def _one_line(value: str) -> str:
    if any(sign in value for sign in "\n\r\0"):
        raise ValueError("it must be one line")
    if "$(" in value or "$$" in value:
        raise ValueError("macros of the submit language are not expanded here: write it out")
    return value


def _attributes(value: Mapping[str, str]) -> Mapping[str, str]:
    for name, text in value.items():
        if not _NAME.match(name) or not text:
            raise ValueError(f"write it as 'Name = expression; Name = expression', not {name!r}")
        if name.lower() in (ours.lower() for ours in OURS):
            raise ValueError(f"{name} is set by the engine itself")
        _one_line(text)
    return value


def _features(value: Mapping[str, str]) -> Mapping[str, str]:
    for name, text in value.items():
        if not _FEATURE.match(name):
            raise ValueError(f"{name!r} cannot be a feature")
        _one_line(text)
    return value


def _schemes(value: tuple[str, ...]) -> tuple[str, ...]:
    for scheme in value:
        if not _SCHEME.match(scheme) or scheme in ("file", "http", "https"):
            raise ValueError(f"{scheme!r} is not the scheme of a transfer plugin, like osdf")
    return value


Line = Annotated[str, AfterValidator(_one_line)]
"""One line of text for a submission."""
Pairs = Annotated[Mapping[str, str], BeforeValidator(_pairs)]
"""Names and ClassAd expressions: a mapping, or text as `Name = expression; Name = expression`."""
Listed = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""Texts: a list, or text with commas."""
Keep = Callable[[str, Path, str], object]
"""Stores a local file under a `file:` URL, given its SHA-256. Raises `NunatakError` if that cannot be."""


class HTCondorSettings(BaseModel):
    """Options of `htcondor`. Times in seconds, memory in bytes; `directory`, `worker` and `keep` come from the host."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    directory: Path
    worker: Path
    keep: Keep

    config: Path | None = None
    collector: Line = ""
    schedd: Line = ""
    token_directory: Path | None = None

    group: Line = ""
    user: Line = ""
    requirements: Line = ""
    rank: Line = ""
    attributes: Annotated[Pairs, AfterValidator(_attributes)] = Field(default_factory=dict)
    features: Annotated[Pairs, AfterValidator(_features)] = Field(default_factory=dict)
    platform: Line = "linux/x86_64"
    shared: Listed = ("/cvmfs",)
    plugins: Annotated[Listed, AfterValidator(_schemes)] = ()
    cache: Line = ""

    depth: Count = 1000
    time: Seconds = 366 * 86400
    lease: Seconds = 600.0
    margin: Seconds = 120.0
    overhead: Memory = 32 * 2**20
    busy: Annotated[float, Field(gt=0, le=1)] = 0.95
    look: Seconds = 30.0
    reconcile: Seconds = 300.0
    log_size: Positive = 64 * 2**20
