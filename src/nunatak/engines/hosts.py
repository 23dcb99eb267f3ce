"""The nodes of a simulated resource: which attempt lands where, and what is wrong with some of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from nunatak.core.work import Reason
from nunatak.engines.protocol import ALL_FINE, Nodes


@dataclass(frozen=True, slots=True)
class Fault:
    """What a node does to a share of what it gets: it ends `after` seconds, with this reason and message."""

    rate: float = 1.0
    after: float = 1.0
    reason: Reason = Reason.COMMAND
    message: str = "exec format error: ./program"


FaultsByHost = Mapping[str, Fault]


class Hosts:
    """Nodes with `slots` places each (0: as many as one likes). Who comes is put on one of those with a free place.

    Nothing comes to a node that is drained, one at a time to one that is probed, and none to one it should avoid.
    """

    def __init__(self, names: Sequence[str], slots: int = 0) -> None:
        """Begin with all places free and all nodes fine."""
        self._slots = slots
        self._busy = dict.fromkeys(names, 0)
        self.nodes = ALL_FINE
        self._open = list(names)
        self._place = {name: number for number, name in enumerate(names)}

    def be(self, nodes: Nodes) -> None:
        """Take note of how nodes stand from now on."""
        if nodes != self.nodes:
            self.nodes = nodes
            self._open = [name for name in self._busy if self._has_room(name)]
            self._place = {name: number for number, name in enumerate(self._open)}

    def take(self, draw: float, avoid: Collection[str] = ()) -> str | None:
        """Take a place on one of the nodes that have one, by a number from 0 to 1; None if there is none."""
        found = self._choose(int(draw * len(self._open)), avoid)
        if found is not None:
            self._busy[found] += 1
            self._update(found)
        return found

    def give(self, name: str) -> None:
        """Give a place back."""
        self._busy[name] -= 1
        self._update(name)

    def _choose(self, first: int, avoid: Collection[str]) -> str | None:
        for number in range(len(self._open)):
            name = self._open[(first + number) % len(self._open)]
            if name not in avoid:
                return name
        return None

    def _has_room(self, name: str) -> bool:
        if name in self.nodes.drained:
            return False
        most = 1 if name in self.nodes.probed else self._slots
        return not most or self._busy[name] < most

    def _update(self, name: str) -> None:
        """Keep the list of nodes with room; where one leaves it, the last one takes its place."""
        place, room = self._place.get(name), self._has_room(name)
        if room and place is None:
            self._place[name] = len(self._open)
            self._open.append(name)
        elif not room and place is not None:
            last = self._open.pop()
            del self._place[name]
            if last != name:
                self._open[place], self._place[last] = last, place
