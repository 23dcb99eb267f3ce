"""Drawings of a dataset's page: curve of progress, histograms of what was used, the graph of its tasks. Pure, sizes in pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nunatak.datasets.plan import Plan
from nunatak.tasks.learning.sketch import Sketch
from nunatak.web.words import PARTS, moment

Plain = dict[str, Any]
Points = Sequence[Mapping[str, Any]]

CURVE_WIDTH, CURVE_HEIGHT, CURVE_LEFT, CURVE_BELOW = 1000.0, 200.0, 46.0, 22.0
STACK = ("done", "running", "ready", "waiting", "needy")
STATES_OF = {kind: states for kind, _, _, states in PARTS}


def curve(points: Points, eta: Mapping[str, Any] | None) -> Plain:
    """Return a stacked area for each part, its axes, and where the end is expected."""
    low, middle, high = _ends(eta) if eta else (0.0, 0.0, 0.0)
    times = [moment(point["at"]).timestamp() for point in points]
    total = max((sum(point[state] for states in STATES_OF.values() for state in states) for point in points), default=0)
    begin, end = times[0], max(times[-1], high)
    end = max(end, begin + 1.0)
    height = CURVE_HEIGHT - CURVE_BELOW

    def x(at: float) -> float:
        return round(CURVE_LEFT + (CURVE_WIDTH - CURVE_LEFT) * (at - begin) / (end - begin), 1)

    def y(n: float) -> float:
        return round(height - (height - 8) * n / max(1, total), 1)

    below = [0.0] * len(points)
    areas = []
    for kind in STACK:
        above = [n + sum(point[state] for state in STATES_OF[kind]) for n, point in zip(below, points, strict=True)]
        if any(a > b for a, b in zip(above, below, strict=True)):
            up = [f"{x(at)},{y(n)}" for at, n in zip(times, above, strict=True)]
            down = [f"{x(at)},{y(n)}" for at, n in zip(times, below, strict=True)]
            areas.append({"kind": kind, "points": " ".join([*up, *reversed(down)])})
        below = above
    band = None
    if eta:
        left, right = x(low), x(high)
        band = {
            "x": left,
            "width": max(2.0, round(right - left, 1)),
            "middle": x(middle),
            "height": height,
            "cone": f"{x(times[-1])},{y(points[-1]['done'])} {left},8 {right},8",
        }
    return {
        "width": CURVE_WIDTH,
        "height": CURVE_HEIGHT,
        "left": CURVE_LEFT,
        "base": height,
        "areas": areas,
        "band": band,
        "ups": [{"n": n, "y": y(n)} for n in ticks(total)],
        "acrosses": [{"text": _clock(at, end - begin), "x": x(at)} for at in moments(begin, end)],
    }


def _ends(eta: Mapping[str, Any]) -> tuple[float, float, float]:
    """Return when it is done at the soonest, half of the time, and at the latest; steady while the forecast is the same."""
    low, high = moment(eta["low_at"]).timestamp(), moment(eta["high_at"]).timestamp()
    return low, min(high, max(low, high - (eta["high"] - eta["middle"]))), high


def ticks(total: int, most: int = 4) -> list[int]:
    """Return round numbers from 0 to `total`, about `most` of them."""
    if total < 1:
        return [0]
    raw = max(1.0, total / most)
    power = 10 ** math.floor(math.log10(raw))
    step = max(1, int(next(power * n for n in (1, 2, 5, 10) if power * n >= raw)))
    return list(range(0, total + 1, step))


_STEPS = (1, 5, 15, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 43_200, 86_400, 2 * 86_400, 7 * 86_400, 30 * 86_400)


def moments(begin: float, end: float, most: int = 8) -> list[float]:
    """Return round times (UTC) between two, at most `most` of them."""
    span = end - begin
    step = next((step for step in _STEPS if span / step <= most), math.ceil(span / most / 86_400) * 86_400)
    first = math.ceil(begin / step) * step
    return [float(first + i * step) for i in range(int((end - first) // step) + 1)] if first <= end else []


def _clock(at: float, span: float) -> str:
    form = "%H:%M:%S" if span < 600 else "%H:%M" if span < 86_400 else "%d %b %H:%M" if span < 3 * 86_400 else "%d %b"
    return moment(at).strftime(form)


BINS = 30
HIST_WIDTH, HIST_HEIGHT = 300.0, 64.0
LETTER = 8.5
"""Width of a letter of a name below a histogram, and a little more."""


def histogram(used: Sketch, asked: float, factor: float = 1.0) -> Plain:
    """Return bars of how much attempts used against what is asked for, and the places of median, p95 and the request.

    `factor` turns what the sketch counts into the unit of `asked`.
    """
    most = max(used.most * factor, asked) * 1.04 or 1.0
    bins = [0] * BINS
    for value, n in used.atoms():
        bins[min(BINS - 1, int(value * factor / most * BINS))] += n
    top, wide = max(bins), HIST_WIDTH / BINS
    bars = [
        {"x": round(i * wide + 0.5, 1), "width": round(wide - 1, 1), "y": round(HIST_HEIGHT - h, 1), "height": round(h, 1)}
        for i, n in enumerate(bins)
        if n and (h := max(1.5, HIST_HEIGHT * n / top))
    ]  # fmt: skip
    places = {"asked": asked, "p50": used.quantile(0.5) * factor, "p95": used.quantile(0.95) * factor}
    lines = [{"name": name, "value": value, "x": round(HIST_WIDTH * value / most, 1)} for name, value in places.items()]
    rows = _label(lines)
    return {
        "width": HIST_WIDTH, "height": HIST_HEIGHT, "rows": rows, "bars": bars, "lines": lines, "n": used.count, "most": most
    }  # fmt: skip


def _label(lines: Sequence[Plain]) -> int:
    """Say of each line on which side of it its name stands, and in which row below: none covers another. Returns the rows."""
    taken: list[list[tuple[float, float]]] = []
    for line in lines:
        x, wide = line["x"], LETTER * len(line["name"])
        anchor = "end" if x > HIST_WIDTH - wide / 2 else "start" if x < wide / 2 else "middle"
        left = x - {"end": wide, "start": 0.0, "middle": wide / 2}[anchor]
        row = next((n for n, of in enumerate(taken) if all(left > b or left + wide < a for a, b in of)), len(taken))
        taken += [[]] if row == len(taken) else []
        taken[row].append((left, left + wide))
        line |= {"row": row, "anchor": anchor}
    return len(taken)


NODE_WIDTH, NODE_HEIGHT, ACROSS, DOWN = 190.0, 54.0, 64.0, 22.0


def layers(parents: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return tasks in layers, each after all of its parents, ordered so that lines cross little.

    Longest paths, then barycentres (Sugiyama, Tagawa, Toda, IEEE Trans. Syst. Man Cybern. 11 (1981) 109).
    """
    depth: list[int] = []
    for of in parents:
        depth.append(1 + max((depth[parent] for parent in of), default=-1))
    found: list[list[int]] = [[] for _ in range(max(depth, default=-1) + 1)]
    place: dict[int, float] = {}
    for task in sorted(range(len(parents)), key=lambda task: depth[task]):
        found[depth[task]].append(task)
    for layer in found:
        layer.sort(key=lambda task: (_middle([place[parent] for parent in parents[task]]), task))
        for position, task in enumerate(layer):
            place[task] = position - (len(layer) - 1) / 2
    return found


