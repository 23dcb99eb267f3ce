"""What a pool has, from the ads of its slots: the largest of everything, and what fits in one slot. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nunatak.core.work import Shape
from nunatak.engines.htcondor.description import DISK_FACTOR, DISK_MARGIN, KIB, MIB
from nunatak.engines.htcondor.expressions import ARCHITECTURES
from nunatak.engines.htcondor.travel import THE_WORKERS
from nunatak.engines.slots import excess

ASKED = ("Name", "Machine", "Cpus", "Memory", "Disk", "GPUs", "TotalSlotCpus", "TotalSlotMemory", "TotalSlotDisk", "TotalSlotGPUs",
         "Arch", "OpSys", "PartitionableSlot", "State", "HasFileTransferPluginMethods")  # fmt: skip
"""Attributes to ask for."""
WHOLE = "DynamicSlot =!= true"
"""The slots of which others are parts."""
_MACHINES = {arch.lower(): machine for machine, arch in reversed(ARCHITECTURES.items())}


@dataclass(frozen=True, slots=True)
class Places:
    """A pool: what one slot may have at most, what is free in one, and the kinds of slots there are."""

    total: Shape
    free: Shape
    kinds: frozenset[Shape]
    methods: frozenset[str] = frozenset()  # schemes of URLs that HTCondor fetches on one of them at least

    def room(self, shape: Shape) -> str:
        """Say why no slot can ever run a shape; "" if one can."""
        if any(shape.fits(kind) for kind in self.kinds):
            return ""
        if not self.kinds:
            return "the pool has no slot of this platform"
        return excess(shape, self.total) or "no slot has all of it together"


def survey(
    ads: Sequence[Mapping[str, Any]], features: Mapping[str, Iterable[str]], platform: str, time: float, overhead: int
) -> Places:
    """Return what there is on one platform; `features` names the slots that have each, `time` is the longest in seconds.

    `overhead` bytes of memory are the worker's, and a sandbox takes more disk than a task: both are taken off.
    """
    having = {feature: frozenset(names) for feature, names in features.items()}
    slots = [ad for ad in ads if platform_of(ad) == platform]
    wholes, frees = [], []
    for ad in slots:
        own = tuple(sorted(feature for feature, names in having.items() if ad.get("Name") in names))
        wholes.append(_shape(ad, "TotalSlot", platform, own, time, overhead))
        busy = not ad.get("PartitionableSlot") and ad.get("State") != "Unclaimed"
        frees.append(Shape(0, 0, 0, 0, 0) if busy else _shape(ad, "", platform, own, time, overhead))
    methods = frozenset(method for ad in slots for method in methods_of(ad))
    return Places(_largest(wholes, platform), _largest(frees, platform), frozenset(wholes), methods)


def sites(ads: Iterable[Mapping[str, Any]], attribute: str) -> dict[str, str]:
    """Return the site of each machine, by the attribute that names it."""
    return {str(ad.get("Machine")): str(ad[attribute]) for ad in ads if attribute and ad.get(attribute)}


def full(running: Iterable[str], sites: Mapping[str, str], caps: Mapping[str, int]) -> tuple[str, ...]:
    """Return the sites that have as much as they may: `running` are the machines of running jobs, each as often."""
    counts = Counter(sites.get(machine, "") for machine in running)
    return tuple(sorted(site for site, most in caps.items() if counts[site] >= most))


def methods_of(ad: Mapping[str, Any]) -> list[str]:
    """Return the schemes of URLs that a slot says HTCondor fetches there."""
    return [word.strip().lower() for word in str(ad.get("HasFileTransferPluginMethods", "")).split(",") if word.strip()]


def fetched(methods: Iterable[str], wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Return the schemes that are left to HTCondor: of those that the pool has, the `wanted` ones (None: all).

    What the worker fetches by itself, and verifies on the way, is never left to HTCondor.
    """
    return tuple(sorted(m for m in methods if m not in THE_WORKERS and (wanted is None or m in wanted)))


def platform_of(ad: Mapping[str, Any]) -> str:
    """Return the platform of a slot as `uname` spells it."""
    system = "darwin" if ad.get("OpSys") in ("OSX", "macOS") else str(ad.get("OpSys", "")).lower()
    arch = str(ad.get("Arch", ""))
    return f"{system}/{_MACHINES.get(arch.lower(), arch)}"


def _shape(
    ad: Mapping[str, Any], prefix: str, platform: str, features: tuple[str, ...], time: float, overhead: int
) -> Shape:
    def amount(name: str) -> int:
        value = ad.get(prefix + name, ad.get(name, 0))
        return int(value) if isinstance(value, int | float) else 0

    return Shape(
        cpu=amount("Cpus"),
        gpu=amount("GPUs"),
        memory=max(0, amount("Memory") * MIB - overhead),
        disk=max(0, (amount("Disk") * KIB - DISK_MARGIN) // DISK_FACTOR),
        time=int(time),
        platform=platform,
        features=features,
    )


def _largest(shapes: Sequence[Shape], platform: str) -> Shape:
    found = Shape(0, 0, 0, 0, 0, platform)
    for shape in shapes:
        found = replace(
            found,
            cpu=max(found.cpu, shape.cpu),
            gpu=max(found.gpu, shape.gpu),
            memory=max(found.memory, shape.memory),
            disk=max(found.disk, shape.disk),
            time=max(found.time, shape.time),
            features=tuple(sorted({*found.features, *shape.features})),
        )
    return found


NONE = survey((), {}, "", 0, 0)
"""What is known of a pool that never answered."""
