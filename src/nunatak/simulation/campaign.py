"""Drives a campaign through simulated time: engines are polled, reports taken, tasks claimed and submitted, loops ticked.

The clock jumps. A step covers about the time in which a small part of what is left ends, so that a large campaign takes few
thousand steps and the end of any is exact; engines hold as many waiting attempts as they need not to stand idle meanwhile.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from nunatak.core.address import Address
from nunatak.core.clock import ManualClock
from nunatak.core.states import TaskState
from nunatak.core.work import Environment, Reason, Shape, TaskSpec, Usage
from nunatak.datasets.plan import Plan
from nunatak.engines.fates import Habit, fates_of
from nunatak.engines.protocol import Change, Handle, Nodes, What
from nunatak.engines.simulated import SimulatedEngine
from nunatak.engines.slots import excess
from nunatak.engines.world import World
from nunatak.loops.maintenance import Loop
from nunatak.simulation.house import House
from nunatak.simulation.resources import Carrier, Out, Resource
from nunatak.tasks.report import Batch, Ended, Started
from nunatak.tasks.rows import Claimed

SET = 500
"""Tasks claimed and outcomes reported at a time, as engine hosts do."""
GRAIN = 100
"""A step covers the time in which one in so many of the tasks left ends."""
FINER = 5
"""Steps are so many times finer at most where few slots ask for it."""
KNOWN = 20
"""Attempts that have to end before it is said how long one takes."""
IDLE_STEP, IDLE_STEPS = 3600.0, 96
"""How far and how often the clock goes on while nothing runs, for what only a loop can set going again."""
HOUR = 3600.0
UNFINISHED = (TaskState.WAITING, TaskState.READY, TaskState.QUEUED, TaskState.RUNNING)
_NOTHING = Environment()

Habits = Callable[[int, int, str], Habit]
"""Returns the habit of a task by dataset, job (-1: once a dataset) and name."""


class Campaign:
    """A campaign in simulated time; equal seeds and calls give equal campaigns. A context manager: it leaves nothing behind."""

    def __init__(self, habits: Habits, *, seed: int = 0, grain: int = GRAIN, clock: ManualClock | None = None) -> None:
        """Begin with no engines and no datasets; `habits` says what tasks take."""
        self.clock = clock or ManualClock()
        self.begin = self.clock()
        self.house = House(self.clock, seed)
        self.carriers: dict[int, Carrier] = {}
        self.steps = 0
        self.moved = 0.0  # seconds after the begin when something last ran or changed
        self.loops = self.house.loops()
        self.counts: dict[tuple[int, int], dict[TaskState, int]] = {}  # by dataset and task, after the last step
        self._habits, self._seed, self._grain = habits, seed, grain
        self._due: dict[str, float] = {}
        self._agenda: list[tuple[float, int, Callable[[], object]]] = []
        self._watchers: list[Callable[[], object]] = []
        self._left = self._added = self._ended = 0
        self.wall = 0.0
        self._names: dict[int, list[str]] = {}

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the passing database."""
        self.house.close()

    # ---- what there is

    def add(self, resource: Resource) -> Carrier:
        """Put an engine to work."""
        number = self.house.register(resource.name, resource.site, resource.slot)
        fates = fates_of(resource.place, self._habit, self._seed)
        world = World(resource.total, seed=number, behaviour=resource.place.behaviour(), fates=fates)
        carrier = Carrier(resource, number, SimulatedEngine(clock=self.clock, queue=0, world=world), self.elapsed)
        self.carriers[number] = carrier
        return carrier

    def submit(self, plan: Plan, *, owner: str = "you", team: str = "", priority: float = 1.0) -> int:
        """Make a dataset now and return its number."""
        dataset = self.house.submit(plan, owner, team, priority)
        self._names[dataset] = [task.name for task in plan.tasks]
        return dataset

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something so many seconds after the begin."""
        self._added += 1
        heapq.heappush(self._agenda, (self.begin + seconds, self._added, action))

    def watch(self, watcher: Callable[[], object]) -> None:
        """Call something after each step."""
        self._watchers.append(watcher)

    @property
    def elapsed(self) -> float:
        """Return the seconds since the begin."""
        return self.clock() - self.begin

    @property
    def running(self) -> int:
        """Return how many attempts are with engines."""
        return sum(len(carrier.out) for carrier in self.carriers.values())

    def lacks(self) -> list[str]:
        """Say of tasks that are ready and fit no engine why not."""
        offers = [carrier.resource for carrier in self.carriers.values()]
        return [
            f"no engine takes {name}: {min((excess(shape, of.slot) for of in offers), key=len)}"
            for name, shape in self.house.ready(self._names)
            if offers and not any(shape.fits(of.slot) for of in offers)
        ]

    # ---- time

    def run(self, until: float = math.inf, enough: Callable[[], bool] = lambda: False) -> bool:
        """Go on until nothing more happens by itself, or `until` seconds after the begin; tell whether it is over.

        `enough` is asked after each step and ends it, too.
        """
        idle = 0
        while self.elapsed < until:
            moved = self.step()
            if self._over() or enough():
                self.moved = self.elapsed
                return True
            idle = 0 if moved or self.running else idle + 1
            self.moved = self.moved if idle else self.elapsed
            if idle > IDLE_STEPS:
                return True
            self.clock.now = min(self._next(idle), self.begin + until)
        return False

    def done(self, dataset: int) -> bool:
        """Tell whether nothing of a dataset is left to do."""
        mine = [of for key, of in self.counts.items() if key[0] == dataset]
        return bool(mine) and not any(of[state] for of in mine for state in UNFINISHED)

    def step(self) -> bool:
        """Do all that is due now; tell whether anything moved."""
        self.steps += 1
        moved = False
        while self._agenda and self._agenda[0][0] <= self.clock():
            heapq.heappop(self._agenda)[2]()
            moved = True
        moved |= self._report()
        moved |= self._tick()
        moved |= self._claim()
        self.counts = self.house.counts()
        self._left = sum(of[state] for of in self.counts.values() for state in UNFINISHED)
        for watcher in self._watchers:
            watcher()
        return moved

    def evict(self, carrier: Carrier, handles: Sequence[Handle]) -> None:
        """Let a resource throw out attempts."""
        carrier.engine.cancel(handles)

    def _over(self) -> bool:
        return not self._left and not self._agenda and not self.running

    def _next(self, idle: int) -> float:
        """Return the time of the next step: after a small part of what is left, but not before something is due."""
        now = self.clock()
        dues = [carrier.engine.world.due for carrier in self.carriers.values()]
        events = [at for at in dues if at is not None] + [item[0] for item in self._agenda[:1]]
        again = self.house.next_try() if not self.running and self._left else None
        if again is not None:
            events.append(again)
        if not events:
            return now + IDLE_STEP
        return max(min(events), now + self._pace()) if not idle else min(events)

    def _pace(self) -> float:
        """Return the seconds in which about `few` tasks end; none while a node is on trial, of whose end engines hear at once."""
        few = self._few
        tried = any(carrier.nodes.probed for carrier in self.carriers.values())
        if few <= 1 or self._ended < KNOWN or tried:
            return 0.0
        return few * (self.wall / self._ended) / max(1, self.running - self._waiting)

    @property
    def _few(self) -> float:
        """Return how many ends a step covers: one in `grain` of what is left, but no large part of what can run at once."""
        slots = sum(carrier.resource.total.cpu for carrier in self.carriers.values())
        return min(self._left / self._grain, max(slots / 2, self._left / FINER / self._grain))

    @property
    def _waiting(self) -> int:
        return sum(len(carrier.engine.world.line) + carrier.engine.world.coming for carrier in self.carriers.values())

    # ---- work

    def _report(self) -> bool:
        """Let the server know what happened in all engines, in sets."""
        told: list[tuple[Carrier, Change]] = []
        for carrier in self.carriers.values():
            changes = carrier.engine.poll(carrier.cursor)
            carrier.cursor = changes.cursor
            told += [(carrier, change) for change in changes.changes]
        for start in range(0, len(told), 2 * SET):
            self._tell(told[start : start + 2 * SET])
        return bool(told)

    def _tell(self, told: Sequence[tuple[Carrier, Change]]) -> None:
        batches: dict[int, tuple[list[Started], list[Ended]]] = defaultdict(lambda: ([], []))
        for carrier, change in told:
            handle = (change.handle.address, change.handle.lease)
            if handle not in carrier.out:
                continue
            started, ended = batches[carrier.number]
            if change.what is What.RUNNING:
                started.append(Started(carrier.out[handle].key, change.at, change.host))
            elif change.outcome is not None:
                gone = carrier.out.pop(handle)
                if change.outcome.reason is not Reason.OK:
                    self._due["health"] = 0.0  # good news can wait for the loop, bad ones cannot
                if gone.over:  # nothing can be learnt from it
                    ended.append(Ended(gone.key, replace(change.outcome, usage=Usage())))
                    continue
                ended.append(Ended(gone.key, change.outcome))
                self._ended += 1
                self.wall += change.outcome.usage.wall or 0.0
                carrier.busy += (change.outcome.usage.wall or 0.0) * gone.cpu
        self.house.report([Batch(engine, *of) for engine, of in sorted(batches.items())])

    def _tick(self) -> bool:
        """Tick the loops that are due, and end what they stopped."""
        now, moved, ticked = self.clock(), False, False
        for loop in self.loops:
            if now >= self._due.get(loop.name, 0.0):
                self._due[loop.name] = now + loop.interval
                moved, ticked = moved | self._all(loop), True
        if ticked:
            self._exclude()
        if moved:
            for carrier in self.carriers.values():
                handles = {out.key: out.handle for out in carrier.out.values()}
                stops = [handles[key] for key in self.house.stops(carrier.number) if key in handles]
                carrier.engine.cancel(stops)
        return moved

    def _exclude(self) -> None:
        """Let engines hear which of their nodes are out or on trial."""
        excluded = self.house.excluded()
        for carrier in self.carriers.values():
            site = carrier.resource.site
            nodes = Nodes(excluded.drained.get(site, ()), excluded.probed.get(site, ()))
            if nodes != carrier.nodes:
                carrier.nodes = nodes
                carrier.engine.submit([], nodes)

    @staticmethod
    def _all(loop: Loop) -> bool:
        moved = False
        while loop.tick():
            moved = True
        return moved

    def _claim(self) -> bool:
        """Give each engine what it has room for, in sets, until nobody gets more."""
        moved, hungry = False, set(self.carriers)
        while hungry:
            wants = {n: want for n in sorted(hungry) if (want := self._want(self.carriers[n])) >= 1}
            if not wants:
                break
            taken = self.house.claim({n: (self.carriers[n].resource.offer, want) for n, want in wants.items()})
            for number, items in taken.items():
                if items:
                    moved = True
                    self._submit(self.carriers[number], items)
            hungry = {number for number, items in taken.items() if items and len(items) >= wants[number]}
        return moved

    def _want(self, carrier: Carrier) -> int:
        """Return how many attempts an engine takes now: idle cores, and what ends there until the next step or two."""
        share = len(carrier.out) / max(1, self.running)
        few = self._few
        carrier.engine.queue = min(4 * SET, math.ceil(1.2 * share * few)) if few > 1 else 0
        return min(SET, carrier.engine.capacity().queue)

    def _submit(self, carrier: Carrier, items: Sequence[Claimed]) -> None:
        shapes = self.house.shapes([item.shape for item in items])
        specs = [self._spec(item, shapes[item.shape]) for item in items]
        for item, spec, handle in zip(items, specs, carrier.engine.submit(specs, carrier.nodes), strict=True):
            key = (item.dataset, item.job, item.task, item.attempt, item.lease)
            carrier.out[spec.address, spec.lease] = Out(key, handle, spec.shape.cpu, self._habit(spec).over)

    def _spec(self, item: Claimed, shape: Shape) -> TaskSpec:
        """Return all that a simulated engine looks at; commands and files are nothing to it."""
        name = self._names[item.dataset][item.task]
        address = str(Address(item.dataset, None if item.job < 0 else item.job, name, item.attempt))
        return TaskSpec(address, f"{item.lease:x}", (), _NOTHING, (), (), shape, avoid=item.avoid)

    def _habit(self, spec: TaskSpec) -> Habit:
        dataset, *job, task = spec.address.partition("#")[0].split("/")
        return self._habits(int(dataset), int(job[0]) if job else -1, task)
