"""The standing of a node (or of a pair of feature and site): who may get work, and when it is tried again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple, Self

from nunatak.core.errors import Conflict
from nunatak.tasks.health.standout import NOTHING, Answer, Finding

NEVER = float("inf")

Uniform = Callable[[], float]
"""Returns a random number in [0, 1)."""


class Health(StrEnum):
    """Whether a node gets work."""

    FINE = "fine"
    SUSPECT = "suspect"  # no new work until others have tried the same
    DRAINED = "drained"  # no new work
    PROBING = "probing"  # one task at a time


H = Health
CHANGES: Mapping[Health, Mapping[Health, str]] = {
    H.FINE: {H.SUSPECT: "it fails, and nobody else has tried the same", H.DRAINED: "it stands out, or by hand"},
    H.SUSPECT: {
        H.FINE: "others fail the same way, or by hand",
        H.DRAINED: "others do the same well, or by hand",
        H.PROBING: "nobody tried the same in time",
    },
    H.DRAINED: {H.PROBING: "time for a probe", H.FINE: "by hand, or the end that was set by hand"},
    H.PROBING: {
        H.FINE: "the probe went well, or by hand",
        H.DRAINED: "the probe failed, or by hand",
        H.SUSPECT: "the probe failed, and still nobody else has tried the same",
    },
}
"""Every allowed change, with what causes it."""

OUT = frozenset({H.SUSPECT, H.DRAINED})
"""Where nothing new is sent."""


class Policy(NamedTuple):
    """How long a node stays out, in seconds, and how many may be out."""

    first: float = 600.0  # until the first probe
    factor: float = 2.0  # by which this grows with every failed probe, and with a relapse
    most: float = 86400.0
    jitter: float = 0.2  # part by which an interval is longer or shorter, so that probes do not come together
    calm: float = 86400.0  # being well for so long, all is forgotten
    grace: float = 3600.0  # for which a node is left alone after it was undrained by hand
    share: float = 0.3  # of a pool that may be out without a person, though always one

    def interval(self, level: int, uniform: float) -> float:
        """Return the time until the next probe; `uniform` is a random number in [0, 1)."""
        return min(self.first * self.factor ** min(level, 60), self.most) * (1 + self.jitter * (2 * uniform - 1))


POLICY = Policy()


class Pool(NamedTuple):
    """How many nodes there are, and how many of them are not fine."""

    known: int
    out: int

    def room(self, to: Health, share: float) -> bool:
        """Tell whether one more may be taken out: never the last one, and on suspicion only where two others are left."""
        least = 2 if to is H.DRAINED else 3
        return self.known - self.out >= least and self.out + 1 <= max(1.0, share * self.known)


class Standing(NamedTuple):
    """How a node stands: since when, and until when if nothing happens.

    `level` counts the times it was taken out without being well for long in between. `by` is the person who decided,
    "" for us; `reason` their words. `finding` has the numbers of our reason; `proven` tells whether it stood out.
    """

    health: Health = H.FINE
    since: float = 0.0
    until: float = NEVER
    level: int = 0
    proven: bool = False
    by: str = ""
    reason: str = ""
    finding: Finding = NOTHING

    def to_plain(self) -> list[Any]:
        """Return JSON-able values; no end is None."""
        return [self.health, self.since, None if self.until == NEVER else self.until, *self[3:]]

    @classmethod
    def from_plain(cls, plain: list[Any]) -> Self:
        """Read what `to_plain` wrote, also after it went through JSON."""
        health, since, until, level, proven, by, reason, finding = plain
        numbers = Finding(Answer(finding[0]), *finding[1:])
        return cls(Health(health), since, NEVER if until is None else until, level, proven, by, reason, numbers)


FINE = Standing()


def decide(now_is: Standing, finding: Finding, pool: Pool, now: float, uniform: float, policy: Policy) -> Standing:
    """Decide on a node that works or is suspected, from the comparison; what a person decided holds as long as it lasts.

    `pool.out` does not count the node itself.
    """
    if now_is.health not in (H.FINE, H.SUSPECT) or (now_is.by and now < now_is.until):
        return now_is
    wanted = {Answer.STANDS_OUT: H.DRAINED, Answer.UNEXPLAINED: H.SUSPECT}.get(finding.answer, H.FINE)
    if wanted is now_is.health:
        return now_is
    if wanted is H.FINE:
        return _change(now_is, H.FINE, now, level=now_is.level)
    if not pool.room(wanted, policy.share):
        return now_is
    level = 0 if now_is.health is H.FINE and now - now_is.since > policy.calm else now_is.level
    until = now + policy.interval(level, uniform)
    return _change(now_is, wanted, now, until=until, level=level, finding=finding, proven=wanted is H.DRAINED)


def probed(now_is: Standing, well: bool, now: float, uniform: float, policy: Policy) -> Standing:
    """Decide after a probe: all is well, or it stays out for longer."""
    if now_is.health is not H.PROBING:
        return now_is
    level = now_is.level + 1  # kept when all is well: a relapse soon after is taken out for longer
    if well:
        return _change(now_is, H.FINE, now, level=level)
    to = H.DRAINED if now_is.proven else H.SUSPECT
    until = now + policy.interval(level, uniform)
    return _change(now_is, to, now, until=until, level=level, finding=now_is.finding, proven=now_is.proven)


def when_due(now_is: Standing, now: float, policy: Policy) -> Standing:
    """Return what a standing becomes when its time is over."""
    if now < now_is.until:
        calm = now_is.health is H.FINE and not now_is.by and now_is.level and now - now_is.since > policy.calm
        return FINE if calm else now_is
    if now_is.by:  # the end of what a person decided
        return FINE
    if now_is.health in OUT:
        kept = {"level": now_is.level, "finding": now_is.finding, "proven": now_is.proven}
        return _change(now_is, H.PROBING, now, **kept)
    return now_is


def drain_by_hand(now_is: Standing, who: str, reason: str, now: float, until: float = NEVER) -> Standing:
    """Take a node out for a person, for good or until a time; it is not probed.

    Raises `Conflict` if a person has done so already.
    """
    if now_is.health is H.DRAINED and now_is.by:
        raise Conflict(
            f"it is drained already, by {now_is.by}: {now_is.reason or 'no reason was given'}",
            code="drained-already",
            hint="undrain it first to change the reason or the end",
        )
    if now_is.health is H.DRAINED:
        return now_is._replace(until=until, by=who, reason=reason)
    return _change(now_is, H.DRAINED, now, until=until, by=who, reason=reason)


def undrain_by_hand(now_is: Standing, who: str, now: float, policy: Policy = POLICY) -> Standing:
    """Give a node work again for a person, and leave it alone for `policy.grace`. The board should forgive it.

    Raises `Conflict` if it gets work as it is.
    """
    if now_is.health is H.FINE:
        raise Conflict("it is not drained", code="not-drained", hint="nunatak node ls shows how nodes stand")
    return _change(now_is, H.FINE, now, until=now + policy.grace, by=who)


def _change(now_is: Standing, to: Health, now: float, **more: Any) -> Standing:
    """Make a standing anew; raises `Conflict` for a change that the table does not have."""
    if to not in CHANGES[now_is.health]:
        raise Conflict(f"a node that is {now_is.health} cannot become {to}", code="bad-change")
    return Standing(to, now, **more)
