"""When many datasets are done, for lists: from kept counts and lessons alone, remembered for a moment."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nunatak.core.clock import iso
from nunatak.tasks.context import Context, shape_for
from nunatak.tasks.learning.eta import Eta, Work, eta
from nunatak.tasks.learning.evidence import Evidence
from nunatak.tasks.learning.tails import Running
from nunatak.tasks.looking.outlook import stuck

FRESH = 5.0
"""Seconds for which a forecast is taken as it is."""
OLD = 300.0
"""Seconds after which none is better than this one."""
AT_ONCE, AGAIN = 6, 2
"""Forecasts worked out for one page, and those of them that stand for one that is not fresh: the others come with its next
looks. One takes about 2 ms."""
MOST = 10_000

Counts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Pace:
    """What is known of a running dataset: counts by task, and what was seen of each task by its number in the plan."""

    context: Context
    counts: Counts
    evidence: Mapping[int, Evidence]


@dataclass(frozen=True, slots=True)
class _Kept:
    at: float
    eta: Eta | None


class Forecasts:
    """Remembers when datasets are done."""

    def __init__(self) -> None:
        """Begin with nothing remembered."""
        self._known: dict[int, _Kept] = {}
        self._lock = threading.Lock()

    def of(self, paces: Sequence[Pace], now: float) -> dict[int, dict[str, Any]]:
        """Return for each dataset, if known, seconds from now until it is done, as a range, and the times of day."""
        with self._lock:
            if len(self._known) > MOST:
                self._known.clear()
            for pace in self._due(paces, now):
                self._known[pace.context.dataset] = _Kept(now, eta(_work(pace), _slots(pace)))
            kept = {pace.context.dataset: self._known.get(pace.context.dataset) for pace in paces}
        return {
            dataset: _plain(found.eta, found.at, now)
            for dataset, found in kept.items()
            if found and found.eta and 0 <= now - found.at < OLD
        }

    def _due(self, paces: Sequence[Pace], now: float) -> list[Pace]:
        """Return those to be worked out now: those without a forecast that can be told, then the oldest."""
        ages = {pace.context.dataset: now - self._at(pace.context.dataset) for pace in paces}
        none = [pace for pace in paces if not 0 <= ages[pace.context.dataset] < OLD][:AT_ONCE]
        old = [pace for pace in paces if FRESH <= ages[pace.context.dataset] < OLD]
        old.sort(key=lambda pace: -ages[pace.context.dataset])
        return [*none, *old[: max(0, min(AGAIN, AT_ONCE - len(none)))]]

    def _at(self, dataset: int) -> float:
        found = self._known.get(dataset)
        return found.at if found else float("-inf")


def per_hour(pace: Pace) -> float | None:
    """Return how many tasks an hour are finished at the present pace: those running over how long such tasks took.

    Little's law; None if none runs, or none of those that run was seen to finish.
    """
    found = 0.0
    for number, task in enumerate(pace.context.plan.tasks):
        seen = pace.evidence.get(number, Evidence()).time.used
        mean = seen.mean() if seen.count else 0.0
        if mean > 0:
            found += pace.counts[task.name]["running"] * 3600 / mean
    return found or None


def _slots(pace: Pace) -> float:
    return float(sum(counts["running"] for counts in pace.counts.values()))


def _work(pace: Pace) -> list[Work]:
    """Return what is left. Ages of what runs are not read for a list: half of the usual time stands for all."""
    _, lost = stuck(pace.context, {"per_task": pace.counts})
    found = []
    for number, task in enumerate(pace.context.plan.tasks):
        counts, seen = pace.counts[task.name], pace.evidence.get(number, Evidence()).time.used
        age = seen.quantile(0.5) / 2 if seen.count else 0.0
        found.append(
            Work(
                task.name,
                tuple(pace.context.plan.parents[number]),
                task.once,
                waiting=counts["waiting"] - lost[number],
                ready=counts["ready"] + counts["queued"],
                running=(Running(age, counts["running"]),) if counts["running"] else (),
                took=seen,
                asked=float(shape_for(pace.context, number).time),
            )
        )
    return found


def _plain(found: Eta, at: float, now: float) -> dict[str, Any]:
    left = {name: max(1.0, getattr(found, name) - (now - at)) for name in ("low", "middle", "high")}
    return {**left, "high_at": iso(at + found.high), "low_at": iso(at + found.low), "guessed": list(found.guessed)}
