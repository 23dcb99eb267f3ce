"""What a campaign runs on: resources as they are described, and as they are in use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from nunatak.core.work import Shape
from nunatak.engines.fates import Place
from nunatak.engines.protocol import ALL_FINE, Handle, Nodes
from nunatak.engines.simulated import SimulatedEngine
from nunatak.tasks.judging import Key
from nunatak.tasks.sharing.fits import Offer


@dataclass(frozen=True, slots=True)
class Resource:
    """An engine of a campaign: `slots` machines (or parts of machines) with `slot` each, and what they do to attempts.

    `pool` is what all of them have together, where that is not their sum.
    """

    name: str
    site: str
    slots: int
    slot: Shape
    place: Place = field(default_factory=Place)
    pool: Shape | None = None

    @property
    def offer(self) -> Offer:
        """Return what it shows when it claims."""
        return Offer(self.slot, self.site, engine=self.name)

    @property
    def total(self) -> Shape:
        """Return the whole pool's resources."""
        if self.pool:
            return self.pool
        of, n = self.slot, self.slots
        return Shape(of.cpu * n, of.gpu * n, of.memory * n, of.disk * n, of.time, of.platform, of.features)


class Out(NamedTuple):
    """An attempt with an engine."""

    key: Key
    handle: Handle
    cpu: int
    over: bool


@dataclass(slots=True)
class Carrier:
    """A resource in use: its number in the database, its engine, and what is out there."""

    resource: Resource
    number: int
    engine: SimulatedEngine
    since: float  # seconds after the begin
    cursor: str = ""
    nodes: Nodes = ALL_FINE  # as the engine was told last
    out: dict[tuple[str, str], Out] = field(default_factory=dict)  # by address and lease
    busy: float = 0.0  # core seconds of attempts that ended
