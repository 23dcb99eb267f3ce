"""From attempts of one kind to one submission: a submit description and a row of item data for each. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nunatak.core.work import Shape
from nunatak.engines.carried import below
from nunatak.engines.htcondor import expressions
from nunatak.engines.htcondor.options import HTCondorSettings
from nunatak.engines.htcondor.pieces import BY_THE_WORKER, Kind
from nunatak.engines.sandbox import SERIES

MIB, KIB = 2**20, 2**10
DISK_FACTOR, DISK_MARGIN = 2, 64 * MIB
"""A sandbox holds each input and output twice: as HTCondor carries it, and where the task works."""
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_UNNAMED = re.compile(r"[^A-Za-z0-9_-]")
"""What cannot be in the name of an accounting group; a dot would make a group below another."""
ORDERS = "series"
"""The directory with the orders of a series, which comes back with what its attempts left."""
VACATE = 60.0
"""Seconds in which a worker that is told to stop has to be done; it gives the payload ten."""
KEPT = 1800.0
"""Seconds for which the files of a removed job are kept, unless they are fetched before."""
NOTE = "nunatak"
"""How a line begins by which the event log tells whose job it is."""


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


def names(nodes: Iterable[str]) -> str:
    """Return names of nodes as one text for `stringListIMember`; what cannot be a name is left out."""
    return ",".join(sorted({node for node in nodes if _NODE.match(node)}))


def megabytes(shape: Shape, overhead: int) -> int:
    """Return the memory to ask for in MiB; `overhead` bytes are the worker's own."""
    return -(-(shape.memory + overhead) // MIB)


def kilobytes(shape: Shape) -> int:
    """Return the disk to ask for in KiB."""
    return -(-(DISK_FACTOR * shape.disk + DISK_MARGIN) // KIB)


def describe(kind: Kind, engine: str, log: Path, options: HTCondorSettings, full: Iterable[str] = ()) -> dict[str, str]:
    """Return the submit description for one kind of attempts.

    `engine` is how its jobs are found again, `full` the sites that they may not use now.
    """
    shape = kind.shape
    held, why, code = expressions.hold(shape.time + options.margin)
    found = {
        "universe": "vanilla",
        "executable": str(options.worker),
        "arguments": _arguments(options, kind.series),
        "initialdir": "$(box)",
        "transfer_input_files": f"{ORDERS if kind.series else 'task.json'}$(files)",
        "should_transfer_files": "YES",
        "when_to_transfer_output": "ON_EXIT_OR_EVICT",
        "output": "launch.out",
        "error": "launch.err",
        "log": str(log),
        "submit_event_notes": f"{NOTE} $(address) $(lease)",
        "notification": "never",
        "batch_name": f"nunatak {kind.dataset}",
        "request_cpus": str(shape.cpu),
        "request_memory": f"{megabytes(shape, options.overhead)} MB",
        "request_disk": f"{kilobytes(shape)} KB",
        "requirements": _requirements(kind, options),
        "rank": expressions.rank(shape, options.rank),
        "periodic_hold": held,
        "periodic_hold_reason": why,
        "periodic_hold_subcode": code,
        "job_lease_duration": f"{options.lease:.0f}",
        "max_retries": "0",
        "on_exit_remove": "true",
        "want_graceful_removal": "true",
        "job_max_vacate_time": f"{VACATE:.0f}",
        "leave_in_queue": f"JobStatus == 3 && LastJobStatus == 2 && time() - EnteredCurrentStatus < {KEPT:.0f}",
        "My.NunatakEngine": expressions.quoted(engine),
        "My.NunatakAddress": '"$(address)"',
        "My.NunatakLease": '"$(lease)"',
        "My.NunatakAvoid": '"$(avoid)"',
        "My.NunatakExcluded": '"$(excluded)"',
        "My.NunatakProbe": '"$(probe)"',
        "My.NunatakFull": expressions.quoted(names(full)),
        **{f"My.{name}": text for name, text in (*kind.wishes.attributes, *options.attributes.items())},
    }
    if kind.series:
        found["transfer_output_files"] = ORDERS
    return {**found, **_container(kind, options), **_gpus(shape), **_accounting(kind, options)}


def _requirements(kind: Kind, options: HTCondorSettings) -> str:
    image = kind.image == BY_THE_WORKER
    site = f"! stringListIMember(TARGET.{options.site}, NunatakFull)" if options.site and options.caps else ""
    extra = [options.requirements, kind.wishes.all_requirements, f"{site} =!= false" if site else ""]
    more = expressions.both(extra) if any(extra) else ""
    return expressions.requirements(kind.shape, options.features, more, image, kind.schemes)


def _arguments(options: HTCondorSettings, series: bool) -> str:
    cache = [f"--cache={options.cache}"] if options.cache else []
    live = ["--live"] if options.live else []
    words = ["--grace=10", *cache, *live, *(["--series", f"{ORDERS}/{SERIES}"] if series else ["."])]
    inside = " ".join("'" + word.replace("'", "''").replace('"', '""') + "'" for word in words)
    return f'"{inside}"'


def _container(kind: Kind, options: HTCondorSettings) -> dict[str, str]:
    """Return what has HTCondor enter an image; one that is on the nodes is not carried there."""
    if kind.image in ("", BY_THE_WORKER):
        return {}
    found = {"universe": "container", "container_image": kind.image}
    if kind.image.startswith("/") and below(kind.image, options.shared):
        found["transfer_container"] = "false"
    return found


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


def _accounting(kind: Kind, options: HTCondorSettings) -> dict[str, str]:
    found = {"accounting_group": _whose(options.group, kind), "accounting_group_user": _whose(options.user, kind)}
    return {key: value for key, value in found.items() if value}


def _whose(text: str, kind: Kind) -> str:
    """Put whose the dataset is into the name of a group or user; a dataset without a group is of the one above."""
    for name, value in (("{owner}", kind.owner), ("{group}", kind.group)):
        text = text.replace(name, _UNNAMED.sub("_", value))
    return ".".join(part for part in text.split(".") if part)
