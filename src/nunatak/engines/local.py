"""The engine of one machine: attempts are local processes, each under a worker; all it knows is in its directory.

It may be killed at any line. Workers are sessions of their own and go on; the next engine on the directory adopts them.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nunatak.core.clock import Clock, Keys, system_clock, system_keys
from nunatak.core.errors import Unavailable
from nunatak.core.using import MOST as MOST_USING
from nunatak.core.work import TARGET, Grouping, Outcome, Reason, Series, Shape, TaskSpec
from nunatak.engines.attempts import BEGUN, Attempt, Worker
from nunatak.engines.conclusions import concluded, if_possible
from nunatak.engines.intake import left_by_an_earlier_engine, place
from nunatak.engines.keys import Key, key_of, specs_of, unknown
from nunatak.engines.news import News
from nunatak.engines.outcomes import read_outcome
from nunatak.engines.places import Places
from nunatak.engines.processes import since_boot
from nunatak.engines.protocol import ALL_FINE, Capacity, Change, Changes, Handle, LogPart, Nodes, What
from nunatak.engines.sandbox import Shelf
from nunatak.engines.settings import LocalSettings, read
from nunatak.engines.slots import LOOK_AHEAD, excess
from nunatak.engines.workers import Limits, Workers

STREAMS = ("stdout", "stderr")
SWITCH = "NUNATAK_SPEED"
"""The one variable by this name that is the workers': 0 if they are not to measure their node."""
BETWEEN = 0.05
"""Seconds from the end of one member of a series to the beginning of the next, about."""
LOG_PART, LOG_CALL = 256 * 1024, 4 * 1024 * 1024
"""Bytes of one stream, and of all together, that one call of `logs` returns at most."""
_TRY_LATER = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT)


