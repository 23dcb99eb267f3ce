"""Which tasks an engine gets: a pure function of the demand and the offer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nunatak.core.work import Shape


@dataclass(frozen=True, slots=True)
class Demand:
    """Ready tasks of one name and shape in one dataset; shape 0 is not known before the job is touched."""

    dataset: int
    task: int
    shape: int
    ready: int
    priority: float = 1.0


@dataclass(frozen=True, slots=True)
class Allotment:
    """Up to `n` tasks of one dataset and shape."""

    dataset: int
    shape: int
    n: int


def choose(demand: Sequence[Demand], shapes: Mapping[int, Shape], offer: Shape, limit: int) -> list[Allotment]:
    """Share `limit` places among datasets by priority; within a dataset, later tasks of the graph come first.

    Only shapes that fit the `offer` (one machine's whole resources) are chosen; shape 0 always is, to become known.
    No place stays empty while a fitting task is ready.
    """
    wanted: dict[int, dict[int, int]] = defaultdict(dict)
    weight: dict[int, float] = {}
    for item in sorted(demand, key=lambda item: (item.dataset, -item.task, item.shape)):
        if item.ready > 0 and (item.shape == 0 or shapes[item.shape].fits(offer)):
            of_dataset = wanted[item.dataset]
            of_dataset[item.shape] = of_dataset.get(item.shape, 0) + item.ready
            weight[item.dataset] = max(item.priority, 1e-6)
    places = fair_places({dataset: sum(of.values()) for dataset, of in wanted.items()}, weight, limit)
    allotments = []
    for dataset, left in places.items():
        rest = left
        for shape, ready in wanted[dataset].items():
            n = min(rest, ready)
            if n:
                allotments.append(Allotment(dataset, shape, n))
                rest -= n
    return allotments


def fair_places(wanted: Mapping[int, int], weight: Mapping[int, float], limit: int) -> dict[int, int]:
    """Divide `limit` places by weight, nobody getting more than wanted; what one does not need goes to the others.

    The rounds of max-min fairness (Bertsekas and Gallager, Data Networks, section 6.5.2), whole places by largest remainder.
    """
    places = dict.fromkeys(wanted, 0)
    left = min(limit, sum(wanted.values()))
    while left:
        hungry = [dataset for dataset in sorted(wanted) if places[dataset] < wanted[dataset]]
        whole = sum(weight[dataset] for dataset in hungry)
        shares = {dataset: left * weight[dataset] / whole for dataset in hungry}
        given = 0
        for dataset in hungry:
            n = min(int(shares[dataset]), wanted[dataset] - places[dataset])
            places[dataset] += n
            given += n
        left -= given
        if given == 0:
            for dataset in sorted(hungry, key=lambda dataset: (-shares[dataset], dataset))[:left]:
                places[dataset] += 1
                left -= 1
    return {dataset: n for dataset, n in places.items() if n}
