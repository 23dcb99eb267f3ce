"""How much more the next try asks for: only of what ran out, as far as the evidence goes, within the caps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from nunatak.core.units import memory_text, time_text
from nunatak.core.work import Shape, Usage
from nunatak.tasks.verdicts.model import ANY, Policy, Raise

TEXT: Mapping[str, Callable[[float], str]] = {"memory": memory_text, "disk": memory_text, "time": time_text}
"""How amounts of each field are said."""
_USED = {"memory": "memory", "disk": "disk", "time": "wall"}


class More(NamedTuple):
    """The next shape, or why there is none; `needs` is what it needs at least, as far as is known."""

    shape: Shape | None
    needs: int
    stop: str = ""


def more(field: str, shape: Shape, usage: Usage, policy: Policy, wanted: int = 0) -> More:
    """Return a shape with more of `field` (memory, time, disk).

    What was measured is a lower bound, as the attempt was ended when it reached it. So ask for the asked amount times
    the factor, or what was measured (and `wanted` on top of it) times the margin, or what other tasks of the
    name needed, whichever is most; at most the recipe's cap and the largest that any site offers.
    """
    rule: Raise = getattr(policy, field)
    asked = getattr(shape, field)
    seen = max(used(field, usage) + wanted, 0)
    learned = getattr(policy.learned, field) if policy.learned else 0
    goal = round(max(asked * rule.factor, seen * rule.margin, learned))
    offered = largest(field, shape, policy.offers)
    if rule.most and (asked >= rule.most or seen > rule.most):
        return More(None, seen, f"the most that retry.{field} allows is {TEXT[field](rule.most)}")
    if offered is not None and (asked >= offered or seen > offered):
        return More(None, seen, f"the largest that any site offers is {TEXT[field](offered)}")
    cap = min(rule.most or goal, goal if offered is None else offered)
    return More(_with(shape, field, min(goal, cap), cap if cap < goal else None), seen)


def used(field: str, usage: Usage) -> int:
    """Return how much of `field` was measured; 0 if it was not."""
    amount: int = getattr(usage, _USED[field]) or 0
    return amount


def largest(field: str, shape: Shape, offers: tuple[Shape, ...]) -> int | None:
    """Return the most of `field` that any offer has which fits the shape otherwise; None if there is no such offer."""
    if not offers:
        return None
    least = set_to(shape, field, 0)
    fitting = [getattr(offer, field) for offer in offers if least.fits(offer)]
    return max(fitting) if fitting else None


def set_to(shape: Shape, field: str, amount: int) -> Shape:
    """Return a shape with another amount of memory, time or disk."""
    if field == "memory":
        return replace(shape, memory=amount)
    return replace(shape, disk=amount) if field == "disk" else replace(shape, time=amount)


def _with(shape: Shape, field: str, amount: int, cap: int | None) -> Shape:
    """Round that field up as shapes are, but never beyond a cap; the others stay as they are."""
    rounded: int = getattr(set_to(ANY, field, amount).rounded(), field)
    return set_to(shape, field, rounded if cap is None else min(rounded, cap))
