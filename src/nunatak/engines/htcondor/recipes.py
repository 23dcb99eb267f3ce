"""What a recipe says of its jobs in HTCondor: more requirements, and attributes if the operator lets recipes set them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from nunatak.core import classad
from nunatak.core.work import TaskSpec

KIND = "htcondor"
SETTABLE = ("is_resumable", "GPUJobLength", "JobDurationCategory", "WantFlocking", "WantGlidein", "WantGPULab",
            "DESIRED_Sites", "UNDESIRED_Sites")  # fmt: skip
"""Attributes that recipes may set unless the operator says otherwise: pools match on them, HTCondor itself does not."""
WHOLE = "TARGET.Cpus >= RequestCpus && TARGET.Memory >= RequestMemory && TARGET.Disk >= RequestDisk && TARGET.HasFileTransfer"
"""What HTCondor adds by itself only where requirements mention nothing of the kind."""


class Wishes(NamedTuple):
    """Requirements, "" for none, and attributes, both as expressions."""

    requirements: str = ""
    attributes: tuple[tuple[str, str], ...] = ()

    @property
    def all_requirements(self) -> str:
        """What a machine must have, HTCondor's own conditions with it; "" for none."""
        return f"({self.requirements}) && {WHOLE}" if self.requirements else ""


NONE = Wishes()


def wishes_of(spec: TaskSpec) -> Wishes:
    """Return what the recipe of an attempt says."""
    told: Any = spec.engines.get(KIND)
    if not told:
        return NONE
    attributes = told.get("attributes") or {}
    return Wishes(str(told.get("requirements") or ""), tuple((name, str(text)) for name, text in attributes.items()))


def refused(wishes: Wishes, settable: Collection[str], readable: Callable[[str], bool]) -> str:
    """Say why jobs cannot be as a recipe wants them, "" if they can; `readable` tells what HTCondor can read.

    Nothing that comes by a recipe reaches a submission unless it stands for itself: all is checked here once more.
    """
    known = {name.lower() for name in settable}
    for name, text in (("requirements", wishes.requirements), *wishes.attributes):
        if text and (classad.flaw(text) or not readable(text)):
            return f"the recipe's {name} for HTCondor is not a ClassAd expression: {text}"
    names = [name for name, _ in wishes.attributes if name.lower() not in known]
    return (
        f"recipes may not set {', '.join(names)} here: the engine's option `settable` has no such name" if names else ""
    )
