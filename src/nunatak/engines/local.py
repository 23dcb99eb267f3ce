"""The engine of one machine: attempts are local processes, each under a worker; all it knows is in its directory.

It may be killed at any line. Workers are sessions of their own and go on; the next engine on the directory adopts them.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nunatak.core.clock import Clock, Keys, system_clock, system_keys
from nunatak.core.errors import Unavailable
from nunatak.core.work import Outcome, Reason, Shape, TaskSpec
from nunatak.engines.keys import Key, key_of
from nunatak.engines.news import News
from nunatak.engines.outcomes import read_outcome
from nunatak.engines.processes import since_boot
from nunatak.engines.protocol import ALL_FINE, Capacity, Change, Changes, Handle, LogPart, Nodes, What
from nunatak.engines.sandbox import Sandbox, Shelf
from nunatak.engines.settings import LocalSettings, read
from nunatak.engines.slots import LOOK_AHEAD, Line, Slots, excess
from nunatak.engines.workers import Attempt, Limits, Workers, if_possible

STREAMS = ("stdout", "stderr")
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
    ) -> None:
        """Take over `directory` with whatever an earlier engine left running in it.

        `worker` is the argument list that starts a worker, `queue` how many attempts may wait beside those that run (by
        default the larger of 32 and four a core), `environ` the environment of the workers, `keep` keeps every sandbox.
        Raises `Unavailable` while another engine has the directory or it cannot be written.
        """
        environ = inherited(os.environ) if environ is None else environ
        self._clock, self._host = clock, socket.gethostname()
        self._queue = max(32, 4 * total.cpu) if queue is None else queue
        self._shelf = Shelf(directory, keep=keep)
        self._workers = Workers(worker, cache, environ, limits or Limits(), clock, boot_clock)
        self._news = News(f"{keys():x}")
        self._slots, self._line = Slots(total), Line()
        self._nodes = ALL_FINE
        self._gpus = set(range(total.gpu))
        self._attempts: dict[Key, Attempt] = {}
        for box in self._shelf.all():
            self._recall(box)

    # ---- the six methods

    def submit(self, batch: Sequence[TaskSpec], nodes: Nodes = ALL_FINE) -> list[Handle]:
        """Start what fits, let the rest wait. Raises `Unavailable` for more than `capacity().queue` or a full disk."""
        handles = [self._shelf.handle(spec) for spec in batch]
        new = {key_of(handle): (handle, spec) for handle, spec in zip(handles, batch, strict=True)}
        for key in self._attempts.keys() & new.keys():
            del new[key]
        room = self.capacity().queue
        if sum(spec.shape.fits(self._slots.total) for _, spec in new.values()) > room:
            raise Unavailable(f"this engine takes {room} more attempts now", code="engine-full", room=room)
        for box, shape in self._place(new.values()):
            if box.has("launch") or box.has("ended.json"):
                self._recall(box)
            else:
                self._enter(Attempt(box, shape))
        self._nodes = nodes
        self._start()
        return handles

    def poll(self, cursor: str) -> Changes:
        """Notice what ended, enforce limits, start what fits, and return what changed since `cursor`."""
        for key in self._news.acknowledge(cursor):
            self._shelf.discard(self._attempts.pop(key).box)
        self._settle(self._workers.ended())
        self._workers.guard()
        self._start()
        return self._news.since(cursor)

    def cancel(self, handles: Sequence[Handle]) -> None:
        """End waiting attempts at once; ask the workers of running ones to stop, and kill the tree after the grace."""
        for handle in handles:
            attempt = self._attempts.get(key_of(handle))
            if attempt is None or attempt.ended:
                continue
            if self._line.remove(key_of(handle)):
                self._say(attempt, Reason.TERMINATED, "it was cancelled before it started")
            else:
                self._workers.tell(attempt, Reason.TERMINATED, "it was cancelled")

    def adopt(self) -> list[Handle]:
        """Return every attempt, waiting, running or ended, whose end has not been acknowledged."""
        return [attempt.box.handle for attempt in self._attempts.values()]

    def capacity(self) -> Capacity:
        """Return what is free; `queue` counts idle cores and the places to wait, less those who wait."""
        free = self._slots.free()
        return Capacity(self._slots.total, free, max(0, self._queue + free.cpu - len(self._line)))

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

    @property
    def node(self) -> str:
        """Return the name of the only node there is."""
        return self._host

    def wait(self, seconds: float) -> bool:
        """Sleep until a worker ends, at most `seconds`; tell whether one did. A host that waits here loses no time."""
        return self._workers.wait(seconds)

    def close(self) -> None:
        """Let go of the directory and leave everything running, exactly as a killed engine would."""
        self._workers.close()
        self._shelf.close()

    # ---- beginning

    def _place(self, new: Iterable[tuple[Handle, TaskSpec]]) -> list[tuple[Sandbox, Shape]]:
        """Make the sandboxes of a batch, all or none."""
        placed: list[tuple[Sandbox, Shape]] = []
        try:
            for handle, spec in new:
                placed.append((self._shelf.place(handle, spec), spec.shape))
        except OSError as error:
            for box, _ in placed:
                self._shelf.undo(box)
            raise Unavailable(
                f"the sandboxes could not be made: {error.strerror or error}",
                code="engine-directory",
                hint=f"check space and permissions of {self._shelf.root}",
            ) from None
        return placed

    def _recall(self, box: Sandbox) -> None:
        """Take up an attempt that an earlier engine left: ended, running, or waiting."""
        try:
            attempt = Attempt(box, box.read_task().shape)
        except (ValueError, KeyError, TypeError, AttributeError):
            attempt = Attempt(box, Shape())
            if not (box.has("launch") or box.has("ended.json")):
                self._attempts[key_of(box.handle)] = attempt
                self._say(attempt, Reason.LOST, "its task.json is damaged")
                return
        self._attempts[key_of(box.handle)] = attempt
        if box.has("ended.json"):
            self._report_end(attempt, read_outcome(box.read("ended.json"), box.handle))
        elif box.has("launch"):
            self._slots.take(attempt.shape)
            started = self._workers.take_over(attempt)
            self._gpus.difference_update(attempt.gpus)
            self._follow(attempt, started)
        else:
            self._enter(attempt)

    def _enter(self, attempt: Attempt) -> None:
        """Let an attempt that never started wait, or end it if it can never run here."""
        key, total = key_of(attempt.box.handle), self._slots.total
        self._attempts[key] = attempt
        if attempt.shape.fits(total):
            self._line.add(key, attempt.shape)
        else:
            self._say(attempt, Reason.SUBMIT, f"it can never run here: {excess(attempt.shape, total)}")

    def _start(self) -> None:
        for key in self._line.start(self._slots, self._most()):
            attempt = self._attempts[key]
            attempt.gpus = tuple(sorted(self._gpus)[: attempt.shape.gpu])
            self._gpus.difference_update(attempt.gpus)
            devices = ",".join(str(gpu) for gpu in attempt.gpus)
            try:
                at = self._workers.launch(attempt, {"CUDA_VISIBLE_DEVICES": devices} if self._slots.total.gpu else {})
            except OSError as error:
                self._not_started(key, attempt, error)
            else:
                self._follow(attempt, at)

    def _most(self) -> int:
        """Return how many may start as this node stands: none where it is drained, one at a time where it is probed."""
        if self._host in self._nodes.drained:
            return 0
        if self._host not in self._nodes.probed:
            return LOOK_AHEAD
        return int(all(attempt.ended or key in self._line for key, attempt in self._attempts.items()))

    def _not_started(self, key: Key, attempt: Attempt, error: OSError) -> None:
        self._give_back(attempt)
        if error.errno in _TRY_LATER:
            attempt.box.take_back()
            self._line.put_back(key, attempt.shape)
        else:
            self._say(attempt, Reason.SUBMIT, f"the worker could not be started: {error.strerror or error}")

    def _follow(self, attempt: Attempt, at: float) -> None:
        """Report the start of a worker and watch it; one that is gone already is concluded at once."""
        if self._workers.follow(attempt):
            self._news.add(Change(attempt.box.handle, What.RUNNING, at, self._host))
        else:
            self._settle([attempt])

    # ---- ending

    def _settle(self, attempts: Sequence[Attempt]) -> None:
        """Give back what attempts held whose workers are gone, and report how they ended."""
        for attempt, outcome in zip(attempts, self._workers.conclude(attempts), strict=True):
            self._give_back(attempt)
            self._report_end(attempt, outcome)

    def _give_back(self, attempt: Attempt) -> None:
        self._slots.give(attempt.shape)
        self._gpus.update(gpu for gpu in attempt.gpus if gpu < self._slots.total.gpu)

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


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what workers get of the environment of the server: all but its own settings and credentials."""
    return {name: value for name, value in environ.items() if not name.startswith("NUNATAK_") and name != "PGPASSWORD"}


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
    )
