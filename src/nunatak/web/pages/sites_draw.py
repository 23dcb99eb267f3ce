"""Draws how much of a site was in use over the last day, and says it in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nunatak.web.words import moment, number, span

WIDTH, HEIGHT = 600.0, 48.0
FEWEST = 3
"""Points below which there is no curve to see."""


def use_curve(points: Sequence[Mapping[str, Any]], busy: str = "busy", of: str = "cores") -> dict[str, Any] | None:
    """Return the areas of what there was and of what was busy, oldest at the left; None while there is too little of it."""
    most = max((point[of] for point in points), default=0.0)
    if len(points) < FEWEST or not most:
        return None
    first, last = (moment(points[at]["at"]).timestamp() for at in (0, -1))
    used, lasted = [point[busy] for point in points], span(last - first)
    words = (
        f"{number(used[0])} of {number(points[0][of])} busy in the beginning, {number(max(used))} at most,"
        f" {number(used[-1])} of {number(points[-1][of])} in the end"
    )

    def area(name: str) -> str:
        at = [WIDTH * (moment(point["at"]).timestamp() - first) / (last - first) for point in points]
        line = (f"{x:.0f},{HEIGHT * (1 - point[name] / most):.1f}" for x, point in zip(at, points, strict=True))
        return f"0,{HEIGHT:.0f} {' '.join(line)} {WIDTH:.0f},{HEIGHT:.0f}"

    return {"there": area(of), "busy": area(busy), "lasted": lasted, "words": words, "most": most}
