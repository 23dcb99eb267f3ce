"""From attempts of one kind to one submission: a submit description and a row of item data for each. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nunatak.core.address import parse
from nunatak.core.work import Shape, TaskSpec
from nunatak.engines.htcondor import expressions
from nunatak.engines.htcondor.options import HTCondorSettings

MIB, KIB = 2**20, 2**10
DISK_FACTOR, DISK_MARGIN = 2, 64 * MIB
"""A sandbox holds each input and output twice: as HTCondor carries it, and where the task works."""
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
NOTE = "nunatak"
"""How a line begins by which the event log tells whose job it is."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Attempts of one kind make one cluster."""

    dataset: int
    shape: Shape
    image: bool


@dataclass(frozen=True, slots=True)
class Item:
    """What differs from job to job: its directory, files and URLs beside its order, and nodes it may not use."""

    address: str
    lease: str
    box: Path
    files: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    probe: str = ""

    def row(self) -> dict[str, str]:
        """Return it as item data."""
        return {
            "address": self.address,
            "lease": self.lease,
            "box": str(self.box),
            "files": "".join(f", {file}" for file in self.files),
            "avoid": names(self.avoid),
            "excluded": names(self.excluded),
            "probe": names((self.probe,)),
        }


def kind_of(spec: TaskSpec) -> Kind:
    """Return what kind of attempt a spec is."""
    return Kind(parse(spec.address).dataset, spec.shape, bool(spec.environment.image))


def names(nodes: Iterable[str]) -> str:
    """Return names of nodes as one text for `stringListIMember`; what cannot be a name is left out."""
    return ",".join(sorted({node for node in nodes if _NODE.match(node)}))


def megabytes(shape: Shape, overhead: int) -> int:
    """Return the memory to ask for in MiB; `overhead` bytes are the worker's own."""
    return -(-(shape.memory + overhead) // MIB)


def kilobytes(shape: Shape) -> int:
    """Return the disk to ask for in KiB."""
    return -(-(DISK_FACTOR * shape.disk + DISK_MARGIN) // KIB)


def describe(kind: Kind, engine: str, log: Path, options: HTCondorSettings) -> dict[str, str]:
    """Return the submit description for one kind of attempts; `engine` is how its jobs are found again."""
    shape = kind.shape
    held, why, code = expressions.hold(shape.time + options.margin)
    found = {
        "universe": "vanilla",
        "executable": str(options.worker),
        "arguments": _arguments(options),
        "initialdir": "$(box)",
        "transfer_input_files": "task.json$(files)",
        "should_transfer_files": "YES",
        "when_to_transfer_output": "ON_EXIT",
        "output": "launch.out",
        "error": "launch.err",
        "log": str(log),
        "submit_event_notes": f"{NOTE} $(address) $(lease)",
        "notification": "never",
        "batch_name": f"nunatak {kind.dataset}",
        "request_cpus": str(shape.cpu),
        "request_memory": f"{megabytes(shape, options.overhead)} MB",
        "request_disk": f"{kilobytes(shape)} KB",
        "requirements": expressions.requirements(shape, options.features, options.requirements, kind.image),
        "rank": expressions.rank(shape, options.rank),
        "periodic_hold": held,
        "periodic_hold_reason": why,
        "periodic_hold_subcode": code,
        "job_lease_duration": f"{options.lease:.0f}",
        "max_retries": "0",
        "on_exit_remove": "true",
        "leave_in_queue": "false",
        "My.NunatakEngine": expressions.quoted(engine),
        "My.NunatakAddress": '"$(address)"',
        "My.NunatakLease": '"$(lease)"',
        "My.NunatakAvoid": '"$(avoid)"',
        "My.NunatakExcluded": '"$(excluded)"',
        "My.NunatakProbe": '"$(probe)"',
        **{f"My.{name}": text for name, text in options.attributes.items()},
    }
    return {**found, **_gpus(shape), **_accounting(options)}


def _arguments(options: HTCondorSettings) -> str:
    words = ["--grace=10", *([f"--cache={options.cache}"] if options.cache else []), "."]
    inside = " ".join("'" + word.replace("'", "''").replace('"', '""') + "'" for word in words)
    return f'"{inside}"'


def _gpus(shape: Shape) -> dict[str, str]:
    if not shape.gpu:
        return {}
    memory, capability = expressions.gpu_needs(shape.features)
    found = {"request_gpus": str(shape.gpu)}
    if memory:
        found["gpus_minimum_memory"] = str(memory)
    if capability:
        found["gpus_minimum_capability"] = f"{capability:g}"
    return found


def _accounting(options: HTCondorSettings) -> dict[str, str]:
    found = {"accounting_group": options.group, "accounting_group_user": options.user}
    return {key: value for key, value in found.items() if value}


def by_kind(specs: Sequence[TaskSpec]) -> dict[Kind, list[TaskSpec]]:
    """Return the specs by kind, each in the order given."""
    found: dict[Kind, list[TaskSpec]] = {}
    for spec in specs:
        found.setdefault(kind_of(spec), []).append(spec)
    return found
