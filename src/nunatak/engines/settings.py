"""Settings of the shipped engines, checked whole: every wrong or unknown option is named, with the nearest spelling."""

from __future__ import annotations

import difflib
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from nunatak.core import units
from nunatak.core.errors import Invalid, Problem
from nunatak.core.work import TARGET, Reason, Shape
from nunatak.engines.hosts import Fault

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0, le=1)]
Spread = Annotated[float, Field(ge=0, le=10)]


def _unit(read: Any) -> BeforeValidator:
    def checked(value: Any) -> Any:
        try:
            return read(value)
        except Invalid as error:
            raise ValueError(f"{error.message} {error.hint}".strip()) from None

    return BeforeValidator(checked)


Memory = Annotated[int, _unit(units.memory)]
"""Bytes, written as `2 GB` or a number."""
Seconds = Annotated[float, _unit(units.seconds)]
"""Seconds, written as `10 min` or a number; above zero."""
Duration = Annotated[float, _unit(lambda value: 0.0 if value in (0, "0") else units.seconds(value))]
"""Seconds, likewise, or 0."""
Model = TypeVar("Model", bound=BaseModel)


def here() -> str:
    """Return the platform of this machine, like `linux/x86_64`."""
    return f"{sys.platform}/{platform.machine()}"


def machine_memory() -> int:
    """Return the memory of this machine in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class Resource(BaseModel):
    """What a resource has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu: Positive = Field(default_factory=lambda: os.cpu_count() or 1)
    gpu: Count = 0
    memory: Memory = Field(default_factory=machine_memory)
    disk: Memory = 10**12
    time: Seconds = 366 * 86400
    platform: str = Field(default_factory=here)
    features: tuple[str, ...] = ()
    queue: Count | None = None
    target: Duration = TARGET

    def total(self) -> Shape:
        """Return it as a shape."""
        return Shape(self.cpu, self.gpu, self.memory, self.disk, int(self.time), self.platform, self.features)


class LocalSettings(Resource):
    """Options of `local`: what this machine gives, where sandboxes and cache are, and how a worker is started."""

    directory: Path
    worker: Annotated[tuple[str, ...], Field(min_length=1)]
    cache: Path | None = None
    keep: bool = False
    margin: Seconds = 120.0
    grace: Seconds = 60.0


class FaultSettings(BaseModel):
    """What a host of `simulated` does to a share of what it gets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate: Rate = 1.0
    after: Seconds = 1.0
    reason: Reason = Reason.COMMAND
    message: str = "exec format error: ./program"

    def to_fault(self) -> Fault:
        """Return it as the engine takes it."""
        return Fault(self.rate, self.after, self.reason, self.message)


class SimulatedSettings(Resource):
    """Options of `simulated`: the size of the pool and how attempts behave in it."""

    cpu: Positive = 1000
    memory: Memory = 4 * 10**12
    disk: Memory = 10**14
    seed: int = 0
    duration: Seconds = 60.0
    spread: Spread = 0.0
    memory_used: Annotated[float, Field(gt=0)] = 0.5
    memory_spread: Spread = 0.0
    failure_rate: Rate = 0.0
    eviction_rate: Rate = 0.0
    lost_rate: Rate = 0.0
    late: Seconds = 60.0
    submit_delay: Annotated[float, Field(ge=0)] = 0.0
    overhead: Annotated[float, Field(ge=0)] = 0.0
    hosts: Annotated[tuple[str, ...], Field(min_length=1)] = ("sim-1", "sim-2", "sim-3")
    slots_per_host: Count = 0
    faults: dict[str, FaultSettings] = Field(default_factory=dict)


def read(model: type[Model], settings: Mapping[str, Any], kind: str) -> Model:
    """Check `settings` against `model`. Raises `Invalid` with one problem for each option that is wrong."""
    try:
        return model.model_validate(dict(settings))
    except ValidationError as error:
        problems = [
            Problem(_said(item["type"], item["msg"]), path, _hint(item["type"], path, model))
            for item in error.errors(include_url=False)
            if (path := ".".join(str(part) for part in item["loc"]))
        ]
    told = "; ".join(str(problem) for problem in problems)
    raise Invalid(f"settings of the engine {kind!r}: {told}", code="bad-setting", problems=problems)


def _said(kind: str, message: str) -> str:
    known = {"extra_forbidden": "there is no such option", "missing": "this option is needed"}
    return known.get(kind, message.removeprefix("Value error, "))


def _hint(kind: str, path: str, model: type[BaseModel]) -> str:
    if kind != "extra_forbidden":
        return ""
    near = difflib.get_close_matches(path, model.model_fields, 1, 0.5)
    return f"did you mean {near[0]!r}?" if near else "options: " + ", ".join(sorted(model.model_fields))