def _middle(places: Sequence[float]) -> float:
    return sum(places) / len(places) if places else 0.0


def graph(plan: Plan) -> Plain:
    """Return the tasks as boxes in layers from left to right, and the lines between them."""
    columns = layers(plan.parents)
    tallest = max((len(layer) for layer in columns), default=1)
    whole = tallest * (NODE_HEIGHT + DOWN)
    boxes: dict[int, Plain] = {}
    for depth, layer in enumerate(columns):
        free = whole / len(layer)
        for position, task in enumerate(layer):
            of = plan.tasks[task]
            boxes[task] = {
                "task": of.name,
                "once": of.once,
                "x": 2 + depth * (NODE_WIDTH + ACROSS),
                "y": round(position * free + (free - NODE_HEIGHT) / 2, 1),
            }
    lines = [_line(boxes[parent], boxes[child]) for child, of in enumerate(plan.parents) for parent in of]
    width = len(columns) * (NODE_WIDTH + ACROSS) - ACROSS + 4
    return {
        "width": max(width, NODE_WIDTH), "height": whole, "box_width": NODE_WIDTH, "box_height": NODE_HEIGHT,
        "boxes": [boxes[task] for task in range(len(plan.tasks))], "lines": lines,
    }  # fmt: skip


def _line(parent: Plain, child: Plain) -> Plain:
    x1, y1 = parent["x"] + NODE_WIDTH, parent["y"] + NODE_HEIGHT / 2
    x2, y2 = child["x"], child["y"] + NODE_HEIGHT / 2
    middle = (x1 + x2) / 2
    return {
        "from": parent["task"],
        "to": child["task"],
        "path": f"M{x1:g} {y1:g} C{middle:g} {y1:g} {middle:g} {y2:g} {x2:g} {y2:g}",
    }
