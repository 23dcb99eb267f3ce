"""Draws what an attempt used over time: one small curve each for memory, processors and GPUs, each also said in words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nunatak.web.words import amount, size, span

WIDTH, HEIGHT = 300.0, 40.0
NEAR = 2.0
"""What was asked for is drawn unless it is so many times more than was ever used: then the curve would be flat."""


def busy(value: float) -> str:
    """Return how many processors were busy."""
    return f"{amount(round(value, 2))}\u00a0busy"


KINDS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("memory", "memory", size), ("cpu", "processors", busy), ("gpu", "GPUs", busy),
)  # fmt: skip


def curves(course: Mapping[str, Any], asked: Mapping[str, float] | None) -> list[dict[str, Any]]:
    """Return the curves of a course as `Course.to_plain` has it; `asked` is what the attempt asked for."""
    return [
        _curve(name, course[kind], course["step"], (asked or {}).get(kind, 0.0), say)
        for kind, name, say in KINDS
        if course[kind] and any(course[kind])
    ]


def _curve(
    name: str, values: Sequence[float], step: float, asked: float, say: Callable[[float], str]
) -> dict[str, Any]:
    most = max(values)
    shown = bool(asked) and asked <= NEAR * most
    top = max(most, asked if shown else 0.0) * 1.05
    wide = WIDTH / len(values)
    points = [f"{x:.1f},{_down(value, top)}" for n, value in enumerate(values) for x in (n * wide, (n + 1) * wide)]
    when = span((values.index(most) + 0.5) * step // 1)
    peak, lasted = f"{say(most)} at most, after {when}", span(step * len(values))
    return {
        "name": name,
        "line": " ".join(points),
        "area": f"0,{HEIGHT:.0f} {' '.join(points)} {WIDTH:.0f},{HEIGHT:.0f}",
        "asked": _down(asked, top) if shown else None,
        "peak": peak,
        "words": f"{name} over {lasted}: {say(values[0])} in the beginning, {peak}, {say(values[-1])} in the end",
    }


def _down(value: float, top: float) -> float:
    return round(HEIGHT * (1 - value / top), 1)
