"""What may come beyond the longest attempt seen: survivors among finished and running ones, and a fitted tail."""

from __future__ import annotations

import math
from collections.abc import Sequence
from heapq import merge
from typing import NamedTuple

TAIL_SHARE, TAIL_LEAST = 0.1, 4
"""The tail is fitted to this share of the longest attempts, or this many."""
LOWER, BEND = 5, 0.5
"""How the tail bends is seen from this many times as many attempts; for a log-normal, half of it goes on in the tail."""
TAIL_STEPS, TAIL_RATIO = 44, 0.7
"""Steps of the tail, each this much less probable than the one before: down to one in six million."""
PRIOR_SPREAD, PRIOR_WEIGHT = 0.5, 1.0
"""What is assumed of the mean logarithm of the excess before there is evidence, and how many attempts that is worth."""
SPREAD_MOST = 0.95
"""From 1 on the mean would be infinite, which no time that is limited has."""


class Running(NamedTuple):
    """`n` attempts that have been running for about `age` seconds."""

    age: float
    n: int = 1


class Tail(NamedTuple):
    """What is known of a tail: the probability `above` its start, and the standard error of its scale."""

    above: float = 0.0
    error: float = 0.0

    def doubt(self, among: float) -> float:
        """Return the standard error of the logarithm of the longest among many."""
        return (0.8 + 2 * self.above**2) * self.error * max(1.0, math.log(max(1.0, among * self.above)))


NO_TAIL = Tail()


def survivors(ended: Sequence[tuple[float, int]], running: Sequence[Running]) -> list[tuple[float, float]]:
    """Return (seconds, probability of ending there), the product-limit estimate; what is left over ends later."""
    at_risk = sum(n for _, n in ended) + sum(item.n for item in running)
    left, atoms = 1.0, []
    for t, still_runs, n in merge(((t, 0, n) for t, n in ended), ((age, 1, n) for age, n in sorted(running))):
        if not still_runs:
            atoms.append((t, left * n / at_risk))
            left -= atoms[-1][1]
        at_risk -= n
    return atoms


def with_tail(
    atoms: list[tuple[float, float]], ended: Sequence[tuple[float, int]], running: Sequence[Running]
) -> tuple[list[tuple[float, float]], Tail]:
    """Replace the longest by a smooth tail: excesses in the logarithm follow a generalised Pareto law.

    Exponential excesses (shape 0) are a Pareto tail: Hill's estimator (1975), with what still runs counted as censored
    (Beirlant et al. 2007), and Weissman's extrapolation (1978). The mean excess of a generalised Pareto law is linear in the
    threshold: where it falls from one threshold to the next, the tail bends down, as that of a log-normal does.
    """
    count = sum(n for _, n in ended)
    start = _start(ended, max(TAIL_LEAST, TAIL_SHARE * count))
    threshold = ended[start - 1][0] if start else ended[0][0]
    body = atoms[: max(1, start)]
    above = max(1.0 - sum(p for _, p in body), 1 / (count + 1))
    scale, shape, seen = _fit(ended, running, start, threshold)
    whole = sum(p for _, p in body) / (1 - above)
    tail = [(threshold * math.exp(x), p * above) for x, p in _tail(scale, shape)]
    return [(t, p / whole) for t, p in body] + tail, Tail(above, scale / math.sqrt(seen + 1))


def _start(ended: Sequence[tuple[float, int]], wanted: float) -> int:
    """Return where the longest begin, of which at least as many are wanted."""
    start, above = len(ended), 0
    while start > 0 and above < wanted:
        start -= 1
        above += ended[start][1]
    return start


def _fit(
    ended: Sequence[tuple[float, int]], running: Sequence[Running], start: int, threshold: float
) -> tuple[float, float, int]:
    """Return scale and shape of the excesses, and from how many attempts."""
    mean, seen = _mean_excess(ended[start:], running, threshold)
    lower = _start(ended, LOWER * sum(n for _, n in ended[start:]))
    if not 0 < lower < start:
        return mean, 0.0, seen
    base = ended[lower - 1][0]
    before, _ = _mean_excess(ended[lower:], running, base)
    slope = min(0.0, (mean - before) / math.log(threshold / base)) * BEND * seen / (seen + 5)
    shape = max(-0.4, slope / (1 + slope) if slope > -1 else -1.0)
    return mean * (1 - shape), shape, seen


def _mean_excess(ended: Sequence[tuple[float, int]], running: Sequence[Running], threshold: float) -> tuple[float, int]:
    """Return the mean of the logarithm of the excess over a threshold, and from how many attempts that finished."""
    log = math.log
    seen = sum(n for _, n in ended)
    spent = sum(n * log(t / threshold) for t, n in ended)
    spent += sum(n * log(age / threshold) for age, n in running if age > threshold)
    return min(SPREAD_MOST, (spent + PRIOR_WEIGHT * PRIOR_SPREAD) / (seen + PRIOR_WEIGHT)), seen


def _tail(scale: float, shape: float) -> list[tuple[float, float]]:
    """Return (excess, probability) in steps that become less and less probable, at the middle of each step."""
    steps, middle, mass = [], (1 + TAIL_RATIO) / 2, 1 - TAIL_RATIO
    for _ in range(TAIL_STEPS):
        x = -math.log(middle) if abs(shape) < 1e-6 else (middle**-shape - 1) / shape
        steps.append((scale * x, mass))
        middle, mass = middle * TAIL_RATIO, mass * TAIL_RATIO
    return steps
