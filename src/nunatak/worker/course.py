"""What a payload uses over time: at most 60 points, in steps that double in length as it goes on."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Tuple

MOST = 60
"""Points that are kept."""
SHORTEST = 60.0
"""Seconds of wall clock from which on it is told: of a shorter one the sums say enough."""
_FIRST = 2.0  # seconds of the first step


class Course:
    """The most memory of each step, and the cpu and gpu seconds used up to its end. A few additions for each look."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self.step = _FIRST
        self._points: "List[Tuple[float, int, Optional[float]]]" = []  # cpu, memory, gpu

    def add(self, wall: float, cpu: float, memory: int, gpu: "Optional[float]") -> None:
        """Take what was used up to `wall` seconds after the begin, and the memory used now."""
        at = int(wall / self.step)
        while at >= MOST:
            self._halve()
            at = int(wall / self.step)
        points = self._points
        while len(points) < at:  # nothing was seen meanwhile
            points.append(points[-1] if points else (0.0, 0, gpu))
        if len(points) > at:
            points[at] = (cpu, max(points[at][1], memory), gpu)
        else:
            points.append((cpu, memory, gpu))

    def _halve(self) -> None:
        points, last = self._points, len(self._points) - 1
        pairs = [(points[at], points[min(at + 1, last)]) for at in range(0, len(points), 2)]
        self._points = [(late[0], max(early[1], late[1]), late[2]) for early, late in pairs]
        self.step *= 2

    def plain(self, wall: float) -> "Optional[Dict[str, Any]]":
        """Return `step` in seconds and for each step `memory` in bytes, `cpu` and perhaps `gpu` as how many were busy.

        None for what was too short. Of a last step that has only begun nothing is told.
        """
        points = self._points[: max(1, int(wall / self.step + 0.5))]
        if wall < SHORTEST or not points:
            return None
        found = {"step": self.step, "memory": [point[1] for point in points], "cpu": self._busy(points, 0, wall)}
        if points[-1][2] is not None:
            found["gpu"] = self._busy(points, 2, wall)
        return found

    def _busy(self, points: "List[Any]", which: int, wall: float) -> "List[float]":
        used, before = [], 0.0
        for number, point in enumerate(points):
            seconds = min(self.step, wall - number * self.step)
            now = point[which] or 0.0
            used.append(round(max(0.0, now - before) / seconds, 2))
            before = now
        return used
