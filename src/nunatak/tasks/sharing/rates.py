"""How fast each of several siblings (groups, users of a group, datasets of a user) is given places."""

from __future__ import annotations

from collections.abc import Sequence

CORRECTION = 4.0
"""Who used less than its share is given places at most so many times faster, who used more so many times slower."""
FULL = CORRECTION**0.5
"""So many times its share, or so small a part of it, and the correction is full."""
LEAST_WEIGHT = 1e-6
MOST_DOUBLINGS = 40.0


Rates = tuple[float, float, float]
"""How one sibling stands: its rate, what it used of its share, and its part of the next places. See `Group`."""


def level(weights: Sequence[float], used: Sequence[float], doubled: Sequence[float], part: float) -> list[Rates]:
    """Return the rates of siblings that share `part` of the next places.

    What one used, of what all used, is compared to its weight, of all weights; its rate is its weight corrected by the
    square of that. The correction is bounded, so that a long absence earns no monopoly and a long presence no famine.
    With it the use comes to the weights: where one's use is its share, its rate is its weight (a fixed point). Where
    tasks cost k times what was expected the use is off by the cube root of k, until better is known of them.
    """
    weights = [max(weight, LEAST_WEIGHT) for weight in weights]
    due, spent = sum(weights), sum(used)
    found = []
    total = 0.0
    for weight, use, times in zip(weights, used, doubled, strict=True):
        rate, ratio = weight, (use / spent) * (due / weight) if spent > 0 else 1.0
        if ratio * FULL <= 1:
            rate *= CORRECTION
        elif ratio >= FULL:
            rate /= CORRECTION
        else:
            rate /= ratio * ratio
        if times:
            rate *= 2.0**times
        total += rate
        found.append((rate, ratio))
    whole = part / total if total else 0.0
    return [(rate, ratio, rate * whole) for rate, ratio in found]


def doublings(since: float, now: float, aging: float) -> float:
    """Return how often the rate of one that waits `since` with nothing under way has doubled by now."""
    waited = now - since
    return min(waited / aging, MOST_DOUBLINGS) if waited > 0 else 0.0
