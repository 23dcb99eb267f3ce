"""Fair share as one function: who gets how many of the places there are. What claims do step by step, done at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nunatak.core.work import Shape
from nunatak.tasks.sharing.fits import Fits, Offer
from nunatak.tasks.sharing.model import Allotment, Busy, Demand, Member, Policy, Positions
from nunatak.tasks.sharing.positions import positions
from nunatak.tasks.sharing.queue import Memory
from nunatak.tasks.sharing.turn import Turn
from nunatak.tasks.sharing.usage import Used


@dataclass(frozen=True, slots=True)
class Allocation:
    """Who stands where, and what each of the offers gets, in their order."""

    positions: Positions
    given: tuple[tuple[Allotment, ...], ...]

    def by_dataset(self) -> dict[int, int]:
        """Return how many places each dataset gets in all."""
        places: dict[int, int] = {}
        for allotment in (allotment for some in self.given for allotment in some):
            places[allotment.dataset] = places.get(allotment.dataset, 0) + allotment.n
        return places


def share(
    demand: Iterable[Demand],
    members: Iterable[Member],
    used: Used,
    policy: Policy,
    offers: Sequence[tuple[Offer, int]],
    shapes: Mapping[int, Shape],
    now: float,
    *,
    sites: Mapping[str, Busy] | None = None,
    memory: Memory | None = None,
    fits: Fits | None = None,
) -> Allocation:
    """Share the places of each offer, in order; equal arguments give equal allocations.

    No place stays empty while a task that fits and that no cap stops is ready; nobody gets more than is ready or than
    caps allow; a larger weight never means fewer places. `memory` and `fits` go from one call to the next.
    """
    found = positions(demand, members, used, policy, now, sites)
    turn = Turn(found, shapes, fits or Fits(), memory or Memory())
    return Allocation(found, tuple(tuple(turn.select(offer, places)) for offer, places in offers))
