"""What people read of nodes, sites and lost time."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from nunatak.core.units import count_text, time_text
from nunatak.tasks.health.badput import LOST_TO, Account, causes, loss
from nunatak.tasks.health.drain import NEVER, Health, Standing
from nunatak.tasks.health.events import Node
from nunatak.tasks.health.features import Pair
from nunatak.tasks.health.standout import Finding

H = Health
DAY = 86_400


def because(finding: Finding, here: str = "its", there: str = "elsewhere") -> str:
    """Return the reason in numbers: `5 of its last 5 attempts ended in 1 s with 'exec format error'; elsewhere 3 of 412 did`.

    What others did has faded with time: the counts are those of the last hours.
    """
    bad, attempts = round(finding.bad), round(finding.attempts)
    in_time = f" in {_time(finding.wall)}" if finding.wall > 0 else ""
    on = f" on {finding.sources} nodes" if finding.sources > 1 else ""
    what = f"{bad} of {here} last {count_text(attempts, 'attempt')}{on} {_failed(finding.kind, in_time)}"
    others = round(finding.others)
    if not others:
        return f"{what}; {there} nobody has tried the same yet"
    return (
        f"{what}; {there} {round(finding.others_bad) or 'none'} of {others} {'failed' if not finding.kind else 'did'}"
    )


def node_sentence(node: Node, standing: Standing, now: float) -> str:
    """Say how a node stands, why, and what happens next."""
    return _sentence(
        f"{node.name} at {node.site}" if node.site else node.name, standing, now, because(standing.finding)
    )


def pair_sentence(pair: Pair, standing: Standing, now: float) -> str:
    """Say how a feature does at a site."""
    what = f"work with {pair.feature} at {pair.site}" if pair.feature else f"work at {pair.site}"
    return _sentence(what, standing, now, because(standing.finding, "the", "at other sites"))


def move(name: str, standing: Standing) -> str:
    """Say whose move it is and what to type; `name` is how the command line calls the node, as `siteA/node7`."""
    if standing.health is H.FINE:
        return ""
    undrain = f"nunatak node undrain {name}"
    if standing.by:
        return f"{standing.by}'s move; to give it work again: {undrain}"
    if standing.health is H.SUSPECT:
        return f"nothing to do; to give it work now: {undrain}"
    return f"the site's move: repair it; it is tried again by itself. To give it work now: {undrain}"


def spared_sentence(count: int, share: float) -> str:
    """Say that more stand out than are drained without a person."""
    nodes = "1 more node stands" if count == 1 else f"{count} more nodes stand"
    they = "it still gets" if count == 1 else "they still get"
    return (
        f"{nodes} out, but {they} work: no more than {100 * share:.0f} % of all are drained without a person."
        " Look at them: nunatak node ls; to drain one: nunatak node drain SITE/NODE"
    )


def badput_sentence(of: Account) -> str:
    """Say how much time was lost, and to what: `12 % of 3 d 4 h was lost: 8 h to evictions and lost nodes, ...`."""
    found = loss(of)
    if found.lost.wall <= 0:
        return f"nothing was lost of {time_text(found.spent.wall)}" if found.spent.wall else "no time was spent yet"
    parts = [f"{_time(spent.wall)} to {LOST_TO[cause]}" for cause, spent in causes(of).items() if spent.wall > 0]
    return f"{_percent(found.share)} of {_time(found.spent.wall)} was lost: {', '.join(parts)}"


def _sentence(what: str, standing: Standing, now: float, reason: str) -> str:
    since = _moment(standing.since, now)
    if standing.health is H.FINE:
        if standing.by and now < standing.until:
            return f"{what} gets work since {since}, by {standing.by}; it is left alone until {_moment(standing.until, now)}."
        return f"{what} is fine."
    if standing.by:
        end = "until someone undrains it" if standing.until == NEVER else f"until {_moment(standing.until, now)}"
        return f"{what} is drained since {since} by {standing.by}, {end}: {standing.reason or 'no reason was given'}."
    if standing.health is H.PROBING:
        return f"{what} is being probed since {since}, one task at a time: before that, {reason}."
    again = f"in {_time(max(standing.until - now, 0.0))}" if standing.until > now else "now"
    if standing.health is H.DRAINED:
        return f"{what} is drained since {since}: {reason}. Probed again {again}."
    return (
        f"{what} gets no new work since {since}: {reason}. It goes on as soon as others fail the same way,"
        f" is drained if they do not, and is probed {again} at the latest."
    )


def _failed(kind: str, in_time: str) -> str:
    return f"ended{in_time} with '{kind}'" if kind else f"failed{in_time}"


def _time(seconds: float) -> str:
    """Return seconds without more digits than anybody wants."""
    return time_text(max(1.0, round(seconds))) if seconds >= 0.95 else f"{max(seconds, 0.01):.1g} s"


def _percent(share: float) -> str:
    return "less than 1 %" if share < 0.01 else f"{100 * share:.0f} %"


def _moment(at: float, now: float) -> str:
    """Return a time of day in UTC, with the day if it is another one."""
    return _on_day(at, int(now // DAY))


@lru_cache(maxsize=10_000)
def _on_day(at: float, today: int) -> str:
    then = datetime.fromtimestamp(at, UTC)
    day = "" if at // DAY == today else f"{then.day} {then:%b} "
    return f"{day}{then:%H:%M} UTC"
