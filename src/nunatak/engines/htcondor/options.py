"""Options of the engine `htcondor`, checked whole before anything is asked of a pool."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from nunatak.core.work import TARGET
from nunatak.engines.htcondor.recipes import SETTABLE
from nunatak.engines.settings import Count, Duration, Memory, Paths, Positive, Seconds, Words
from nunatak.engines.tails.settings import LiveSettings

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_FEATURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+=-]*\Z")
_SITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*\Z")
OURS = ("NunatakEngine", "NunatakAddress", "NunatakLease", "NunatakAvoid", "NunatakExcluded", "NunatakProbe",
        "NunatakFull")  # fmt: skip
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


def _whose(value: str) -> str:
    rest = value.replace("{owner}", "").replace("{group}", "")
    if "{" in rest or "}" in rest:
        raise ValueError(
            f"{value!r} has something else in braces than {{owner}} or {{group}}, which alone are known here"
        )
    return value


def _settable(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        if not _NAME.match(name) or name.lower() in (ours.lower() for ours in OURS):
            raise ValueError(f"{name!r} is no attribute that recipes could set")
    return value


def _features(value: Mapping[str, str]) -> Mapping[str, str]:
    for name, text in value.items():
        if not _FEATURE.match(name):
            raise ValueError(f"{name!r} cannot be a feature")
        _one_line(text)
    return value


def _caps(value: Mapping[str, int]) -> Mapping[str, int]:
    for name, most in value.items():
        if not _SITE.match(name) or most < 0:
            raise ValueError(f"write it as 'Site = 500; Site = 20', not {name!r}")
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
Keep = Callable[[str, Path, str], object]
"""Stores a local file under a `file:` URL, given its SHA-256. Raises `NunatakError` if that cannot be."""


class PoolSettings(BaseModel):
    """What is to be known of a pool and of the jobs in it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    directory: Path
    """Sandboxes and event logs, on a file system that the schedd's machine sees under the same path."""
    worker: Path
    """The worker as one file."""
    keep: Keep
    """What stores a file that came back."""

    config: Path | None = None
    """File with HTCondor's configuration; without it, `CONDOR_CONFIG`, or where HTCondor looks."""
    collector: Line = ""
    """The pool's central manager; without it, `COLLECTOR_HOST` of the configuration."""
    schedd: Words = ()
    """Names of schedds, over which attempts are spread; without it, that of this machine."""
    token_directory: Path | None = None
    """Where IDTOKENS are; only these are used then."""

    group: Annotated[Line, AfterValidator(_whose)] = ""
    """Accounting group; in it `{group}` is that of the dataset and `{owner}` its owner, as in `group_icecube.{group}`."""
    user: Annotated[Line, AfterValidator(_whose)] = ""
    """User of the accounting group, as `prod` or `{owner}`."""
    requirements: Line = ""
    """What else a machine must have."""
    rank: Line = ""
    """What machines are liked better; those without GPUs come second for tasks that need none."""
    attributes: Annotated[Pairs, AfterValidator(_attributes)] = Field(default_factory=dict)
    """Attributes of the jobs, as `+Name = expression` in a submit file."""
    settable: Annotated[Words, AfterValidator(_settable)] = SETTABLE
    """Attributes of the jobs that recipes may set themselves; what is left empty lets them set none."""
    features: Annotated[Pairs, AfterValidator(_features)] = Field(default_factory=dict)
    """What tasks may ask for, and the expression by which a machine has it; an empty expression means the machine's
    attribute of that name. `gpu_memory=16GB` and `gpu_capability=8.0` need none."""
    site: Line = ""
    """Attribute of machines that names their site, like `GLIDEIN_Site`."""
    caps: Annotated[Mapping[str, int], BeforeValidator(_pairs), AfterValidator(_caps)] = Field(default_factory=dict)
    """Jobs that may run at a site, as `Name = 500; Name = 20`: what waits is kept off a site that is full. A site may get a
    few more, which were matched before that was known."""
    platform: Line = "linux/x86_64"
    """The platform of the nodes."""
    shared: Paths = ("/cvmfs",)
    """Paths that are on the nodes as they are here."""
    files: Paths = ()
    """Directories of the engine's machine whose files recipes may name by `file:` URLs, beside the store's: the engine reads and
    writes them with its own rights."""
    plugins: Annotated[Words, AfterValidator(_schemes)] | None = None
    """URL schemes that may be left to HTCondor, like `osdf`, where machines have a transfer plugin for them; without it,
    all that machines have. What is left empty leaves none."""
    container: bool = False
    """Whether HTCondor enters the image of a task (its container universe); if not, the worker does on the node."""
    cache: Line = ""
    """Directory on the nodes where virtual environments are kept; without it, in the sandbox."""

    depth: Count = 1000
    """Jobs that may wait in the queue. Fewer while the schedd is at work for more than half of `busy`."""
    most: Count = 0
    """Jobs that may be in the queue in all, running ones too; 0: any number."""
    target: Duration = TARGET
    """How long a series of short tasks should take, which is one job; 0: every task is a job of its own."""
    time: Seconds = 366 * 86400
    """Longest time that tasks may ask for."""
    lease: Seconds = 600.0
    """How long a job goes on when its node and the schedd lose sight of each other (`job_lease_duration`)."""
    margin: Seconds = 120.0
    """How long over its time a job is held."""
    overhead: Memory = 32 * 2**20
    """Memory asked for beside the task's, for the worker."""
    busy: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Part of its time that the schedd may be at work, at which it gets nothing new."""
    look: Seconds = 30.0
    """Pause between two looks at the pool."""
    reconcile: Seconds = 300.0
    """Pause between two comparisons with the queue."""
    log_size: Positive = 64 * 2**20
    """Bytes after which new jobs get another event log; old ones are deleted when nobody needs them."""


class HTCondorSettings(LiveSettings, PoolSettings):
    """Options of `htcondor`. Times in seconds, memory in bytes; `directory`, `worker` and `keep` come from the host."""
