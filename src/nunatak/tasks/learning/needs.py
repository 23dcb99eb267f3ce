"""What a task asks for: first what the user wrote, by one job alone; then what attempts were seen to need, with a margin."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from nunatak.core.units import memory_text, time_text
from nunatak.core.work import Shape
from nunatak.tasks.learning.evidence import Evidence, Quantity, Seen, asked_of
from nunatak.tasks.learning.limits import Limits


@dataclass(frozen=True, slots=True)
class Rule:
    """How much of one quantity to ask for: a quantile of what was used, and a margin that shrinks as evidence grows.

    `rare` is the share of attempts that may be left to a retry that asks for more; 0 asks for as much as any attempt used.
    """

    share: float
    margin: float  # in the end
    first: float  # added after one attempt, and with the root of their number less
    least: int  # bytes or seconds: asking for less gains nothing
    known: int = 1  # attempts to have finished before less is asked for
    rare: float = 0.0

    def margin_at(self, count: int) -> float:
        """Return the margin after so many attempts, as a share."""
        return self.margin + self.first / math.sqrt(count)


RULES = {
    Quantity.MEMORY: Rule(0.95, 0.15, 0.35, 128_000_000),
    Quantity.DISK: Rule(0.95, 0.2, 0.5, 128_000_000),
    Quantity.TIME: Rule(0.99, 0.5, 2.0, 300, known=20),
}
"""Memory and disk differ little from job to job; times have heavy tails, and an attempt that is cut off is lost."""
LARGEST = 0.05
"""The margin above the largest amount that was used: the next record is seldom far away."""


@dataclass(frozen=True, slots=True)
class Policy:
    """When what is asked for is changed. A new shape splits the pool of interchangeable tasks, so it has to be worth it."""

    rules: Mapping[Quantity, Rule] = field(default_factory=lambda: RULES)
    beyond: float = 0.5  # how much more to ask for than what was not enough
    less: float = 0.2  # by which share something has to go down
    more: float = 0.1  # or up
    growth: float = 2.0  # how many times as many attempts must have finished since the last change
    probes: int = 1  # attempts at once before the first has ended
    trials: int = 20  # attempts at once while none has finished well


@dataclass(frozen=True, slots=True)
class Change:
    """What is asked for changes, and why."""

    quantity: Quantity
    before: int
    after: int
    why: str

    @property
    def text(self) -> str:
        """Return it in words: `memory 4 GB -> 1.6 GB: p95 of 57 attempts is 1.3 GB, +20 %`."""
        return f"{self.quantity} {_text(self.quantity, self.before)} -> {_text(self.quantity, self.after)}: {self.why}"


@dataclass(frozen=True, slots=True)
class Needs:
    """What to ask for from now on. Without `changes` it is what was asked for so far."""

    shape: Shape
    changes: tuple[Change, ...] = ()
    short: tuple[str, ...] = ()  # what is needed beyond the limits, in words

    @property
    def text(self) -> str:
        """Return all reasons in words."""
        return "; ".join([*(change.text for change in self.changes), *self.short])


def estimate(evidence: Evidence, asked: Shape, limits: Limits, policy: Policy | None = None) -> Needs:
    """Return what to ask for, given what is asked for now.

    Never less than an attempt was seen to need, nor beyond the limits. It changes at once where too little is asked for;
    otherwise only where it is worth it and the evidence has grown, so that the number of changes grows as its logarithm.
    """
    policy = policy or Policy()
    grown = evidence.finished >= max(1, policy.growth * evidence.settled)
    if not grown and not any(_presses(evidence.of(of), of, asked, limits, policy) for of in Quantity):
        return Needs(asked)
    changes, short, must = [], [], False
    for quantity in Quantity:
        seen, now = evidence.of(quantity), asked_of(asked, quantity)
        wanted, why = _wanted(seen, quantity, policy)
        if not why:
            continue
        most = asked_of(limits.most, quantity)
        after = max(min(round_up(wanted, quantity), most), asked_of(limits.least, quantity))
        if _too_little(seen, most, policy.rules[quantity]):
            short.append(_short(quantity, wanted, most, why))
        if after > now or (after < now and seen.used.count >= policy.rules[quantity].known):
            changes.append(Change(quantity, now, after, why))
            must = must or (after > now and _too_little(seen, now, policy.rules[quantity]))
    if not must and not (grown and any(_worth(change, policy) for change in changes)):
        return Needs(asked, short=tuple(short))
    return Needs(_changed(asked, changes), tuple(changes), tuple(short))


def _changed(asked: Shape, changes: Sequence[Change]) -> Shape:
    after = {change.quantity: change.after for change in changes}
    memory, disk = after.get(Quantity.MEMORY, asked.memory), after.get(Quantity.DISK, asked.disk)
    return replace(asked, memory=memory, disk=disk, time=after.get(Quantity.TIME, asked.time))


def allowance(evidence: Evidence, policy: Policy | None = None) -> int | None:
    """Return how many attempts of a task may be live at once, None for any number.

    One tries alone. If it fails, no more go than it takes to see that all fail the same way; while it only ran out of
    something and asks for more, one is enough. Once one has finished, all go.
    """
    policy = policy or Policy()
    if evidence.finished:
        return None
    ran_out = sum(evidence.of(quantity).overs for quantity in Quantity)
    return policy.trials if evidence.ended > ran_out else policy.probes


def round_up(amount: float, quantity: Quantity) -> int:
    """Round up to steps of at most a sixteenth, multiples of those of `Shape.rounded`: near estimates share one shape."""
    step = (10 if amount <= 290 else 60) if quantity is Quantity.TIME else 64_000_000
    while step * 32 <= amount:
        step *= 2
    return math.ceil(amount / step) * step


def _wanted(seen: Seen, quantity: Quantity, policy: Policy) -> tuple[float, str]:
    """Return how much is needed and why; no reason while nothing is known."""
    rule, count = policy.rules[quantity], seen.used.count
    wanted, why = 0.0, ""
    if count:
        usual, margin = seen.used.quantile(rule.share), rule.margin_at(count)
        whose = "the first attempt used" if count == 1 else f"p{100 * rule.share:.0f} of {count} attempts is"
        wanted, why = usual * (1 + margin), f"{whose} {_text(quantity, usual)}, +{100 * margin:.0f} %"
    if _floor(seen, rule) * (1 + LARGEST) > wanted:
        wanted = _floor(seen, rule) * (1 + LARGEST)
        why = f"an attempt used {_text(quantity, _floor(seen, rule))}, +{100 * LARGEST:.0f} %"
    enough = seen.over * (1 + policy.beyond)
    if _ran_out(seen, rule) and enough > wanted:
        wanted, why = enough, f"{_text(quantity, seen.over)} was not enough, +{100 * policy.beyond:.0f} %"
    return max(wanted, rule.least), why


def _floor(seen: Seen, rule: Rule) -> float:
    """Return the least to ask for: what any attempt needed, or all but the rare ones, once there are enough to say so."""
    if rule.rare * seen.used.count >= 3:
        return seen.used.quantile(1 - rule.rare)
    return seen.most


def _ran_out(seen: Seen, rule: Rule) -> bool:
    """Tell whether the largest amount that was not enough is still to be believed: none that finished used more."""
    return seen.overs > rule.rare * seen.used.count and seen.over >= seen.used.most


def _too_little(seen: Seen, now: int, rule: Rule) -> bool:
    return now < _floor(seen, rule) or (_ran_out(seen, rule) and now <= seen.over)


def _presses(seen: Seen, quantity: Quantity, asked: Shape, limits: Limits, policy: Policy) -> bool:
    """Tell whether more is needed than is asked for, or than may be: that is looked at however little is new."""
    most = min(asked_of(asked, quantity), asked_of(limits.most, quantity))
    return _too_little(seen, most, policy.rules[quantity])


def _worth(change: Change, policy: Policy) -> bool:
    less, more = change.before * (1 - policy.less), change.before * (1 + policy.more)
    return change.after <= less or change.after >= more


def _text(quantity: Quantity, amount: float) -> str:
    return time_text(amount) if quantity is Quantity.TIME else memory_text(amount)


def _short(quantity: Quantity, wanted: float, most: int, why: str) -> str:
    return f"{quantity}: about {_text(quantity, wanted)} is needed ({why}), but {_text(quantity, most)} is the limit"
