"""What of a slot a shape needs, read once; and a memory of which shapes fit which slots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from nunatak.core import units
from nunatak.core.errors import Invalid
from nunatak.core.work import Shape


class Needs(NamedTuple):
    """A shape taken apart. Of a slot it is what the slot has; memory, disk and GPU memory in bytes, time in seconds.

    The features `gpu-memory=24GB` (of one GPU), `gpu-capability=8.6`, `container`, `site=NAME` (any of several) and
    `not-site=NAME` have a meaning of their own; all others are names that a slot has or has not.
    """

    cpu: int
    gpu: int
    memory: int
    disk: int
    time: int
    gpu_memory: int
    gpu_capability: tuple[int, ...]
    system: str
    arch: str
    container: bool
    sites: frozenset[str]
    not_sites: frozenset[str]
    features: frozenset[str]


@dataclass(frozen=True, slots=True)
class Offer:
    """Equal slots (or machines, each with all it has) of one engine, of which `drained` are on nodes that get no work.

    `fails`: features learnt to fail at this site. Offers are equal when the same shapes fit them.
    """

    shape: Shape
    site: str = ""
    fails: frozenset[str] = frozenset()
    engine: str = field(default="", compare=False)
    slots: int = field(default=1, compare=False)
    drained: int = field(default=0, compare=False)

    @property
    def usable(self) -> int:
        """Return how many slots may get work."""
        return max(0, self.slots - self.drained)


@lru_cache(maxsize=4096)
def needs(shape: Shape) -> Needs:
    """Take a shape apart."""
    system, _, arch = shape.platform.partition("/")
    plain, sites, not_sites = set[str](), set[str](), set[str]()
    gpu_memory, capability, container = 0, tuple[int, ...](), False
    for feature in shape.features:
        name, _, value = feature.partition("=")
        if name == "gpu-memory" and (amount := _memory(value)):
            gpu_memory = max(gpu_memory, amount)
        elif name == "gpu-capability" and (parts := _version(value)):
            capability = max(capability, parts)
        elif name == "site" and value:
            sites.add(value)
        elif name == "not-site" and value:
            not_sites.add(value)
        elif feature == "container":
            container = True
        else:
            plain.add(feature)
    return Needs(
        shape.cpu, shape.gpu, shape.memory, shape.disk, shape.time, gpu_memory, capability, system, arch,
        container, frozenset(sites), frozenset(not_sites), frozenset(plain),
    )  # fmt: skip


def _memory(text: str) -> int:
    try:
        return units.memory(text)
    except Invalid:
        return 0


def _version(text: str) -> tuple[int, ...]:
    parts = text.split(".")
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else ()


def has_container(slot: Needs) -> bool:
    """Tell whether a slot runs containers: `container`, or one that is named, as `container=apptainer`."""
    return slot.container or any(feature.startswith("container=") for feature in slot.features)


def fits(shape: Shape, offer: Offer) -> bool:
    """Tell whether a task of this shape can run in one slot of an offer; the short form of `match.failing`."""
    want, have = needs(shape), needs(offer.shape)
    return (
        want.cpu <= have.cpu
        and want.memory <= have.memory
        and want.disk <= have.disk
        and want.time <= have.time
        and want.gpu <= have.gpu
        and want.gpu_memory <= have.gpu_memory
        and want.gpu_capability <= have.gpu_capability
        and want.system in ("", have.system)
        and want.arch in ("", have.arch)
        and want.features <= have.features
        and (not want.container or has_container(have))
        and (not want.sites or offer.site in want.sites)
        and offer.site not in want.not_sites
        and offer.fails.isdisjoint(shape.features)
    )


class Fits:
    """Remembers which shapes fit which offers; shape 0 fits everywhere, to become known."""

    def __init__(self, most: int = 1000) -> None:
        """Begin with nothing; forget all when more than `most` different offers were seen."""
        self._most = most
        self._known: dict[Offer, dict[int, bool]] = {}

    def mask(self, offer: Offer, bits: Mapping[int, int], shapes: Mapping[int, Shape]) -> int:
        """Return the bits of the shapes that fit an offer."""
        known = self._known.get(offer)
        if known is None:
            if len(self._known) >= self._most:
                self._known.clear()
            known = self._known[offer] = {0: True}
        mask = 0
        for shape, bit in bits.items():
            fitting = known.get(shape)
            if fitting is None:
                fitting = known[shape] = fits(shapes[shape], offer)
            if fitting:
                mask |= bit
        return mask

    def rivals(self, shape: int, offers: Iterable[Offer], bits: Mapping[int, int], shapes: Mapping[int, Shape]) -> int:
        """Return the bits of all shapes that fit some slot which could take `shape`: with them it competes."""
        rivals = 0
        for offer in offers:
            mask = self.mask(offer, bits, shapes) if offer.usable else 0
            if mask & bits.get(shape, 0):
                rivals |= mask
        return rivals
