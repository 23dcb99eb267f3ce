"""What goes on in a simulated resource: arrivals, starts and ends in order of time. Outlives the engine that looks."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from nunatak.core.work import Outcome, Reason, Series, Shape, TaskSpec
from nunatak.engines.behaviour import Behaviour, Fate, draw, landed, log, outcome
from nunatak.engines.hosts import Hosts
from nunatak.engines.keys import Key, key_of, specs_of
from nunatak.engines.protocol import Change, Handle, Nodes, What
from nunatak.engines.slots import Line, Slots, excess

Fates = Callable[[TaskSpec], Fate]
"""Says what will become of an attempt, the same whenever it is asked."""


class _Event(IntEnum):
    ARRIVAL = 0  # of a run
    BEGIN = 1  # of a run's first attempt
    END = 2  # of an attempt
    REPORT = 3


@dataclass(slots=True)
class Run:
    """What takes one place: one attempt, or those of a series one after the other; its key is the first one's."""

    key: Key
    shape: Shape
    left: list[SimulatedAttempt]  # those that have not begun
    host: str = ""  # once it has its place
    busy: bool = False  # one of its attempts runs


@dataclass(slots=True)
class SimulatedAttempt:
    """One attempt; `end` is set when it ended, `reported` when anybody could know."""

    handle: Handle
    spec: TaskSpec
    fate: Fate
    run: Run = field(init=False)
    begun: Change | None = None
    end: Change | None = None
    reported: bool = False


