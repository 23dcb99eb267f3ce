"""Settings of the shipped engines, checked whole: every wrong or unknown option is named, with the nearest spelling."""

from __future__ import annotations

import difflib
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from nunatak.core import units
from nunatak.core.complaints import complaint
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


BYTES, SECONDS = "bytes", "seconds"
"""Marks of amounts, for whoever shows them."""
Memory = Annotated[int, _unit(units.memory), BYTES]
"""Bytes, written as `2 GB` or a number."""
Seconds = Annotated[float, _unit(units.seconds), SECONDS]
"""Seconds, written as `10 min` or a number; above zero."""
Duration = Annotated[float, _unit(lambda value: 0.0 if value in (0, "0") else units.seconds(value)), SECONDS]
"""Seconds, likewise, or 0."""
Model = TypeVar("Model", bound=BaseModel)


def _listed(value: Any) -> Any:
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""Words: a list, or text with commas."""


def _from_the_root(paths: tuple[str, ...]) -> tuple[str, ...]:
    for path in paths:
        if not path.startswith("/"):
            raise ValueError(f"{path!r} does not begin at the root: write it as /data")
    return paths


Paths = Annotated[Words, AfterValidator(_from_the_root)]
"""Words that are paths from the root: one that is not would match no file, and nobody would be told."""


def here() -> str:
    """Return the platform of this machine, like `linux/x86_64`."""
    return f"{sys.platform}/{platform.machine()}"


def machine_memory() -> int:
    """Return the memory of this machine in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class Resource(BaseModel):
    """What a resource has."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    cpu: Positive = Field(default_factory=lambda: os.cpu_count() or 1)
    """Cores there are; without it, those of this machine."""
    gpu: Count = 0
    """GPUs there are."""
    memory: Memory = Field(default_factory=machine_memory)
    """Memory there is; without it, that of this machine."""
    disk: Memory = 10**12
    """The most disk a task may ask for."""
    time: Seconds = 366 * 86400
    """The longest time a task may ask for."""
    platform: str = Field(default_factory=here)
    """What tasks may ask for, like `linux/x86_64`; without it, what this machine is."""
    features: Words = ()
    """What tasks may ask for beside the platform."""
    queue: Count | None = None
    """Attempts that may wait beside those that run; without it, the engine's own figure."""
    target: Duration = TARGET
    """How long a worker goes on with short tasks, one after the other; 0: each task has its own."""

    def total(self) -> Shape:
        """Return it as a shape."""
        return Shape(self.cpu, self.gpu, self.memory, self.disk, int(self.time), self.platform, self.features)


class LocalSettings(Resource):
    """Options of `local`: what this machine gives, where sandboxes and cache are, and how a worker is started."""

    directory: Path
    """Where sandboxes are; belongs to one engine process."""
    worker: Annotated[tuple[str, ...], Field(min_length=1)]
    """Words that start the worker."""
    cache: Path | None = None
    """Where workers keep shared files; without it, `.cache` in `directory`."""
    keep: bool = False
    """Whether sandboxes are kept after their end is recorded."""
    margin: Seconds = 120.0
    """How long over its time an attempt is stopped."""
    grace: Seconds = 60.0
    """How long after that it is killed."""


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
    """Cores of the pool."""
    memory: Memory = 4 * 10**12
    """Memory of the pool."""
    disk: Memory = 10**14
    """The most disk a task may ask for."""
    seed: int = 0
    """What all draws come from."""
    duration: Seconds = 60.0
    """Median of run times."""
    spread: Spread = 0.0
    """Standard deviation of the logarithm of run times."""
    memory_used: Annotated[float, Field(gt=0)] = 0.5
    """Median of the used fraction of the memory asked for."""
    memory_spread: Spread = 0.0
    """Standard deviation of its logarithm."""
    failure_rate: Rate = 0.0
    """Probability that an attempt fails."""
    eviction_rate: Rate = 0.0
    """Probability that an attempt is evicted."""
    lost_rate: Rate = 0.0
    """Probability that a report comes late or twice."""
    late: Seconds = 60.0
    """How late such a report is."""
    submit_delay: Annotated[float, Field(ge=0)] = 0.0
    """Longest time between submission and start, in seconds."""
    overhead: Annotated[float, Field(ge=0)] = 0.0
    """Seconds from getting a place to the first task, which a series pays once."""
    hosts: Annotated[Words, Field(min_length=1)] = ("sim-1", "sim-2", "sim-3")
    """Names of nodes."""
    slots_per_host: Count = 0
    """Attempts that one node takes at a time; 0: as many as come."""
    faults: dict[str, FaultSettings] = Field(default_factory=dict)
    """By node: `rate` of attempts that end `after` seconds with `reason` and `message`."""
    quiet: bool = False
    """Whether attempts write no logs."""


def read(model: type[Model], settings: Mapping[str, Any], kind: str) -> Model:
    """Check `settings` against `model`. Raises `Invalid` with one problem for each option that is wrong."""
    try:
        return model.model_validate(dict(settings))
    except ValidationError as error:
        problems = [
            Problem(_said(item), path, _hint(item["type"], path, model))
            for item in error.errors(include_url=False)
            if (path := ".".join(str(part) for part in item["loc"]))
        ]
    told = "; ".join(str(problem) for problem in problems)
    raise Invalid(f"settings of the engine {kind!r}: {told}", code="bad-setting", problems=problems)


def _said(item: Any) -> str:
    known = {"extra_forbidden": "there is no such option", "missing": "this option is needed"}
    return known.get(item["type"]) or complaint(item)


def _hint(kind: str, path: str, model: type[BaseModel]) -> str:
    if kind != "extra_forbidden":
        return ""
    near = difflib.get_close_matches(path, model.model_fields, 1, 0.5)
    return f"did you mean {near[0]!r}?" if near else "options: " + ", ".join(sorted(model.model_fields))
