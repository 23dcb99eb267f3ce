"""How often an engine host does what, and how long it may sleep until something is due."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Pace:
    """How often what is done, in seconds, and how much at a time."""

    report: float = 0.1  # between two reports while there is much to say, or as long as one took
    logs: float = 0.5  # between two looks at logs
    stops: float = 1.0  # between two heartbeats while there are attempts that could be stopped
    claim: float = 0.05  # after a claim that found less than was wanted; doubles up to `idle`
    idle: float = 1.0  # longest sleep
    least: float = 0.01  # shortest sleep
    slice: float = 0.25  # how late it notices at most that it has to stop
    look: float = 0.2  # longest sleep while there are attempts, with an engine that cannot tell when one ends
    away: float = 0.2  # first pause after the server did not answer; doubles up to `away_most`
    away_most: float = 10.0  # less where leases are short
    reconcile: float = 180.0


@runtime_checkable
class Waits(Protocol):
    """An engine that can tell when a worker ends, so that nothing is lost by sleeping."""

    def wait(self, seconds: float) -> bool:
        """Sleep until a worker ends, at most `seconds`; tell whether one did."""


@runtime_checkable
class HandsBack(Protocol):
    """An engine in whose own process attempts wait, which nobody would start while it is away."""

    def hand_back(self) -> None:
        """End what waits, as never begun; it is told by `poll`."""


class Absence:
    """For how long a server that does not go along is left alone: longer each time, up to a bound.

    The bound is a quarter of a heartbeat if that is less: when a server is back, all have to be heard within a quarter of
    a lease, which is half a heartbeat at least.
    """

    def __init__(self, pace: Pace) -> None:
        """Begin with a server that goes along."""
        self._pace, self._pause, self.until = pace, 0.0, float("-inf")
        self._most = pace.away_most

    def heed(self, heartbeat: float) -> None:
        """Know how often the server wants to hear of this engine, in seconds."""
        self._most = max(self._pace.away, min(self._pace.away_most, heartbeat / 4))

    def over(self) -> None:
        """Begin anew with the short pause the next time."""
        self._pause = 0.0

    def longer(self, now: float) -> bool:
        """Leave the server alone for a while from `now`; tell whether this is the first time in a row."""
        first = self._pause == 0.0
        self._pause = min(max(self._pace.away, 2 * self._pause), self._most)
        self.until = now + self._pause
        return first
