"""Options of the engines for batch systems, checked whole."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from nunatak.core import units
from nunatak.core.errors import Invalid
from nunatak.engines.settings import Count, Memory, Positive, Seconds, here


def _listed(value: Any) -> Any:
    """Read `a,b` as a list."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def _typed(value: Any) -> Any:
    """Read words as a shell does."""
    return shlex.split(value) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Line = Annotated[tuple[str, ...], BeforeValidator(_typed)]
_LINE = r"^[^\r\n]*$"


def _or_none(read: Any) -> BeforeValidator:
    """Read an amount with its unit; 0 is allowed."""
    return BeforeValidator(lambda value: 0 if str(value).strip() == "0" else read(value))


def _amount(read: Any) -> Any:
    def checked(value: Any) -> Any:
        try:
            return read(value)
        except Invalid as error:
            raise ValueError(f"{error.message} {error.hint}".strip()) from None

    return checked


MemoryMargin = Annotated[int, _or_none(_amount(units.memory))]
TimeMargin = Annotated[int, _or_none(_amount(units.seconds))]


class BatchSettings(BaseModel):
    """What all of them have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    directory: Path
    directory_there: str = ""
    worker: Annotated[Line, Field(min_length=1)]
    cache: str = ""
    ssh: Annotated[str, Field(pattern=r"^([^-\s]\S*)?$")] = ""
    queue: Count = 100
    interval: Seconds = 10.0
    settle: Seconds = 30.0
    patience: Seconds = 60.0
    keep: bool = False
    memory_margin: MemoryMargin = 64_000_000
    time_margin: TimeMargin = 300
    disk: Memory = 10**15
    features: Words = ()
    setup: str = ""
    extra: Annotated[str, Field(pattern=_LINE)] = ""


class SlurmSettings(BatchSettings):
    """Options of `slurm`."""

    partitions: Words = ()
    account: Annotated[str, Field(pattern=_LINE)] = ""
    qos: Annotated[str, Field(pattern=_LINE)] = ""
    nice: int | None = None
    history: str = ""
    platform: str = ""


class OtherSettings(BatchSettings):
    """Options of the batch systems that are not asked what they have: what one attempt may ask for at most is said here."""

    cpu: Positive = 1
    gpu: Count = 0
    memory: Memory = 4 * 10**9
    time: Seconds = 86400.0
    platform: str = Field(default_factory=here)
    queues: Words = ()
    account: Annotated[str, Field(pattern=_LINE)] = ""


class GridEngineSettings(OtherSettings):
    """Options of `gridengine`: the parallel environment for several cores, and the resource that limits memory."""

    parallel: Annotated[str, Field(pattern=r"^[\w.-]+$")] = "smp"
    memory_resource: Annotated[str, Field(pattern=r"^[\w.-]+$")] = "h_vmem"


class PbsSettings(OtherSettings):
    """Options of `pbs`: whether it is Torque, whose commands differ from OpenPBS."""

    torque: bool = False
