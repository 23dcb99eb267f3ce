"""The values of choosing in plain words: where one stands, which cap stops it, which slots could take it."""

from __future__ import annotations

from nunatak.core.units import count_text
from nunatak.tasks.sharing.match import Excluded, Failure, Match, Nearest, place
from nunatak.tasks.sharing.model import Bound
from nunatak.tasks.sharing.standing import Standing

NAMED_MOST = 3
AMOUNTS = frozenset({"cpu", "gpu", "memory", "disk", "time", "gpu memory", "gpu capability"})
KEYS = {
    "system": "needs.platform",
    "arch": "needs.platform",
    **{k: f"needs.{k}" for k in ("cpu", "gpu", "memory", "disk", "time")},
}
"""Where a recipe says what a condition is made of; all others are made of features."""


def ordinal(number: int) -> str:
    """Return 1st, 2nd, 3rd, 11th."""
    last = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{last}"


def percent(part: float) -> str:
    """Return a part as people say it: `71 %`, `0.4 %`, `less than 0.1 %`."""
    if 0 < part < 0.001:
        return "less than 0.1 %"
    return f"{100 * part:.0f} %" if part >= 0.0995 or part == 0 else f"{100 * part:.2g} %"


def standing_text(standing: Standing) -> str:
    """Say where a dataset stands: `3rd of 12 datasets: group icecube has used 71 % of its share; ahead: 41 (alice)`."""
    if standing.of == 1:
        return "no other dataset wants the slots that could take it"
    names = (f"group {standing.group}" if standing.group else "work without a group", standing.user, "this dataset")
    used = [
        f"{name} has used {percent(r)} of its share"
        for name, r in zip(names, standing.used, strict=True)
        if r is not None
    ]
    parts = [", ".join(used), f"it gets about {percent(standing.part)} of the next places"]
    if standing.ahead:
        named = ", ".join(f"{dataset} ({user})" for dataset, user in standing.ahead[:NAMED_MOST])
        rest = len(standing.ahead) - NAMED_MOST
        parts.append(f"ahead: {named}" + (f" and {rest} more" if rest > 0 else ""))
    said = "; ".join(part for part in parts if part)
    of = count_text(standing.of, "dataset that wants", "datasets that want")
    return f"{ordinal(standing.rank)} of {of} such slots: {said}"


def cap_text(bound: Bound) -> str:
    """Say that a cap allows no more tasks: `user alice has 500 tasks queued or running, the most it may have`."""
    kind, name = bound.owner
    cap, busy = bound.cap, bound.busy
    both = busy.queued + busy.running
    if cap.running is not None and both >= cap.running:
        what, n, most = "queued or running", both, cap.running
    else:
        what, n, most = "queued", busy.queued, cap.queued or 0
    over = "" if n == most else f" of {most}"
    tasks = "task" if most == 1 else "tasks"
    if not most:
        return f"{kind} {name} may have no tasks {what}: an operator's cap stops it"
    return (
        f"{kind} {name} has {n}{over} {tasks} {what}, the most it may have: the next starts when one ends,"
        " or when an operator raises the cap"
    )


def match_text(match: Match) -> list[str]:
    """Say which slots could take a task, or that none can, which nearly could, and what excludes how many."""
    if not match.total:
        return ["no engine is running: start one with nunatak up or nunatak serve engine"]
    reasons = [excluded_text(item, match.total) for item in match.excluded]
    if match.able:
        names = sorted({place(offer) for offer in match.able})
        rest = f" and {len(names) - NAMED_MOST} more" if len(names) > NAMED_MOST else ""
        could = f"{match.slots} of {count_text(match.total, 'slot')} could take it, at {', '.join(names[:NAMED_MOST])}{rest}"
        return [could, *reasons]
    assert match.nearest is not None
    return [nearest_text(match.nearest), *reasons]


def excluded_text(item: Excluded, total: int) -> str:
    """Say what one condition excludes: `needs 64 GB of memory: the largest slot has 48 GB, at desy`."""
    kind, _, _ = item.condition.partition(" ")
    how_many = f"excludes {item.slots} of {count_text(total, 'slot')}"
    if item.condition == "drained":
        return f"nodes that get no work for now, most at {item.where}: {how_many}"
    if item.condition == "not site":
        return f"may not run at {item.wanted}: {how_many}"
    if kind == "site":
        return f"may run at {item.wanted} only: {how_many}"
    if kind == "fails":
        return f"{item.wanted} was seen to fail at {item.where}: {how_many}"
    if item.condition in AMOUNTS and item.slots == total:
        return f"needs {item.wanted}: the largest slot has {item.best}, at {item.where}"
    return f"needs {item.wanted}: {how_many}"


def nearest_text(nearest: Nearest) -> str:
    """Say that no slot can take it, which nearly could, and what to change."""
    where = place(nearest.offer)
    if not nearest.failures:
        return f"no slot takes it now: those at {where} could, but their nodes get no work for now"
    lacks = " and ".join(_lack(failure) for failure in nearest.failures)
    keys = ", ".join(sorted({KEYS.get(failure.condition, "needs.features") for failure in nearest.failures}))
    return (
        f"no engine offers what it needs: the nearest, at {where}, {lacks};"
        f" change {keys} in the recipe, or add an engine that has it"
    )


def _lack(failure: Failure) -> str:
    condition, wanted, has, _ = failure
    if condition == "gpu capability":
        return f"lacks {wanted}" if has == "none" else f"has {has}, not {wanted}"
    if condition in AMOUNTS:
        return f"has {has} of the {wanted}"
    if condition == "not site":
        return "is a site it may not use"
    if condition in ("system", "arch", "site"):
        return f"is {has or 'elsewhere'}, not {wanted}"
    return f"has seen {wanted} fail" if condition.startswith("fails") else f"lacks {wanted}"
