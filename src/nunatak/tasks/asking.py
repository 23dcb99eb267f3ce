"""What tasks of one name ask for since something was learnt, and how many may be tried at once: kept in `lessons.needs`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Self

from nunatak.core.work import Shape
from nunatak.datasets.plan import Growth, TaskPlan
from nunatak.tasks.learning.evidence import Evidence
from nunatak.tasks.learning.limits import Limits, Mode, limits_of
from nunatak.tasks.learning.needs import Needs, Policy, allowance, estimate
from nunatak.tasks.shapes import number_of
from nunatak.tasks.sharing.fits import Offer, fits

AMOUNTS = ("memory", "disk", "time")
"""What is learnt, and raised."""
LATER = 6
"""So many times as long as a probe is waited for, and any number may be tried."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What holds for one task of a dataset: `written` is the number of the shape in the first revision of its recipe.

    `anew` has the revisions since which its tasks are numbered anew (see `numbering`); then `written` is the number since
    the last of them, 0 where what is asked for depends on the job.
    Amounts are None while they are as written. `wall` is the mean of the seconds that attempts took, `at_once` how many
    may be live at a time (None: any number), `why` the reason of the last change. `instead` is what the present revision
    writes, if that is something else; `before` has the amounts of the revisions before it.
    """

    written: int
    memory: int | None = None  # bytes
    disk: int | None = None  # bytes
    time: int | None = None  # seconds
    wall: float | None = None
    at_once: int | None = None
    why: str = ""
    instead: Shape | None = None
    before: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    anew: tuple[int, ...] = ()

    def knows(self, number: int, shape: Shape) -> bool:
        """Tell whether a task with this number of its shape need not be numbered anew."""
        return not self.anew or number == number_of(shape, self.anew[-1])

    def shape(self, written: Shape) -> Shape:
        """Return what is asked for in place of what is written."""
        memory, disk, time = (
            old if new is None else new
            for old, new in ((written.memory, self.memory), (written.disk, self.disk), (written.time, self.time))
        )
        return replace(written, memory=memory, disk=disk, time=time)

    def present(self, number: int, shape: Shape) -> Shape:
        """Return what the present revision writes for a task of this shape.

        Of one that was raised since, the amounts it was raised to hold where more is not written.
        """
        if self.instead is None or not self.knows(number, shape):
            return shape
        if number == self.written:
            return self.instead
        memory, disk, time = (self._raised(name, getattr(shape, name)) for name in AMOUNTS)
        return replace(self.instead, memory=memory, disk=disk, time=time)

    def _raised(self, name: str, amount: int) -> int:
        now: int = getattr(self.instead, name)
        return now if amount in self.before.get(name, ()) else max(now, amount)

    def to_text(self) -> str:
        """Return what is kept in the database."""
        return json.dumps({key: value for key, value in asdict(self).items() if value not in (None, "", {}, ())})

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what `to_text` wrote."""
        plain = json.loads(text)
        if "instead" in plain:
            plain["instead"] = Shape.from_plain(plain["instead"])
        plain["before"] = {name: tuple(amounts) for name, amounts in plain.get("before", {}).items()}
        plain["anew"] = tuple(plain.get("anew", ()))
        return cls(**plain)


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
    if task.learn == Mode.OFF or task.shape is None or (learnt and not learnt.written):
        return learnt, evidence, None
    learnt = learnt or Learnt(number_of(task.shape))
    written = learnt.instead or task.shape
    asked = learnt.shape(written)
    needs = _needs(task, written, asked, evidence, offers)
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


def asked_for(number: int, shape: Shape, learnt: Learnt) -> Shape | None:
    """Return what a task of this shape asks for: what was learnt, but of a raised one never less than it was raised to.

    None: it has to be numbered anew first.
    """
    if not learnt.knows(number, shape):
        return None
    written = learnt.present(number, shape)
    if not learnt.written:
        return written
    if number == learnt.written:
        return learnt.shape(written)
    return replace(
        written,
        memory=max(written.memory, learnt.memory or 0),
        disk=max(written.disk, learnt.disk or 0),
        time=max(written.time, learnt.time or 0),
    )


def revised(base: Shape, learnt: Learnt | None, written: Shape) -> Learnt:
    """Return what holds when a new revision writes `written`; `base` is the shape in the first one.

    What was learnt of an amount that is written anew counts no more: a person has decided. The rest stays.
    """
    learnt = learnt or Learnt(number_of(base))
    old = learnt.instead or base
    anew = {name for name in AMOUNTS if getattr(old, name) != getattr(written, name)}
    memory, disk, time = (None if name in anew else getattr(learnt, name) for name in AMOUNTS)
    before = {
        name: tuple(dict.fromkeys((*learnt.before.get(name, ()), getattr(base, name), getattr(old, name))))
        for name in AMOUNTS
    }
    why = "" if anew else learnt.why
    return replace(learnt, memory=memory, disk=disk, time=time, instead=written, before=before, why=why)


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
