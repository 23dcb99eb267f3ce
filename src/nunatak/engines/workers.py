"""The running part of the local engine: start workers once, watch them, hold them to limits, leave nothing behind."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nunatak.core.clock import Clock
from nunatak.core.units import memory_text, time_text
from nunatak.core.work import Outcome, Reason, Shape
from nunatak.engines import processes
from nunatak.engines.outcomes import Stop, conclude, held_to_checkpoint, held_to_promise, shown
from nunatak.engines.processes import Process, Table
from nunatak.engines.sandbox import Sandbox

BEGINNING = 5.0
"""Seconds that a worker may need until it hears signals, on a busy machine."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When the engine steps in for a worker that does not; seconds and bytes. The worker itself is stricter.

    An attempt is told to stop `margin` seconds over its time, or over `memory_factor` times its memory plus
    `memory_margin`; `grace` seconds later it is killed. The process table is read every `look` seconds.
    """

    margin: float = 120.0
    grace: float = 60.0
    memory_factor: float = 1.25
    memory_margin: int = 128_000_000
    look: float = 5.0


@dataclass(slots=True)
class Attempt:
    """What the engine has in mind of one attempt; everything here can be read again from its sandbox."""

    box: Sandbox
    shape: Shape
    gpus: tuple[int, ...] = ()
    process: Process | None = None
    watched: int = -1  # pidfd
    stop: Stop | None = None
    ask_at: float = 0.0  # when to ask again, in seconds since boot
    kill_at: float = 0.0  # when to kill, likewise
    members: set[Process] = field(default_factory=set)
    ended: bool = False


class Workers:
    """The workers of one engine, started by it or by an earlier one."""

    def __init__(
        self,
        argv: Sequence[str],
        cache: Path,
        environ: Mapping[str, str],
        limits: Limits,
        clock: Clock,
        boot_clock: Clock,
    ) -> None:
        """Begin with none; `argv` starts a worker, `boot_clock` gives seconds since boot."""
        self._argv, self._options = tuple(argv), ("--cache", str(cache))
        self._environ, self._limits = environ, limits
        self._clock, self._boot_clock = clock, boot_clock
        self._boot = processes.boot_id()
        self._running: dict[int, Attempt] = {}
        self._epoll = select.epoll()
        self._looked = boot_clock()

    def launch(self, attempt: Attempt, variables: Mapping[str, str]) -> float:
        """Start the worker of an attempt and return when. Raises `OSError` if it could not be started.

        The intent is on disk before the process is there: whatever happens in between, nobody starts it again.
        """
        box = attempt.box
        box.intend()
        environ = {**self._environ, **variables, processes.MARK: str(box.path)}
        argv = (*self._argv, str(box.path), *self._options)
        attempt.process = processes.spawn(argv, environ, box.path / "launch.log")
        at = self._clock()
        record = {**asdict(attempt.process), "boot": self._boot, "at": at, "gpus": attempt.gpus}
        if_possible(lambda: box.write("worker.json", record))  # without it, the worker is found by its arguments
        return at

    def take_over(self, attempt: Attempt) -> float:
        """Find the worker that an earlier engine started for an attempt, and return when that was."""
        box, record = attempt.box, attempt.box.read_plain("worker.json")
        if record.get("boot") == self._boot:
            attempt.process = Process(int(record["pid"]), int(record["ticks"]))
        elif not record:
            # The engine was killed between the start and its record: the worker is there, or it never was.
            attempt.process = Table.now().worker_of(box.path)
        attempt.gpus = tuple(record.get("gpus", ()))
        stop = box.read_plain("stop.json")
        if stop:
            attempt.stop = Stop(Reason(stop["reason"]), stop["message"], stop["at"])
            attempt.kill_at = attempt.stop.at + self._limits.grace
        return float(record.get("at", self._clock()))

    def follow(self, attempt: Attempt) -> bool:
        """Watch the worker of an attempt; tell whether it was still there. One that ended already is as good."""
        watched = processes.watch(attempt.process) if attempt.process else None
        if watched is None:
            return False
        attempt.watched = watched
        self._running[watched] = attempt
        self._epoll.register(watched, select.EPOLLIN)
        return True

    def ended(self) -> list[Attempt]:
        """Return the attempts whose workers have ended and were not concluded yet."""
        found, ready = [], self._epoll.poll(0)
        for watched, _ in ready:
            found.append(self._running.pop(watched))
            self._epoll.unregister(watched)
        return found

    def conclude(self, attempts: Sequence[Attempt]) -> list[Outcome]:
        """Say how attempts ended whose workers are gone; kill what those left that did not end by themselves."""
        self._sweep([attempt for attempt in attempts if attempt.stop or not attempt.box.has("outcome.json")])
        return [self._conclude(attempt) for attempt in attempts]

    def _conclude(self, attempt: Attempt) -> Outcome:
        box, words = attempt.box, "it was gone when the engine looked for it"
        if attempt.watched >= 0:
            words = processes.last_words(attempt.watched)
            os.close(attempt.watched)
            attempt.watched = -1
        complaint = box.read("launch.log", most=4096)
        words += f"; it said {shown(complaint[-300:], 300)}" if complaint else ""
        told = box.read("outcome.json") if box.has("outcome.json") else None
        outcome = conclude(box.handle, told, box.read("usage.json"), attempt.stop, words)
        if told is None:
            if_possible(lambda: box.write_end(outcome))
            return outcome
        try:
            task = box.read_task()
            return held_to_checkpoint(held_to_promise(outcome, task.outputs), task.checkpoint)
        except (ValueError, KeyError, TypeError, AttributeError):
            message = "what was asked for can no longer be read: its task.json is damaged"
            return Outcome(outcome.address, outcome.lease, Reason.INVALID, message)

    def tell(self, attempt: Attempt, reason: Reason, message: str) -> None:
        """Ask a worker to stop; it has the grace to end its payload and write an outcome. The first reason counts."""
        if attempt.stop or attempt.process is None:
            return
        attempt.stop = Stop(reason, message, self._boot_clock())
        attempt.kill_at = attempt.stop.at + self._limits.grace
        stop = asdict(attempt.stop)
        if_possible(lambda: attempt.box.write("stop.json", stop))
        self._ask(attempt, attempt.stop.at)

    def _ask(self, attempt: Attempt, now: float) -> None:
        """Send SIGTERM, soon again to a worker that is just beginning and may miss it, else at half of the grace.

        Not sooner, because a worker takes the second for impatience and cuts the grace of its payload short.
        """
        if attempt.process and now >= attempt.ask_at:
            young = now - attempt.process.started < BEGINNING
            attempt.ask_at = now + (BEGINNING / 2 if young else self._limits.grace / 2)
            processes.ask_to_end(attempt.process)

    def guard(self) -> None:
        """Ask those again that were told to stop, kill those whose grace is over; now and then, look for excess."""
        now = self._boot_clock()
        stopping = [attempt for attempt in self._running.values() if attempt.stop]
        for attempt in stopping:
            self._ask(attempt, now)
        late = [attempt for attempt in stopping if now >= attempt.kill_at]
        for attempt in late:
            attempt.kill_at = now + 1.0
        self._sweep(late, times=1)
        if now - self._looked >= self._limits.look:
            self._looked = now
            self._look(now, Table.now())

    def _look(self, now: float, seen: Table) -> None:
        limits = self._limits
        for attempt in self._running.values():
            if attempt.process is None:
                continue
            attempt.members = seen.family(attempt.process, attempt.members)
            age, memory, shape = now - attempt.process.started, seen.memory(attempt.members), attempt.shape
            if age > shape.time + limits.margin:
                asked = time_text(shape.time)
                self.tell(attempt, Reason.TIME, f"it ran {time_text(age)}; {asked} were asked for")
            elif memory > shape.memory * limits.memory_factor + limits.memory_margin:
                asked = memory_text(shape.memory)
                self.tell(attempt, Reason.MEMORY, f"it used {memory_text(memory)} of memory; {asked} were asked for")

    def _sweep(self, attempts: Iterable[Attempt], times: int = 3) -> None:
        """Kill every process of these attempts; again while there are any, since they may start more meanwhile."""
        attempts = list(attempts)
        for _ in range(times if attempts else 0):
            seen, found = Table.now(), set[Process]()
            for attempt in attempts:
                if attempt.process:
                    found |= seen.family(attempt.process, attempt.members)
                found |= seen.marked(attempt.box.path)
            if not found:
                return
            processes.end(found)

    def wait(self, seconds: float) -> bool:
        """Sleep until a worker ends, at most `seconds`; tell whether one did."""
        return bool(self._epoll.poll(seconds, 1))

    def close(self) -> None:
        """Stop watching; everything goes on running."""
        self._epoll.close()
        for watched in self._running:
            os.close(watched)
        self._running.clear()


def if_possible(write: Callable[[], Any]) -> None:
    """Write a record that helps the next engine; on a full disk this one goes on with what it has in memory."""
    try:
        write()
    except OSError:
        return
