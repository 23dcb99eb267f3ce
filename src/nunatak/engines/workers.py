"""The running part of the local engine: start workers once, watch them, hold them to limits, leave nothing behind."""

from __future__ import annotations

import os
import select
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nunatak.core.clock import Clock
from nunatak.core.units import memory_text, time_text
from nunatak.core.work import Outcome, Reason
from nunatak.engines import processes
from nunatak.engines.attempts import BEGUN, OUTCOME, Attempt, Worker
from nunatak.engines.conclusions import concluded, if_possible, last_words
from nunatak.engines.outcomes import Stop
from nunatak.engines.processes import Process, Table

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
        self._running: dict[int, Worker] = {}
        self._series: dict[int, Worker] = {}  # those of them that run a series
        self._epoll = select.epoll()
        self._looked = boot_clock()

    # ---- beginning

    def launch(self, worker: Worker, variables: Mapping[str, str]) -> float:
        """Start a worker and return when. Raises `OSError` if it could not be started.

        The intent is on disk before the process is there: whatever happens in between, nobody starts it again.
        """
        home = worker.home
        home.intend()
        environ = {**self._environ, **variables, processes.MARK: str(home.path)}
        argv = (*self._argv, *worker.order, *self._options)
        worker.process = processes.spawn(argv, environ, home.path / "launch.log")
        at = self._clock()
        record = {**asdict(worker.process), "boot": self._boot, "at": at, "gpus": worker.gpus}
        if_possible(lambda: home.write("worker.json", record))  # without it, the worker is found by its arguments
        return at

    def take_over(self, worker: Worker) -> float:
        """Find a worker that an earlier engine started, and return when that was."""
        record = worker.home.read_plain("worker.json")
        if record.get("boot") == self._boot:
            worker.process = Process(int(record["pid"]), int(record["ticks"]))
        elif not record:
            # The engine was killed between the start and its record: the worker is there, or it never was.
            worker.process = Table.now().worker_of(worker.order[-1])
        worker.gpus = tuple(record.get("gpus", ()))
        for attempt in worker.unended():
            stop = attempt.box.read_plain("stop.json")
            if stop:
                attempt.stop = Stop(Reason(stop["reason"]), stop["message"], stop["at"])
                attempt.kill_at = attempt.stop.at + self._limits.grace
        return float(record.get("at", self._clock()))

    def follow(self, worker: Worker) -> bool:
        """Watch a worker; tell whether it was still there. One that ended already is as good."""
        watched = processes.watch(worker.process) if worker.process else None
        if watched is None:
            return False
        worker.watched, worker.idle_since = watched, self._boot_clock()
        self._running[watched] = worker
        if worker.series:
            self._series[watched] = worker
        elif worker.process:
            worker.left[0].begun = worker.process.started
        self._epoll.register(watched, select.EPOLLIN)
        return True

    # ---- what the members of series do

    def progress(self) -> Iterator[tuple[Attempt, float | None]]:
        """Yield what goes on in the series: (attempt, when it began), and (attempt, None) for one that is over.

        Costs a look at one or two files for each running series. The caller marks as ended what is over.
        """
        for worker in self._series.values():
            yield from self.advance(worker)

    def advance(self, worker: Worker) -> Iterator[tuple[Attempt, float | None]]:
        """Yield what is new in one series."""
        while (head := worker.head()) is not None:
            if head.begun is None:
                at = head.box.made(BEGUN)
                if at is None:
                    return
                head.begun = self._boot_clock() - max(0.0, self._clock() - at)
                yield head, at
            if not head.box.has(OUTCOME):
                following = worker.after_head()
                if following is None or not following.box.has(BEGUN):
                    return
            worker.idle_since = self._boot_clock()
            yield head, None

    # ---- ending

    def ended(self) -> list[Worker]:
        """Return the workers that have ended and were not concluded yet."""
        found, ready = [], self._epoll.poll(0)
        for watched, _ in ready:
            found.append(self._running.pop(watched))
            self._series.pop(watched, None)
            self._epoll.unregister(watched)
        return found

    def conclude(self, workers: Sequence[Worker]) -> list[list[tuple[Attempt, Outcome]]]:
        """Say how the attempts ended whose workers are gone; kill what those left that did not end by themselves."""
        unended = [worker.unended() for worker in workers]
        self._sweep(
            worker
            for worker, attempts in zip(workers, unended, strict=True)
            if any(attempt.stop or not attempt.box.has(OUTCOME) for attempt in attempts)
        )
        words = [last_words(worker) for worker in workers]
        return [
            [(attempt, concluded(attempt, said)) for attempt in attempts]
            for attempts, said in zip(unended, words, strict=True)
        ]

    def tell(self, attempt: Attempt, reason: Reason, message: str) -> None:
        """Have an attempt stopped; its worker has the grace to end the payload and write an outcome.

        The first reason counts.
        """
        if attempt.stop or attempt.worker.process is None:
            return
        attempt.stop = Stop(reason, message, self._boot_clock())
        attempt.kill_at = attempt.stop.at + self._limits.grace
        stop = asdict(attempt.stop)
        if_possible(lambda: attempt.box.write("stop.json", stop))
        self._ask(attempt, attempt.stop.at)

    def _ask(self, attempt: Attempt, now: float) -> None:
        """Send a signal, soon again to a worker that is just beginning and may miss it, else at half of the grace.

        Not sooner, because a worker takes the second for impatience and cuts the grace of its payload short. The worker
        of a series hears from the moment on at which it begins its first attempt.
        """
        worker = attempt.worker
        if worker.process is None or now < attempt.ask_at:
            return
        if worker.series:
            if attempt.box.has(BEGUN):
                attempt.ask_at = now + self._limits.grace / 2
                processes.ask_to_skip(worker.process)
            return
        young = now - worker.process.started < BEGINNING
        attempt.ask_at = now + (BEGINNING / 2 if young else self._limits.grace / 2)
        processes.ask_to_end(worker.process)

    # ---- guarding

    def guard(self) -> None:
        """Ask those again that were told to stop, kill those whose grace is over; now and then, look for excess."""
        now = self._boot_clock()
        running = (worker.running() for worker in self._running.values())
        stopping = [attempt for attempt in running if attempt is not None and attempt.stop]
        for attempt in stopping:
            self._ask(attempt, now)
        late = [attempt for attempt in stopping if now >= attempt.kill_at]
        for attempt in late:
            attempt.kill_at = now + 1.0
        self._sweep((attempt.worker for attempt in late), times=1, spare=True)
        if now - self._looked >= self._limits.look:
            self._looked = now
            self._look(now, Table.now())

    def _look(self, now: float, seen: Table) -> None:
        stuck = []
        for worker in self._running.values():
            if worker.process is None:
                continue
            worker.family = seen.family(worker.process, worker.family)
            attempt = worker.running()
            if attempt is not None:
                self._hold_to_limits(attempt, now, seen.memory(worker.family))
            elif now - worker.idle_since > self._limits.margin:
                stuck.append(worker)
        self._sweep(stuck)

    def _hold_to_limits(self, attempt: Attempt, now: float, memory: int) -> None:
        limits, shape = self._limits, attempt.shape
        age = now - (now if attempt.begun is None else attempt.begun)
        if age > shape.time + limits.margin:
            asked = time_text(shape.time)
            self.tell(attempt, Reason.TIME, f"it ran {time_text(age)}; {asked} were asked for")
        elif memory > shape.memory * limits.memory_factor + limits.memory_margin:
            asked = memory_text(shape.memory)
            self.tell(attempt, Reason.MEMORY, f"it used {memory_text(memory)} of memory; {asked} were asked for")

    def _sweep(self, workers: Iterable[Worker], times: int = 3, spare: bool = False) -> None:
        """Kill every process of these workers; again while there are any, since they may start more meanwhile.

        With `spare`, the worker of a series itself lives on, and goes on with its next attempt.
        """
        workers = list(workers)
        for _ in range(times if workers else 0):
            seen, found = Table.now(), set[Process]()
            for worker in workers:
                own = self._found(worker, seen)
                found |= own - {worker.process} if spare and worker.series else own
            if not found:
                return
            processes.end(found)

    def _found(self, worker: Worker, seen: Table) -> set[Process]:
        found = seen.marked(worker.home.path)
        if worker.process:
            found |= seen.family(worker.process, worker.family)
        if worker.series:
            for attempt in worker.unended():
                if attempt.box.has(BEGUN):
                    found |= seen.marked(attempt.box.path)
        return found

    def wait(self, seconds: float) -> bool:
        """Sleep until a worker ends, at most `seconds`; tell whether one did."""
        return bool(self._epoll.poll(seconds, 1))

    def close(self) -> None:
        """Stop watching; everything goes on running."""
        self._epoll.close()
        for watched in self._running:
            os.close(watched)
        self._running.clear()
        self._series.clear()
