"""Options of the engines for batch systems, checked whole."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from nunatak.core import units
from nunatak.core.errors import Invalid
from nunatak.core.work import TARGET
from nunatak.engines.settings import BYTES, SECONDS, Count, Duration, Memory, Paths, Positive, Seconds, Words, here


def _typed(value: Any) -> Any:
    """Read words as a shell does."""
    return shlex.split(value) if isinstance(value, str) else value


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


MemoryMargin = Annotated[int, _or_none(_amount(units.memory)), BYTES]
TimeMargin = Annotated[int, _or_none(_amount(units.seconds)), SECONDS]


class BatchSettings(BaseModel):
    """What all of them have."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    directory: Path
    """Sandboxes, logs and the worker; shared with the nodes, and one engine's alone."""
    directory_there: str = ""
    """The same directory as the nodes see it; without it, the same path."""
    worker: Annotated[Line, Field(min_length=1)]
    """Words that start the worker on a node; without it, `python3 -I -S` and its place in `directory`."""
    cache: str = ""
    """Where workers keep shared files, as the nodes see it; without it, `.cache` in the directory."""
    ssh: Annotated[str, Field(pattern=r"^([^-\s]\S*)?$")] = ""
    """Host on which the batch system's commands are run; without it, this machine."""
    staged: bool = False
    """Whether nodes see nothing of `directory`: sandboxes are then in `directory_there`, and files carried there and back."""
    shared: Paths = ("/cvmfs",)
    """With `staged`, paths that are on the nodes as they are here."""
    files: Paths = ()
    """With `staged`, directories of the engine's machine whose files recipes may name by `file:` URLs, beside the store's: the
    engine reads and writes them with its own rights."""
    transfer: Seconds = 600.0
    """With `staged`, how long it may take to carry the files of one submission, or of the jobs of one look."""
    deliver: Callable[[str, Path, str], object] | None = None
    """What stores a file that came back."""
    queue: Count = 100
    """Jobs that may wait, beside one for each idle core."""
    target: Duration = TARGET
    """How long a job goes on with short tasks, one after the other; 0: each task is a job of its own. Only Slurm runs series."""
    interval: Seconds = 10.0
    """Pause between two looks at the batch system."""
    settle: Seconds = 30.0
    """How long an outcome is waited for after the end of a job."""
    patience: Seconds = 60.0
    """How long a command may take."""
    keep: bool = False
    """Whether sandboxes are kept after their end is recorded."""
    memory_margin: MemoryMargin = 64_000_000
    """Memory asked for beyond what a task asks for, for the worker; the worker itself holds a task to what it asked for."""
    time_margin: TimeMargin = 300
    """Time asked for beyond what a task asks for, for staging."""
    disk: Memory = 10**15
    """The most disk a task may ask for; not asked of the batch system."""
    features: Words = ()
    """What all nodes have besides what the batch system knows, as `cvmfs`."""
    setup: str = ""
    """Shell lines before the worker, as `module load python/3.11`."""
    extra: Annotated[str, Field(pattern=_LINE)] = ""
    """More options of the submit command, in one line."""

    @model_validator(mode="after")
    def _where(self) -> Self:
        if self.staged and not (self.directory_there.startswith("/") and self.deliver):
            raise ValueError(
                "staged: directory_there has to say where sandboxes are on the cluster, like /scratch/anna/nunatak"
            )
        return self


class SlurmSettings(BatchSettings):
    """Options of `slurm`."""

    partitions: Words = ()
    """Partitions that may be used; a task is submitted to all of them that could take it. Without it, the default one,
    or where a task does not fit it, those open to all."""
    account: Annotated[str, Field(pattern=_LINE)] = ""
    """Account that is charged; without it, the user's default."""
    qos: Annotated[str, Field(pattern=_LINE)] = ""
    """Quality of service; without it, the user's default."""
    nice: int | None = None
    """Lowers (or with the right to, raises) the priority."""
    history: str = ""
    """`sacct`, or the file of `jobcomp/filetxt`; without it, what the cluster is configured with."""
    platform: str = ""
    """What the nodes are, as `linux/x86_64`; without it, as Slurm says."""


class OtherSettings(BatchSettings):
    """Options of the batch systems that are not asked what they have: what one attempt may ask for at most is said here."""

    cpu: Positive = 1
    """The most cores one task may ask for."""
    gpu: Count = 0
    """The most GPUs one task may ask for."""
    memory: Memory = 4 * 10**9
    """The most memory one task may ask for."""
    time: Seconds = 86400.0
    """The longest time one task may ask for."""
    platform: str = Field(default_factory=here)
    """What the nodes are; without it, what this machine is."""
    queues: Words = ()
    """Queues by preference, a task goes to the first; without it, the batch system's choice."""
    account: Annotated[str, Field(pattern=_LINE)] = ""
    """Account or project that is charged; without it, the user's default."""


class GridEngineSettings(OtherSettings):
    """Options of `gridengine`: the parallel environment for several cores, and the resource that limits memory."""

    parallel: Annotated[str, Field(pattern=r"^[\w.-]+$")] = "smp"
    """Parallel environment for several cores of one node."""
    memory_resource: Annotated[str, Field(pattern=r"^[\w.-]+$")] = "h_vmem"
    """The resource that limits memory, counted a slot."""


class PbsSettings(OtherSettings):
    """Options of `pbs`: whether it is Torque, whose commands differ from OpenPBS."""

    torque: bool = False
    """Whether it is Torque, not OpenPBS."""
