"""What is asked for against what is used, as a status shows it."""

from __future__ import annotations

from dataclasses import dataclass

from nunatak.core.units import memory_text, time_text
from nunatak.core.work import Shape
from nunatak.tasks.learning.evidence import Evidence, Quantity, asked_of

IDLE = 0.5
"""Below this share of the processors asked for, it is said that fewer would do."""


@dataclass(frozen=True, slots=True)
class Line:
    """One quantity: asked for, the median and p95 of what was used, and the most; bytes, seconds or processors."""

    name: str
    asked: float
    middle: float
    usual: float
    most: float
    text: str


def used(evidence: Evidence, asked: Shape) -> list[Line]:
    """Return a line for each quantity that was measured."""
    lines = []
    for quantity in Quantity:
        seen, now = evidence.of(quantity), asked_of(asked, quantity)
        if seen.used.count:
            say = time_text if quantity is Quantity.TIME else memory_text
            middle, usual = seen.used.quantile(0.5), seen.used.quantile(0.95)
            text = f"{quantity}: asks {say(now)}, uses {say(usual)} (p95), {say(seen.most)} at most"
            lines.append(Line(str(quantity), now, middle, usual, seen.most, text))
    if evidence.cpu.count:
        lines.append(_processors(evidence, asked))
    return lines


def _processors(evidence: Evidence, asked: Shape) -> Line:
    middle, usual, most = (
        asked.cpu * share for share in (evidence.cpu.quantile(0.5), evidence.cpu.quantile(0.95), evidence.cpu.most)
    )
    text = f"cpu: asks {asked.cpu}, uses {middle:.2g} (half of the attempts less)"
    if asked.cpu > 1 and usual < IDLE * asked.cpu:
        text += f"; yours: needs.cpu: {max(1, round(usual + 0.499))} would do"
    return Line("cpu", asked.cpu, middle, usual, most, text)
