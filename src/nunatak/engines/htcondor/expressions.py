"""ClassAd expressions from shapes: what a machine must have to run a task. Pure text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from nunatak.core import units
from nunatak.core.errors import Invalid
from nunatak.core.work import Shape

MIB = 2**20
ARCHITECTURES = {
    "x86_64": "X86_64",
    "aarch64": "aarch64",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "arm64": "aarch64",
}
"""HTCondor's `Arch` for a machine as `uname` spells it."""
SYSTEMS = {"linux": "LINUX", "darwin": "macOS"}
"""HTCondor's `OpSys`."""
_GPU_MEMORY = re.compile(r"gpu_memory=(\d[\d.]*[A-Za-z]*)\Z")
_GPU_CAPABILITY = re.compile(r"gpu_capability=(\d+(?:\.\d+)?)\Z")


def quoted(text: str) -> str:
    """Return a ClassAd string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def both(parts: Sequence[str]) -> str:
    """Return what holds if all parts hold; without parts, what always holds."""
    return " && ".join(f"({part})" for part in parts if part) or "true"


def either(parts: Sequence[str]) -> str:
    """Return what holds if one part holds; without parts, what never holds."""
    return " || ".join(f"({part})" for part in parts) or "false"


def gpu_needs(features: Sequence[str]) -> tuple[int, float]:
    """Return the least memory (MiB) and capability of a GPU that features ask for; 0 where they do not say.

    `gpu_memory=16GB` and `gpu_capability=8.0` are understood without being explained by the operator.
    """
    memory, capability = 0, 0.0
    for feature in features:
        if found := _GPU_MEMORY.match(feature):
            try:
                memory = max(memory, -(-units.memory(found[1]) // MIB))
            except Invalid:
                continue
        elif found := _GPU_CAPABILITY.match(feature):
            capability = max(capability, float(found[1]))
    return memory, capability


def of_feature(feature: str, known: Mapping[str, str]) -> str:
    """Return the expression by which a machine has a feature; "" for one that nobody explained."""
    if known.get(feature):
        return known[feature]
    memory, capability = gpu_needs([feature])
    if memory:
        return f"TARGET.TotalSlotGPUs > 0 && TARGET.GPUs_GlobalMemoryMb >= {memory}"
    if capability:
        return f"TARGET.TotalSlotGPUs > 0 && TARGET.GPUs_Capability >= {capability:g}"
    return f"TARGET.{feature}" if feature in known and feature.isidentifier() else ""


def of_platform(platform: str) -> str:
    """Return what a platform means; any Linux for "" (said, since HTCondor else takes that of the access point)."""
    if not platform:
        return 'TARGET.OpSys == "LINUX" && TARGET.Arch =!= undefined'
    system, _, machine = platform.partition("/")
    arch = ARCHITECTURES.get(machine, machine)
    return f"TARGET.OpSys == {quoted(SYSTEMS.get(system, system))} && TARGET.Arch == {quoted(arch)}"


def requirements(shape: Shape, known: Mapping[str, str], extra: str, image: bool, schemes: Sequence[str] = ()) -> str:
    """Return the requirements of the jobs of one shape.

    A job that has begun once is never begun again by HTCondor: trying again is for us to decide. `known` explains
    features, `extra` is the operator's, `image` says that the worker enters a container, `schemes` what URLs the machine
    has to fetch.
    """
    parts = [
        "(NumJobStarts ?: 0) == 0",
        of_platform(shape.platform),
        "! stringListIMember(TARGET.Machine, NunatakAvoid)",
        "! stringListIMember(TARGET.Machine, NunatakExcluded)",
        *(of_feature(feature, known) for feature in shape.features),
        "TARGET.HasSingularity =?= true" if image else "",
        *(f"stringListIMember({quoted(scheme)}, TARGET.HasFileTransferPluginMethods)" for scheme in schemes),
        extra,
    ]
    return both(parts)


def rank(shape: Shape, extra: str) -> str:
    """Return what machines are liked better: the operator's word first, then those whose GPUs are not wasted."""
    spare = "" if shape.gpu else "- (TARGET.TotalSlotGPUs ?: 0)"
    return f"1000 * ({extra}) {spare}".strip() if extra else spare or "0"


def hold(time_limit: float) -> tuple[str, str, str]:
    """Return when a running job is held, why in words, and the subcode; `time_limit` in seconds.

    A backstop: the worker itself is stricter, and can say more.
    """
    memory = "(MemoryUsage ?: 0) > RequestMemory * 1.25 + 64"
    disk = "(DiskUsage ?: 0) > RequestDisk * 1.1 + 65536"
    long = f"time() - (JobCurrentStartExecutingDate ?: time()) > {time_limit:.0f}"
    words = (
        f'ifThenElse({memory}, strcat("it exceeded its memory: ", MemoryUsage, " MiB used, ", RequestMemory, " MiB requested"), '
        f'ifThenElse({disk}, strcat("it exceeded its disk: ", DiskUsage, " KiB used, ", RequestDisk, " KiB requested"), '
        f'"it exceeded time limit: it ran longer than {time_limit:.0f} s"))'
    )
    code = f"ifThenElse({memory}, {OVER_MEMORY}, ifThenElse({disk}, {OVER_DISK}, {OVER_TIME}))"
    return f"JobStatus == 2 && ({memory} || {disk} || {long})", words, code


OVER_MEMORY, OVER_DISK, OVER_TIME = 9101, 9102, 9103
"""Subcodes by which we know our own holds again."""