class LocalEngine:
    """Runs attempts on this machine, as many as fit.

    One process at a time may have the directory, and one thread at a time may call.
    """

    def __init__(
        self,
        directory: Path,
        *,
        total: Shape,
        worker: Sequence[str],
        cache: Path,
        clock: Clock = system_clock,
        keep: bool = False,
        queue: int | None = None,
        limits: Limits | None = None,
        environ: Mapping[str, str] | None = None,
        keys: Keys = system_keys,
        boot_clock: Clock = since_boot,
        target: float = TARGET,
    ) -> None:
        """Take over `directory` with whatever an earlier engine left running in it.

        `worker` is the argument list that starts a worker, `queue` how many attempts may wait beside those that run (by
        default the larger of 32 and four a core), `target` how many seconds a series should
        take, `environ` the environment of the workers, `keep` keeps every sandbox.
        Raises `Unavailable` while another engine has the directory or it cannot be written.
        """
        environ = inherited(os.environ) if environ is None else environ
        self._clock, self._host = clock, socket.gethostname()
        self.grouping = Grouping(target, total.time, overhead=BETWEEN)
        self._queue = max(32, 4 * total.cpu) if queue is None else queue
        self._shelf = Shelf(directory, keep=keep)
        self._workers = Workers(worker, cache, environ, limits or Limits(), clock, boot_clock)
        self._news = News(f"{keys():x}")
        self._places, self._nodes = Places(total), ALL_FINE
        self._attempts: dict[Key, Attempt] = {}
        for left in left_by_an_earlier_engine(self._shelf):
            self._recall(left)

    # ---- the six methods

    def submit(self, batch: Sequence[TaskSpec | Series], nodes: Nodes = ALL_FINE) -> list[Handle]:
        """Start what fits, let the rest wait. Raises `Unavailable` for more than `capacity().queue` or a full disk.

        A series counts once. This machine is one node: if it is drained, nothing starts.
        """
        handles = {key_of(spec): self._shelf.handle(spec) for item in batch for spec in specs_of(item)}
        new = unknown(batch, self._attempts)
        room = self.capacity().queue
        if sum(item.shape.fits(self._places.total) for item in new) > room:
            raise Unavailable(f"this engine takes {room} more attempts now", code="engine-full", room=room)
        for worker in place(self._shelf, new, handles):
            self._recall(worker)
        self._nodes = nodes
        self._start()
        return [handles[key_of(spec)] for item in batch for spec in specs_of(item)]

    def poll(self, cursor: str) -> Changes:
        """Notice what began and what ended, enforce limits, start what fits, and return what changed since `cursor`."""
        for key in self._news.acknowledge(cursor):
            self._forget(self._attempts.pop(key))
        self._settle(self._workers.ended())
        for attempt, begun in self._workers.progress():
            self._go_on(attempt, begun)
        self._workers.guard()
        self._start()
        return self._news.since(cursor)

    def cancel(self, handles: Sequence[Handle]) -> None:
        """End waiting attempts at once; ask the workers of running ones to stop, and kill the tree after the grace."""
        for handle in handles:
            attempt = self._attempts.get(key_of(handle))
            if attempt is None or attempt.ended:
                continue
            if self._places.waits(attempt.worker):
                self._say(attempt, Reason.TERMINATED, "it was cancelled before it started")
                self._leave_line(attempt.worker)
                continue
            self._workers.tell(attempt, Reason.TERMINATED, "it was cancelled")
            if attempt.worker.series and attempt.begun is None and _taken(attempt):
                self._say(attempt, Reason.TERMINATED, "it was cancelled before its turn in the series")

    def adopt(self) -> list[Handle]:
        """Return every attempt, waiting, running or ended, whose end has not been acknowledged."""
        return [attempt.box.handle for attempt in self._attempts.values()]

    def capacity(self) -> Capacity:
        """Return what is free; `queue` counts idle cores and the places to wait, less those who wait."""
        free = self._places.free()
        return Capacity(self._places.total, free, max(0, self._queue + free.cpu - self._places.waiting))

    def logs(self, offsets: dict[tuple[str, str, str], int]) -> list[LogPart]:
        """Return new bytes of the logs asked for, bounded for one stream and for the call."""
        most = max(1024, min(LOG_PART, LOG_CALL // max(1, len(offsets))))
        parts = []
        for (address, lease, stream), offset in offsets.items():
            attempt = self._attempts.get((address, lease))
            if attempt and stream in STREAMS and offset >= 0:
                data = attempt.box.read(stream, offset, most)
                if data:
                    parts.append(LogPart(attempt.box.handle, stream, offset, data))
        return parts

    # ---- beside the protocol

    def using(self, keys: Sequence[Key]) -> dict[Key, bytes]:
        """Return what attempts used so far, as their workers left it last."""
        found = {
            key: self._attempts[key].box.read("usage.json", most=MOST_USING) for key in keys if key in self._attempts
        }
        return {key: data for key, data in found.items() if data}

    @property
    def node(self) -> str:
        """Return the name of the only node there is."""
        return self._host

    def wait(self, seconds: float) -> bool:
        """Sleep until a worker ends, at most `seconds`; tell whether one did. A host that waits here loses no time."""
        return self._workers.wait(seconds)

    def hand_back(self) -> None:
        """End what waits, as never begun, so that others can have it while no engine is here; what runs goes on."""
        for worker in self._places.line():
            for attempt in worker.unended():
                self._say(attempt, Reason.UNBEGUN, "its engine was stopped before it began")
            self._leave_line(worker)

    def close(self) -> None:
        """Let go of the directory and leave everything running, exactly as a killed engine would."""
        self._workers.close()
        self._shelf.close()

    # ---- beginning

    def _recall(self, worker: Worker) -> None:
        """Take up a worker that an earlier engine left, or a new one: ended, running, or to wait."""
        for attempt in worker.unended():
            self._attempts[key_of(attempt.box.handle)] = attempt
            if attempt.box.has("ended.json"):
                self._report_end(attempt, read_outcome(attempt.box.read("ended.json"), attempt.box.handle))
        if worker.home.has("launch"):
            started = self._workers.take_over(worker)
            self._places.take(worker)
            self._follow(worker, started)
        else:
            self._enter(worker)

    def _enter(self, worker: Worker) -> None:
        """Let a worker that never started wait, or end what can never run here."""
        total = self._places.total
        for attempt in worker.unended():
            if attempt.damaged:
                self._say(attempt, Reason.LOST, "its task.json is damaged")
            elif not worker.shape.fits(total):
                self._say(attempt, Reason.SUBMIT, f"it can never run here: {excess(worker.shape, total)}")
        if worker.head() is None:
            self._finish(worker)
            return
        self._places.join(worker)

    def _leave_line(self, worker: Worker) -> None:
        """Take a worker out of the line for which nothing is left to do."""
        if worker.head() is None:
            self._places.leave(worker)
            self._finish(worker)

    def _start(self) -> None:
        for worker in self._places.start(self._most()):
            devices = ",".join(str(gpu) for gpu in worker.gpus)
            try:
                at = self._workers.launch(worker, {"CUDA_VISIBLE_DEVICES": devices} if self._places.total.gpu else {})
            except OSError as error:
                self._not_started(worker, error)
            else:
                self._follow(worker, at)

    def _most(self) -> int:
        """Return how many may start as this node stands: none where it is drained, one at a time where it is probed."""
        if self._host in self._nodes.drained:
            return 0
        return int(not self._places.running) if self._host in self._nodes.probed else LOOK_AHEAD

    def _not_started(self, worker: Worker, error: OSError) -> None:
        self._places.give(worker)
        if error.errno in _TRY_LATER:
            worker.home.take_back()
            self._places.join(worker, first=True)
            return
        for attempt in worker.unended():
            self._say(attempt, Reason.SUBMIT, f"the worker could not be started: {error.strerror or error}")
        self._finish(worker)

    def _follow(self, worker: Worker, at: float) -> None:
        """Report the start of a worker and watch it; one that is gone already is concluded at once."""
        if not self._workers.follow(worker):
            self._settle([worker])
        elif not worker.series:
            self._began(worker.left[0], at)

    def _go_on(self, attempt: Attempt, begun: float | None) -> None:
        """Report what an attempt of a series did."""
        if begun is not None:
            self._began(attempt, begun)
        else:
            self._report_end(attempt, concluded(attempt, "it went on with the next of its series"))

    def _began(self, attempt: Attempt, at: float) -> None:
        self._news.add(Change(attempt.box.handle, What.RUNNING, at, self._host))

    # ---- ending

    def _settle(self, workers: Sequence[Worker]) -> None:
        """Give back what workers held that are gone, and report how their attempts ended."""
        for worker in workers:
            if worker.series:
                for attempt, begun in self._workers.advance(worker):
                    self._go_on(attempt, begun)
        for worker, ends in zip(workers, self._workers.conclude(workers), strict=True):
            self._places.give(worker)
            for attempt, outcome in ends:
                self._report_end(attempt, outcome)
            self._finish(worker)

    def _finish(self, worker: Worker) -> None:
        worker.over = True
        self._clear(worker)

    def _forget(self, attempt: Attempt) -> None:
        """Delete what was acknowledged."""
        self._shelf.discard(attempt.box)
        attempt.worker.unforgotten -= 1
        self._clear(attempt.worker)

    def _clear(self, worker: Worker) -> None:
        if worker.series and worker.over and not worker.unforgotten:
            self._shelf.discard_series(worker.home)

    def _say(self, attempt: Attempt, reason: Reason, message: str) -> None:
        """End an attempt that never had a worker."""
        handle = attempt.box.handle
        outcome = Outcome(handle.address, handle.lease, reason, message, host=self._host)
        if_possible(lambda: attempt.box.write_end(outcome))
        self._report_end(attempt, outcome)

    def _report_end(self, attempt: Attempt, outcome: Outcome) -> None:
        attempt.ended = True
        at = self._clock() if outcome.ended is None else outcome.ended
        self._news.add(Change(attempt.box.handle, What.ENDED, at, outcome.host or self._host, outcome))


def _taken(attempt: Attempt) -> bool:
    """Take an attempt away from the worker of its series; False if the worker was faster."""
    try:
        attempt.box.claim(BEGUN)
    except OSError:
        return False
    return True


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what workers get of the environment of the server: all but its own settings and credentials."""
    return {
        name: value
        for name, value in environ.items()
        if name == SWITCH or not (name.startswith("NUNATAK_") or name == "PGPASSWORD")
    }


def from_settings(settings: Mapping[str, Any], clock: Clock = system_clock) -> LocalEngine:
    """Make a local engine from the options of `LocalSettings`. Raises `Invalid` for what they get wrong."""
    options = read(LocalSettings, settings, "local")
    return LocalEngine(
        options.directory,
        total=options.total(),
        worker=options.worker,
        cache=options.cache or options.directory / ".cache",
        clock=clock,
        keep=options.keep,
        queue=options.queue,
        limits=Limits(margin=options.margin, grace=options.grace),
        target=options.target,
    )
