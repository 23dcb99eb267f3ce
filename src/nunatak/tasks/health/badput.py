"""Time spent on attempts, and how much of it was lost because they did not count: by dataset, site and cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from nunatak.tasks.health.events import Cause

LOST_TO: Mapping[Cause, str] = {
    Cause.NODE: "faults of nodes",
    Cause.ELSEWHERE: "failures on one node of what went well on another",
    Cause.SITE: "software, storage or network of a site",
    Cause.DATA: "inputs that were missing or wrong",
    Cause.USER: "errors of the tasks themselves",
    Cause.FREE: "evictions and lost nodes",
    Cause.OURS: "Nunatak itself",
    Cause.ASKED: "what people stopped",
}
"""What time was lost to. Everything but `ok` is lost; an attempt that only began has not spent anything yet."""


class Spent(NamedTuple):
    """Seconds of wall clock and of processors, and the attempts they were spent on."""

    wall: float = 0.0
    cpu: float = 0.0
    attempts: int = 0

    def plus(self, other: Spent) -> Spent:
        """Return the sum."""
        return Spent(self.wall + other.wall, self.cpu + other.cpu, self.attempts + other.attempts)


class Key(NamedTuple):
    """What is told apart."""

    dataset: int
    site: str
    cause: Cause


Account = Mapping[Key, Spent]
"""Time spent; accounts of parts add up to that of the whole."""


class Use(NamedTuple):
    """What one attempt used; `saved` seconds of its wall clock were kept by a checkpoint that a later attempt went on from."""

    dataset: int
    site: str
    cause: Cause
    wall: float = 0.0
    cpu: float = 0.0
    saved: float = 0.0


def entries(use: Use) -> list[tuple[Key, Spent]]:
    """Return what an attempt adds: what is saved of one that did not count is as good as done."""
    if use.cause is Cause.BEGUN:
        return []
    key = Key(use.dataset, use.site, use.cause)
    wall, cpu = max(0.0, use.wall), max(0.0, use.cpu)
    if use.cause is Cause.OK or use.saved <= 0 or wall == 0:
        return [(key, Spent(wall, cpu, 1))]
    part = min(1.0, use.saved / wall)
    kept = Spent(wall * part, cpu * part, 0)
    return [(key, Spent(wall * (1 - part), cpu * (1 - part), 1)), (key._replace(cause=Cause.OK), kept)]


def account(uses: Iterable[Use]) -> dict[Key, Spent]:
    """Add up what attempts used."""
    return total(dict(entries(use)) for use in uses)


def total(accounts: Iterable[Account]) -> dict[Key, Spent]:
    """Add up accounts; in order of key."""
    sums: dict[Key, Spent] = {}
    for one in accounts:
        for key, spent in one.items():
            sums[key] = sums[key].plus(spent) if key in sums else spent
    return dict(sorted(sums.items()))


def moved(use: Use, cause: Cause) -> dict[Key, Spent]:
    """Return what to add when an attempt turns out to have another cause: its time goes from one to the other."""
    taken = {key: Spent(-spent.wall, -spent.cpu, -spent.attempts) for key, spent in entries(use)}
    return total([taken, dict(entries(use._replace(cause=cause)))])


class Loss(NamedTuple):
    """What was lost of all that was spent."""

    lost: Spent
    spent: Spent

    @property
    def share(self) -> float:
        """Return the lost part of the wall clock time; 0 if nothing was spent."""
        return self.lost.wall / self.spent.wall if self.spent.wall > 0 else 0.0


def loss(of: Account) -> Loss:
    """Return what was lost in all."""
    lines = sorted(of.items())
    return Loss(_sum(value for key, value in lines if key.cause is not Cause.OK), _sum(value for _, value in lines))


def _sum(parts: Iterable[Spent]) -> Spent:
    columns = [*zip(*parts, strict=True)]
    return Spent(*map(sum, columns)) if columns else Spent()


def losses(of: Account, by: Literal["dataset", "site"]) -> dict[int | str, Loss]:
    """Return what was lost by dataset or by site, the largest loss first."""
    parts: dict[int | str, dict[Key, Spent]] = {}
    for key, value in sorted(of.items()):
        parts.setdefault(key.dataset if by == "dataset" else key.site, {})[key] = value
    found = {part: loss(values) for part, values in parts.items()}
    return dict(sorted(found.items(), key=lambda item: (-item[1].lost.wall, str(item[0]))))


def causes(of: Account) -> dict[Cause, Spent]:
    """Return what was lost by cause, the largest loss first."""
    sums: dict[Cause, Spent] = {}
    for key, value in sorted(of.items()):
        if key.cause is not Cause.OK:
            sums[key.cause] = sums.get(key.cause, Spent()).plus(value)
    return dict(sorted(sums.items(), key=lambda item: (-item[1].wall, item[0])))