class World:
    """A simulated resource with everything that was ever submitted to it and not forgotten."""

    def __init__(
        self, total: Shape, *, seed: int = 0, behaviour: Behaviour | None = None, fates: Fates | None = None
    ) -> None:
        """Begin with nothing; equal seeds and submissions give equal worlds. With `fates`, `behaviour` says only of the hosts."""
        self.behaviour = known = behaviour or Behaviour()
        self.fates = fates or (lambda spec: draw(known, seed, spec.address, spec.shape))
        self.seed = seed
        self.slots, self.line = Slots(total), Line()
        self.hosts = Hosts(self.behaviour.hosts, self.behaviour.slots_per_host)
        self.attempts: dict[Key, SimulatedAttempt] = {}
        self.runs: dict[Key, Run] = {}
        self.lives = 0  # how many engines have looked so far
        self.coming = 0  # submitted, held up
        self._heap: list[tuple[float, int, _Event, Key, Change | None]] = []
        self._count = 0

    @property
    def due(self) -> float | None:
        """Return when the next thing happens by itself; None if nothing will."""
        return self._heap[0][0] if self._heap else None

    def arrive(self, item: TaskSpec | Series, now: float) -> list[Change]:
        """Take attempts that are not known yet; they join the line after their delay. Those that can never run end."""
        attempts = [self._attempt(spec) for spec in specs_of(item)]
        run = Run(key_of(attempts[0].spec), item.shape, attempts)
        for attempt in attempts:
            attempt.run = run
        if not run.shape.fits(self.slots.total):
            message = f"it can never run here: {excess(run.shape, self.slots.total)}"
            return self._end_unbegun(run, Reason.SUBMIT, message, now)
        self.runs[run.key] = run
        self.coming += 1
        self._push(now + attempts[0].fate.delay, _Event.ARRIVAL, run.key)
        return []

    def _attempt(self, spec: TaskSpec) -> SimulatedAttempt:
        self._count += 1
        attempt = SimulatedAttempt(Handle(spec.address, spec.lease, f"sim.{self._count}"), spec, self.fates(spec))
        self.attempts[key_of(spec)] = attempt
        return attempt

    def advance(self, now: float) -> list[Change]:
        """Let everything happen that is due by `now`; return what can be known of it, in order."""
        changes: list[Change] = []
        while self._heap and self._heap[0][0] <= now:
            at, _, event, key, change = heapq.heappop(self._heap)
            if event is _Event.END:
                changes += self._over(key, at)
            elif event is _Event.REPORT and change:
                changes.append(change)
                if key in self.attempts:
                    self.attempts[key].reported = True
            elif key in self.runs:
                changes += self._happen(event, self.runs[key], at)
        return changes

    def _over(self, key: Key, at: float) -> list[Change]:
        """End an attempt as it was to end, unless it did before."""
        attempt = self.attempts.get(key)
        if attempt is None or attempt.begun is None or attempt.end:
            return []
        fate = attempt.fate
        told = outcome(attempt.spec, fate, attempt.run.host, fate.reason, attempt.begun.at, at)
        return self._release(attempt, told, at)

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
            told = outcome(attempt.spec, attempt.fate, attempt.run.host, Reason.TERMINATED, attempt.begun.at, now)
            return self._release(attempt, told, now, alone=True)
        attempt.run.left.remove(attempt)
        told = Outcome(*key, Reason.TERMINATED, "it was cancelled before it started")
        changes = self._finish(attempt, told, now)
        if not attempt.run.left and not attempt.run.busy:
            changes += self._drop(attempt.run, now)
        return changes

    def _drop(self, run: Run, now: float) -> list[Change]:
        """Forget a run of which nothing is left."""
        del self.runs[run.key]
        if run.host:
            self.slots.give(run.shape)
            self.hosts.give(run.host)
            return self._start(now)
        if not self.line.remove(run.key):
            self.coming -= 1
        return []

    def log(self, key: Key, now: float) -> tuple[Handle, bytes] | None:
        """Return the whole standard output of an attempt so far; None if it never began, is forgotten, or writes none."""
        attempt = self.attempts.get(key)
        if attempt is None or attempt.begun is None or self.behaviour.quiet:
            return None
        until = attempt.end.at if attempt.end else now
        return attempt.handle, log(
            key[0], attempt.fate, attempt.run.host, attempt.begun.at, until, attempt.end is not None
        )

    def _happen(self, event: _Event, run: Run, at: float) -> list[Change]:
        if event is _Event.BEGIN:
            return self._begin(run, at)
        self.coming -= 1
        self.line.add(run.key, run.shape)
        return self._start(at)

    def _start(self, at: float) -> list[Change]:
        changes: list[Change] = []
        for key in self.line.start(self.slots, admits=self._land):
            if self.behaviour.overhead:
                self._push(at + self.behaviour.overhead, _Event.BEGIN, key)
            else:
                changes += self._begin(self.runs[key], at)
        return changes

    def _land(self, key: Key) -> bool:
        """Put a run on a host; tell whether one has room for it."""
        run = self.runs[key]
        avoid = {name for attempt in run.left for name in attempt.spec.avoid}
        run.host = self.hosts.take(run.left[0].fate.place, avoid) or ""
        return bool(run.host)

    def _begin(self, run: Run, at: float) -> list[Change]:
        """Begin the next attempt of a run."""
        attempt = run.left.pop(0)
        run.busy = True
        attempt.fate = landed(attempt.fate, self.behaviour.faults.get(run.host))
        attempt.begun = Change(attempt.handle, What.RUNNING, at, run.host)
        self._push(at + attempt.fate.duration, _Event.END, key_of(attempt.spec))
        return [attempt.begun]

    def _release(self, attempt: SimulatedAttempt, told: Outcome, at: float, alone: bool = False) -> list[Change]:
        """End a running attempt. The next of its series begins, unless it was evicted and not told to stop `alone`."""
        run = attempt.run
        run.busy = False
        changes = self._finish(attempt, told, at)
        if told.reason is Reason.TERMINATED and not alone:
            changes += self._end_unbegun(run, Reason.UNBEGUN, "its series was evicted before it began", at)
        return changes + (self._begin(run, at) if run.left else self._drop(run, at))

    def _end_unbegun(self, run: Run, reason: Reason, message: str, at: float) -> list[Change]:
        left, run.left = run.left, []
        return [
            c for attempt in left for c in self._finish(attempt, Outcome(*key_of(attempt.spec), reason, message), at)
        ]

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
