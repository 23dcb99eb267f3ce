"""What would be if: a live dataset simulated as it is and with a change, over a few seeds, and the difference in words."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nunatak.core.errors import Conflict
from nunatak.core.units import count_text, time_text
from nunatak.datasets.plan import Plan
from nunatak.simulation.campaign import HOUR, Campaign
from nunatak.simulation.copy import MOST, Copy, Rule
from nunatak.simulation.resources import Resource

SEEDS = 5
GRAIN = 25
"""Coarser steps than a single campaign has: there are many."""
SAME = 0.02
"""A smaller change of the finish time is none: the simulation is not better than that."""


@dataclass(frozen=True, slots=True)
class Change:
    """What would be otherwise: more engines, another priority of the dataset, other weights."""

    engines: tuple[Resource, ...] = ()
    priority: float | None = None
    weights: tuple[Rule, ...] = ()

    @property
    def text(self) -> str:
        """Say it in words."""
        said = [f"{count_text(of.slots, 'slot')} more at {of.site}" for of in self.engines]
        if self.priority is not None:
            said.append(f"priority {self.priority:g}")
        said += [f"weight {rule.weight:g} for {rule.kind} {rule.name}" for rule in self.weights]
        return " and ".join(said)


@dataclass(frozen=True, slots=True)
class Range:
    """Hours until the dataset is done, over all seeds in which it was, and how busy engines were; `undone` counts the others."""

    hours: tuple[float, ...]
    undone: int
    utilisation: float
    reasons: tuple[str, ...] = ()

    @property
    def middle(self) -> float | None:
        """Return the median; None where it was not done in most."""
        return statistics.median(self.hours) if len(self.hours) > self.undone else None

    @property
    def text(self) -> str:
        """Say it in words."""
        if self.middle is None:
            return "it does not get done" + (f" ({self.reasons[0]})" if self.reasons else "")
        low, high = time_text(min(self.hours) * HOUR), time_text(max(self.hours) * HOUR)
        return f"done in {low}" if low == high else f"done in {low} to {high}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A dataset as it is and with a change. `notes` say what the simulation left out or made smaller."""

    dataset: int
    change: str
    now: Range
    changed: Range
    notes: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """Return the difference in words."""
        before, after = self.now.middle, self.changed.middle
        if after is None:
            return "that does not get it done" if before is None else "then it would not get done"
        if before is None:
            return "then it would get done"
        gain = before - after
        if abs(gain) <= SAME * before:
            return "that makes no difference to speak of"
        word = "sooner" if gain > 0 else "later"
        return f"{_about(abs(gain) * HOUR)} ({abs(gain) / before:.0%}) {word}"

    def to_plain(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        sides = {"now": self.now, "changed": self.changed}
        said = {name: {**asdict(side), "middle": side.middle, "text": side.text} for name, side in sides.items()}
        own = {"dataset": self.dataset, "change": self.change, "sentence": self.sentence, "notes": list(self.notes)}
        return {**own, **said}


def _about(seconds: float) -> str:
    """Say how long, no more exactly than a simulation knows."""
    step = next((step for least, step in ((86_400, 3600), (7200, 600), (60, 60)) if seconds >= least), 1)
    return time_text(step * round(seconds / step))


def compare(
    snapshot: Mapping[str, Any], plan: Plan, change: Change, seeds: Sequence[int] = range(SEEDS), most: int = MOST
) -> Comparison:
    """Simulate a snapshot as it is and with a change, or a copy of at most `most` tasks.

    Raises `Conflict` where nothing is left to simulate.
    """
    if not any(task["left"] for task in snapshot["tasks"]):
        hint = f"nunatak status {snapshot['dataset']} says where it is"
        raise Conflict(f"nothing is left to do in dataset {snapshot['dataset']}", code="nothing-left", hint=hint)
    copy = Copy(snapshot, plan, most)
    now = [_run(copy, Change(), seed) for seed in seeds]
    then = [_run(copy, change, seed) for seed in seeds]
    return Comparison(int(snapshot["dataset"]), change.text, _range(now), _range(then), copy.notes())


@dataclass(frozen=True, slots=True)
class _Run:
    hours: float | None
    utilisation: float
    reason: str


def _run(copy: Copy, change: Change, seed: int) -> _Run:
    with Campaign(copy.habit, seed=seed, grain=GRAIN) as campaign:
        for resource in (*copy.engines(), *map(copy.smaller, change.engines)):
            campaign.add(resource)
        dataset = copy.begin(campaign, change.priority, change.weights)
        campaign.run(enough=lambda: campaign.done(dataset))
        ended = campaign.house.ended(dataset)
        cores = sum(carrier.resource.total.cpu for carrier in campaign.carriers.values())
        busy = sum(carrier.busy for carrier in campaign.carriers.values())
        used = min(1.0, busy / max(1e-9, cores * campaign.moved))
        hours = None if ended is None else copy.stretch * (ended - campaign.begin) / HOUR
        return _Run(hours, used, next(iter([*campaign.lacks(), campaign.house.reason(dataset)]), ""))


def _range(runs: Sequence[_Run]) -> Range:
    hours = tuple(run.hours for run in runs if run.hours is not None)
    reasons = tuple(sorted({run.reason for run in runs if run.hours is None and run.reason}))
    return Range(hours, len(runs) - len(hours), statistics.mean(run.utilisation for run in runs), reasons)
