"""An engine without a resource: attempts take time by the clock passed in, fail, vanish and come back; all seeded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nunatak.core.clock import Clock, system_clock
from nunatak.core.errors import Unavailable
from nunatak.core.work import TARGET, Grouping, Series, Shape, TaskSpec
from nunatak.engines.behaviour import Behaviour
from nunatak.engines.keys import check, key_of, specs_of, unknown
from nunatak.engines.news import News
from nunatak.engines.protocol import ALL_FINE, Capacity, Change, Changes, Handle, LogPart, Nodes
from nunatak.engines.settings import SimulatedSettings, read
from nunatak.engines.world import World

LOG_PART = 256 * 1024
"""Bytes of one stream that one call of `logs` returns at most."""
MANY = Shape(cpu=1000, gpu=100, memory=4_000_000_000_000, disk=100_000_000_000_000, time=366 * 86400)
"""A pool of a thousand cores."""


class SimulatedEngine:
    """Looks at a `World`. Drop it and make another on the same world: that is a restart."""

    def __init__(
        self,
        *,
        clock: Clock = system_clock,
        total: Shape = MANY,
        seed: int = 0,
        behaviour: Behaviour | None = None,
        queue: int = 10_000,
        world: World | None = None,
        target: float = TARGET,
    ) -> None:
        """Look at `world`, or make one of `total`, `seed` and `behaviour`; `queue` attempts may wait.

        `target` is how many seconds a series should take.
        """
        self.world = world or World(total, seed=seed, behaviour=behaviour)
        self.queue = queue  # may be changed at any time
        self._clock = clock
        self.grouping = Grouping(target, self.world.slots.total.time, overhead=0.0)
        self.world.lives += 1
        self._news = News(f"{self.world.seed:x}-{self.world.lives}")
        for attempt in self.world.attempts.values():
            self._tell([change for change in (attempt.begun, attempt.reported and attempt.end) if change])

    def submit(self, batch: Sequence[TaskSpec | Series], nodes: Nodes = ALL_FINE) -> list[Handle]:
        """Let attempts arrive. Raises `Unavailable` for more than `capacity().queue`; a series counts once."""
        specs = [spec for item in batch for spec in specs_of(item)]
        for spec in specs:
            check(spec)
        now, world = self._advance(), self.world
        new = unknown(batch, world.attempts)
        room = self.capacity().queue
        if sum(item.shape.fits(world.slots.total) for item in new) > room:
            raise Unavailable(f"this engine takes {room} more attempts now", code="engine-full", room=room)
        self._tell(world.be(nodes, now))
        for item in new:
            self._tell(world.arrive(item, now))
        self._advance()
        return [world.attempts[key_of(spec)].handle for spec in specs]

    def poll(self, cursor: str) -> Changes:
        """Return what happened since `cursor`, by the clock."""
        for key in self._news.acknowledge(cursor):
            self.world.attempts.pop(key, None)
        self._advance()
        return self._news.since(cursor)

    def cancel(self, handles: Sequence[Handle]) -> None:
        """End attempts now."""
        now = self._advance()
        for handle in handles:
            self._tell(self.world.cancel(key_of(handle), now))

    def adopt(self) -> list[Handle]:
        """Return every attempt whose end has not been acknowledged."""
        return [attempt.handle for attempt in self.world.attempts.values()]

    def capacity(self) -> Capacity:
        """Return what is free; `queue` counts idle cores and the places to wait, less those who wait."""
        slots, waiting = self.world.slots, self.world.coming + len(self.world.line)
        free = slots.free()
        return Capacity(slots.total, free, max(0, self.queue + free.cpu - waiting))

    def logs(self, offsets: dict[tuple[str, str, str], int]) -> list[LogPart]:
        """Return new lines of the standard outputs asked for."""
        now, parts = self._advance(), list[LogPart]()
        if self.world.behaviour.quiet:
            return parts
        for (address, lease, stream), offset in offsets.items():
            found = self.world.log((address, lease), now) if stream == "stdout" and offset >= 0 else None
            if found and found[1][offset:]:
                parts.append(LogPart(found[0], stream, offset, found[1][offset : offset + LOG_PART]))
        return parts

    def _advance(self) -> float:
        now = self._clock()
        self._tell(self.world.advance(now))
        return now

    def _tell(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._news.add(change)


def from_settings(settings: Mapping[str, Any], clock: Clock = system_clock) -> SimulatedEngine:
    """Make a simulated engine from the options of `SimulatedSettings`. Raises `Invalid` for what they get wrong."""
    options = read(SimulatedSettings, settings, "simulated")
    behaviour = Behaviour(
        duration=options.duration,
        spread=options.spread,
        memory=options.memory_used,
        memory_spread=options.memory_spread,
        failure_rate=options.failure_rate,
        eviction_rate=options.eviction_rate,
        lost_rate=options.lost_rate,
        late=options.late,
        submit_delay=options.submit_delay,
        overhead=options.overhead,
        hosts=options.hosts,
        slots_per_host=options.slots_per_host,
        faults={host: fault.to_fault() for host, fault in options.faults.items()},
        quiet=options.quiet,
    )
    queue = 10_000 if options.queue is None else options.queue
    return SimulatedEngine(
        clock=clock, total=options.total(), seed=options.seed, behaviour=behaviour, queue=queue, target=options.target
    )
