"""Short tasks in a row: how many of one shape go into one submission to an engine, and which go together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from statistics import NormalDist
from typing import Generic, TypeVar

from nunatak.core.units import time_text
from nunatak.core.work import Grouping, Shape
from nunatak.tasks.learning.sketch import Sketch

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Size:
    """How many tasks go in a row, and the time to ask for (seconds; 0: that of one task)."""

    n: int
    time: int
    why: str


@dataclass(frozen=True, slots=True)
class Group(Generic[T]):
    """Tasks that one worker runs in a row, and what is asked of the engine for all of them."""

    members: tuple[T, ...]
    shape: Shape


def group_size(took: Sketch, shape: Shape, ready: int, slots: float, rule: Grouping | None = None) -> Size:
    """Return how many tasks go in a row, of which `ready` wait and for which `slots` attempts can run at once.

    As many as fill the target, but no more than half an even share of what is left, so that the groups become shorter
    towards the end and all slots are busy up to it: guided self-scheduling (Polychronopoulos and Kuck 1987), with the half of
    factoring (Hummel, Schonberg and Flynn 1992), which bears with uneven tasks. While nothing is known, tasks go alone.
    """
    rule = rule or Grouping()
    alone = Size(1, 0, "")
    if not took.count:
        return replace(alone, why="alone: none has finished yet")
    usual = max(took.mean() + rule.overhead, 1e-3)
    full = int(rule.target / usual)
    share = math.ceil(ready / (2 * max(1.0, slots)))
    n = max(1, min(full, share, rule.known * took.count, rule.most))
    while n > 1 and group_time(took, shape, n, rule) > rule.longest:
        n = n * 3 // 4
    if n == 1:
        why = f"alone: one takes {time_text(took.mean())}" if full <= 1 else "alone: few are left"
        return replace(alone, why=why)
    why = f"{n} in a row: one takes {time_text(took.mean())}, aiming at {time_text(rule.target)}"
    return Size(n, group_time(took, shape, n, rule), why + (", fewer as the end is near" if n == share < full else ""))


def group_time(took: Sketch, shape: Shape, n: int, rule: Grouping | None = None) -> int:
    """Return the time (seconds) to ask for `n` tasks in a row: enough for their sum with the probability `rule.share`.

    The larger of two ends of the sum's distribution: the normal one, and a single long task among usual ones, which is how
    sums of heavy-tailed times become large (Foss, Korshunov, Zachary: Heavy-tailed and subexponential distributions, 2013).
    Never less than the limit of one task, which each member keeps.
    """
    rule = rule or Grouping()
    if n <= 1 or not took.count:
        return shape.time
    usual = took.mean() + rule.overhead
    even = n * usual + NormalDist().inv_cdf(rule.share) * math.sqrt(n) * took.deviation()
    jump = (n - 1) * usual + took.quantile(1 - (1 - rule.share) / n)
    return replace(shape, time=math.ceil(max(even, jump, shape.time))).rounded().time


def groups(tasks: Sequence[tuple[tuple[int, ...], T, Shape]], sizes: Mapping[tuple[int, ...], Size]) -> list[Group[T]]:
    """Put tasks with equal keys together, in order, as many as `sizes` says for their key (none said: alone).

    A group asks for the most that any member asks for, not for the sum, and for the time of them all. The last groups of a key
    are evened out: 21 tasks by 10 become 7, 7 and 7.
    """
    made: list[Group[T]] = []
    for key, found in groupby(sorted(tasks, key=itemgetter(0)), key=itemgetter(0)):
        items = list(found)
        size = sizes.get(key, Size(1, 0, ""))
        count = math.ceil(len(items) / size.n)
        for number in range(count):
            part = items[number * len(items) // count : (number + 1) * len(items) // count]
            time = size.time if len(part) > 1 else 0  # one for all: engines know fewer shapes
            made.append(Group(tuple(member for _, member, _ in part), most_of([shape for _, _, shape in part], time)))
    return made


def most_of(shapes: Sequence[Shape], time: int = 0) -> Shape:
    """Return the shape that any of the shapes fits into, with at least `time` seconds; all must be of one platform."""
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return replace(first, time=max(first.time, time)).rounded() if time > first.time else first
    return Shape(
        cpu=max(shape.cpu for shape in shapes),
        gpu=max(shape.gpu for shape in shapes),
        memory=max(shape.memory for shape in shapes),
        disk=max(shape.disk for shape in shapes),
        time=max(time, *(shape.time for shape in shapes)),
        platform=first.platform,
        features=tuple(sorted({feature for shape in shapes for feature in shape.features})),
    ).rounded()
