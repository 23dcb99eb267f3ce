"""Decide which waiting attempts start in what is free: in order, but small ones may overtake, within bounds, one that
does not fit yet."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

from nunatak.core.work import Shape
from nunatak.engines.keys import Key

LOOK_AHEAD = 32
"""How many waiting attempts are considered; bounds the cost of a start with a long line."""
PATIENCE = 32
"""How often an attempt that does not fit may be overtaken before everything behind it waits."""


class Slots:
    """The resources of one machine or pool: what there is, and what is taken."""

    def __init__(self, total: Shape) -> None:
        """Begin with everything free."""
        self.total = total
        self._cpu, self._gpu, self._memory, self._disk = total.cpu, total.gpu, total.memory, total.disk

    def free(self) -> Shape:
        """Return what is free; never below zero, even when adopted attempts take more than there is."""
        return replace(
            self.total,
            cpu=max(0, self._cpu),
            gpu=max(0, self._gpu),
            memory=max(0, self._memory),
            disk=max(0, self._disk),
        )

    @property
    def full(self) -> bool:
        """Tell whether no core is free."""
        return self._cpu < 1

    def hold(self, shape: Shape) -> bool:
        """Tell whether `shape`, which fits the total, can start in what is free."""
        return (
            shape.cpu <= self._cpu
            and shape.gpu <= self._gpu
            and shape.memory <= self._memory
            and shape.disk <= self._disk
        )

    def take(self, shape: Shape) -> None:
        """Count the resources of `shape` as taken, whether they were free or not."""
        self._move(shape, -1)

    def give(self, shape: Shape) -> None:
        """Count the resources of `shape` as free again."""
        self._move(shape, +1)

    def _move(self, shape: Shape, sign: int) -> None:
        self._cpu += sign * shape.cpu
        self._gpu += sign * shape.gpu
        self._memory += sign * shape.memory
        self._disk += sign * shape.disk


@dataclass(slots=True)
class _Waiting:
    shape: Shape
    overtaken: int = 0


class Line:
    """Attempts that wait for room, in the order they came."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._waiting: OrderedDict[Key, _Waiting] = OrderedDict()  # a dict would be slow to iterate after many left it

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def __contains__(self, key: object) -> bool:
        """Tell whether an attempt waits."""
        return key in self._waiting

    def add(self, key: Key, shape: Shape) -> None:
        """Put an attempt at the end."""
        self._waiting[key] = _Waiting(shape)

    def put_back(self, key: Key, shape: Shape) -> None:
        """Put an attempt that could not be started after all at the front."""
        self._waiting[key] = _Waiting(shape)
        self._waiting.move_to_end(key, last=False)

    def remove(self, key: Key) -> bool:
        """Take an attempt out; tell whether it waited."""
        return self._waiting.pop(key, None) is not None

    def start(self, slots: Slots, most: int = LOOK_AHEAD, admits: Callable[[Key], bool] | None = None) -> list[Key]:
        """Take from the line and from `slots` what can start now, `most` at a time; return it in order.

        `admits` has the last word on each; whom it turns away waits without keeping others from overtaking.
        """
        chosen = list[Key]()
        blocked: list[_Waiting] = []
        for key, waiting in islice(self._waiting.items(), LOOK_AHEAD):
            if slots.full or len(chosen) >= most:
                break
            if slots.hold(waiting.shape):
                if admits is not None and not admits(key):
                    continue
                chosen.append(key)
                slots.take(waiting.shape)
                for other in blocked:
                    other.overtaken += 1
            else:
                blocked.append(waiting)
            if blocked and any(other.overtaken >= PATIENCE for other in blocked):
                break
        for key in chosen:
            del self._waiting[key]
        return chosen


def excess(shape: Shape, total: Shape) -> str:
    """Say in words what of `shape` is more than `total`, and so can never run there."""
    said = [
        f"it asks for {name} {getattr(shape, name)}, there is {getattr(total, name)}"
        for name in ("cpu", "gpu", "memory", "disk", "time")
        if getattr(shape, name) > getattr(total, name)
    ]
    if shape.platform not in ("", total.platform):
        said.append(f"it asks for platform {shape.platform!r}, this is {total.platform!r}")
    missing = sorted(set(shape.features) - set(total.features))
    return ", ".join(said + [f"there is no feature {name!r}" for name in missing])
