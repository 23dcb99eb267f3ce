"""What tasks of one name ask for since something was learnt, and how many may be tried at once: kept in `lessons.needs`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Self

from nunatak.core.work import Shape
from nunatak.datasets.plan import Growth, TaskPlan
from nunatak.tasks.learning.evidence import Evidence
from nunatak.tasks.learning.limits import Limits, Mode, limits_of
from nunatak.tasks.learning.needs import Needs, Policy, allowance, estimate
from nunatak.tasks.shapes import number_of
from nunatak.tasks.sharing.fits import Offer, fits

LATER = 6
"""So many times as long as a probe is waited for, and any number may be tried."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What holds for one task of a dataset: `written` is the number of the shape in the recipe.

    Amounts are None while they are as written. `wall` is the mean of the seconds that attempts took, `at_once` how many
    may be live at a time (None: any number), `why` the reason of the last change.
    """

    written: int
    memory: int | None = None  # bytes
    disk: int | None = None  # bytes
    time: int | None = None  # seconds
    wall: float | None = None
    at_once: int | None = None
    why: str = ""

    def shape(self, written: Shape) -> Shape:
        """Return what is asked for in place of what is written."""
        memory, disk, time = (
            old if new is None else new
            for old, new in ((written.memory, self.memory), (written.disk, self.disk), (written.time, self.time))
        )
        return replace(written, memory=memory, disk=disk, time=time)

    def to_text(self) -> str:
        """Return what is kept in the database."""
        return json.dumps({key: value for key, value in asdict(self).items() if value not in (None, "")})

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what `to_text` wrote."""
        return cls(**json.loads(text))


def begin(task: TaskPlan, jobs: int, policy: Policy | None = None) -> Learnt | None:
    """Return what holds for a task of a new dataset of so many jobs; None if nothing is learnt of it.

    One is tried alone, unless there are no more than would be tried before one has finished in any case.
    """
    if task.learn == Mode.OFF or task.shape is None:
        return None
    policy = policy or Policy()
    alone = not task.once and jobs > policy.trials
    return Learnt(number_of(task.shape), at_once=policy.probes if alone else None)


def learn(
    task: TaskPlan, learnt: Learnt | None, evidence: Evidence, offers: Sequence[Offer]
) -> tuple[Learnt | None, Evidence, Needs | None]:
    """Return what holds now that evidence has grown, and the change of needs if there is one.

    `offers` are what engines have at most: where one could take what is written, one can take what is asked for then.
    """
    if task.learn == Mode.OFF or task.shape is None:
        return learnt, evidence, None
    learnt = learnt or Learnt(number_of(task.shape))
    asked = learnt.shape(task.shape)
    needs = _needs(task, task.shape, asked, evidence, offers)
    at_once = None if learnt.at_once is None else allowance(evidence)
    wall = _about(evidence.time.used.mean()) if evidence.finished else None
    learnt = replace(learnt, at_once=at_once, wall=wall, why=needs.text or learnt.why)
    if not needs.changes:
        return learnt, evidence, None
    learnt = replace(learnt, memory=needs.shape.memory, disk=needs.shape.disk, time=needs.shape.time)
    return learnt, replace(evidence, settled=evidence.finished), needs


def _about(seconds: float | None) -> float | None:
    """Round to two figures: what is worked out from this text is remembered, and would not be with each mean anew."""
    return None if seconds is None else float(f"{seconds:.2g}")


def _needs(task: TaskPlan, written: Shape, asked: Shape, evidence: Evidence, offers: Sequence[Offer]) -> Needs:
    """Estimate needs within what engines have that could take what is written, all quantities at once."""
    able = [offer for offer in offers if fits(written, offer)]
    limits = _limits(task, written, largest_of([offer.shape for offer in able or offers]))
    needs = estimate(evidence, asked, limits)
    if not able or any(fits(needs.shape, offer) for offer in able):
        return needs
    most = max((offer.shape for offer in able), key=lambda shape: _part(needs.shape, shape))
    return estimate(evidence, asked, replace(limits, most=_least_of(limits.most, most)))


def _part(wanted: Shape, most: Shape) -> float:
    """Return which part of what is wanted there is at least, of the quantity that is shortest."""
    pairs = (wanted.memory, most.memory), (wanted.disk, most.disk), (wanted.time, most.time)
    return min(have / want if want else 1.0 for want, have in pairs)


def _least_of(one: Shape, other: Shape) -> Shape:
    """Return the lesser of each quantity that is learnt."""
    memory, disk, time = min(one.memory, other.memory), min(one.disk, other.disk), min(one.time, other.time)
    return replace(one, memory=memory, disk=disk, time=time)


def _limits(task: TaskPlan, written: Shape, largest: Shape | None) -> Limits:
    """Return how far needs may be learnt: as far as retries may raise them, or in mode `auto` as far as there is more."""
    retry = task.retry
    most = largest or Shape(memory=0, disk=0, time=0)
    return limits_of(
        written,
        Mode(task.learn),
        _most(retry.memory, most.memory),
        largest,
        disk_most=_most(retry.disk, most.disk),
        time_most=_most(retry.time, most.time),
    )


def _most(growth: Growth, largest: int) -> int:
    """Return up to where retries may raise an amount; 0 if they may not."""
    if growth.factor <= 1:
        return 0
    return min(growth.most, largest) if growth.most and largest else growth.most or largest


def largest_of(offers: Sequence[Shape]) -> Shape | None:
    """Return the most that is offered of each quantity."""
    if not offers:
        return None
    return replace(
        offers[0],
        memory=max(offer.memory for offer in offers),
        disk=max(offer.disk for offer in offers),
        time=max(offer.time for offer in offers),
    )


def asked_for(number: int, shape: Shape, learnt: Learnt) -> Shape:
    """Return what a task of this shape asks for: what was learnt, but of a raised one never less than it was raised to."""
    wanted = learnt.shape(shape)
    if number == learnt.written:
        return wanted
    return replace(
        shape,
        memory=max(shape.memory, learnt.memory or 0),
        disk=max(shape.disk, learnt.disk or 0),
        time=max(shape.time, learnt.time or 0),
    )


def room(learnt: Learnt, live: int, begun: float | None, now: float, wait: float, trials: int = Policy().trials) -> int:
    """Return how many more attempts may be tried while `live` are, by what was learnt; -1 for any number.

    `begun` is when the first was given to an engine, `wait` the seconds for which it is waited for: then as many go as
    after a failure, and in the end any number, so that a task of a day does not keep a pool waiting.
    """
    at_once = learnt.at_once
    waited = 0.0 if begun is None else now - begun
    if at_once is None or waited > LATER * wait:
        return -1
    if waited > wait:
        at_once = max(at_once, trials)
    return max(0, at_once - live)
