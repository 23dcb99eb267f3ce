"""What goes on in a simulated resource: arrivals, starts and ends in order of time. Outlives the engine that looks."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from enum import IntEnum

from nunatak.core.work import Outcome, Reason, Shape, TaskSpec
from nunatak.engines.behaviour import Behaviour, Fate, draw, landed, log, outcome
from nunatak.engines.hosts import Hosts
from nunatak.engines.keys import Key, key_of
from nunatak.engines.protocol import Change, Handle, Nodes, What
from nunatak.engines.slots import Line, Slots, excess


class _Event(IntEnum):
    ARRIVAL = 0
    END = 1
    REPORT = 2


@dataclass(slots=True)
class SimulatedAttempt:
    """One attempt; `end` is set when it ended, `reported` when anybody could know."""

    handle: Handle
    spec: TaskSpec
    fate: Fate
    begun: Change | None = None
    end: Change | None = None
    reported: bool = False


class World:
    """A simulated resource with everything that was ever submitted to it and not forgotten."""

    def __init__(self, total: Shape, *, seed: int = 0, behaviour: Behaviour | None = None) -> None:
        """Begin with nothing; equal seeds and submissions give equal worlds."""
        self.behaviour = behaviour or Behaviour()
        self.seed = seed
        self.slots, self.line = Slots(total), Line()
        self.hosts = Hosts(self.behaviour.hosts, self.behaviour.slots_per_host)
        self.attempts: dict[Key, SimulatedAttempt] = {}
        self.lives = 0  # how many engines have looked so far
        self.coming = 0  # submitted, held up
        self._heap: list[tuple[float, int, _Event, Key, Change | None]] = []
        self._count = 0

    def arrive(self, spec: TaskSpec, now: float) -> list[Change]:
        """Take an attempt that is not known yet; it joins the line after its delay. One that can never run ends."""
        key = key_of(spec)
        self._count += 1
        fate = draw(self.behaviour, self.seed, spec.address, spec.shape)
        attempt = SimulatedAttempt(Handle(*key, f"sim.{self._count}"), spec, fate)
        self.attempts[key] = attempt
        if not spec.shape.fits(self.slots.total):
            message = f"it can never run here: {excess(spec.shape, self.slots.total)}"
            return self._finish(attempt, Outcome(*key, Reason.SUBMIT, message), now)
        self.coming += 1
        self._push(now + fate.delay, _Event.ARRIVAL, key)
        return []

    def advance(self, now: float) -> list[Change]:
        """Let everything happen that is due by `now`; return what can be known of it, in order."""
        changes: list[Change] = []
        while self._heap and self._heap[0][0] <= now:
            at, _, event, key, change = heapq.heappop(self._heap)
            attempt = self.attempts.get(key)
            if event is _Event.REPORT and change:
                changes.append(change)
                if attempt:
                    attempt.reported = True
            elif attempt and not attempt.end:
                changes += self._happen(event, attempt, at)
        return changes

    def be(self, nodes: Nodes, now: float) -> list[Change]:
        """Take note of how nodes stand from now on, which may let somebody start."""
        self.hosts.be(nodes)
        return self._start(now)

    def cancel(self, key: Key, now: float) -> list[Change]:
        """End an attempt now, wherever it is."""
        attempt = self.attempts.get(key)
        if attempt is None or attempt.end:
            return []
        if attempt.begun:
            told = outcome(attempt.spec, attempt.fate, Reason.TERMINATED, attempt.begun.at, now)
            return self._release(attempt, told, now)
        if not self.line.remove(key):
            self.coming -= 1
        return self._finish(attempt, Outcome(*key, Reason.TERMINATED, "it was cancelled before it started"), now)

    def log(self, key: Key, now: float) -> tuple[Handle, bytes] | None:
        """Return the whole standard output of an attempt so far; None if it never began or is forgotten."""
        attempt = self.attempts.get(key)
        if attempt is None or attempt.begun is None:
            return None
        until = attempt.end.at if attempt.end else now
        return attempt.handle, log(key[0], attempt.fate, attempt.begun.at, until, attempt.end is not None)

    def _happen(self, event: _Event, attempt: SimulatedAttempt, at: float) -> list[Change]:
        key = key_of(attempt.spec)
        if event is _Event.ARRIVAL:
            self.coming -= 1
            self.line.add(key, attempt.spec.shape)
            return self._start(at)
        if attempt.begun is None:
            return []
        return self._release(
            attempt, outcome(attempt.spec, attempt.fate, attempt.fate.reason, attempt.begun.at, at), at
        )

    def _start(self, at: float) -> list[Change]:
        changes = []
        for key in self.line.start(self.slots, admits=self._land):
            attempt = self.attempts[key]
            attempt.begun = Change(attempt.handle, What.RUNNING, at, attempt.fate.host)
            changes.append(attempt.begun)
            self._push(at + attempt.fate.duration, _Event.END, key)
        return changes

    def _land(self, key: Key) -> bool:
        """Put an attempt on a host; tell whether one has room for it."""
        attempt = self.attempts[key]
        host = self.hosts.take(attempt.fate.place, attempt.spec.avoid)
        if host is not None:
            attempt.fate = landed(attempt.fate, host, self.behaviour.faults.get(host))
        return host is not None

    def _release(self, attempt: SimulatedAttempt, told: Outcome, at: float) -> list[Change]:
        self.slots.give(attempt.spec.shape)
        self.hosts.give(attempt.fate.host)
        return self._finish(attempt, told, at) + self._start(at)

    def _finish(self, attempt: SimulatedAttempt, told: Outcome, at: float) -> list[Change]:
        attempt.end = Change(attempt.handle, What.ENDED, at, told.host, told)
        key, fate = (told.address, told.lease), attempt.fate
        if fate.late or fate.again:
            self._push(at + (fate.late or fate.again), _Event.REPORT, key, attempt.end)
        attempt.reported = not fate.late
        return [attempt.end] if attempt.reported else []

    def _push(self, at: float, event: _Event, key: Key, change: Change | None = None) -> None:
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, event, key, change))
