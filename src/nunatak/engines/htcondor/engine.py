"""The engine of an HTCondor pool. All it needs after a kill is in its directory, in the event logs and in the queue."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nunatak.core.clock import Clock, Keys, system_clock, system_keys
from nunatak.core.errors import Unavailable
from nunatak.core.work import Reason, Series, TaskSpec
from nunatak.engines.htcondor.bindings import Condor
from nunatak.engines.htcondor.boxes import Boxes
from nunatak.engines.htcondor.ledger import Ledger, handle
from nunatak.engines.htcondor.options import HTCondorSettings
from nunatak.engines.htcondor.series import one_by_one
from nunatak.engines.htcondor.submission import Submission
from nunatak.engines.htcondor.upkeep import Upkeep
from nunatak.engines.htcondor.watch import Watch
from nunatak.engines.keys import attempt_of, key_of
from nunatak.engines.protocol import ALL_FINE, Capacity, Changes, Handle, LogPart, Nodes
from nunatak.engines.sandbox import possess
from nunatak.engines.settings import read

STREAMS = ("stdout", "stderr")
LOG_PART, LOG_CALL = 256 * 1024, 4 * 1024 * 1024
"""Bytes of one stream, and of all together, that one call of `logs` returns at most."""
EVENTS = 2000
"""Events of one log that one call of `poll` takes in at most."""
CLEARING = 0.1
"""Seconds of one call of `poll` that deleting may take."""
PAUSE, MOST_PAUSE = 1.0, 60.0
"""Seconds between calls to a schedd that does not answer; they double."""


class HTCondorEngine:
    """Runs attempts as jobs of a pool. One process at a time may have the directory, and one thread at a time may call.

    The directory has to be on a file system that the schedd's machine sees by the same name.
    """

    def __init__(
        self,
        options: HTCondorSettings,
        condor: Condor | None = None,
        *,
        clock: Clock = system_clock,
        monotonic: Clock = time.monotonic,
        keys: Keys = system_keys,
    ) -> None:
        """Take over the directory with whatever an earlier engine left in the pool.

        Raises `Unavailable` while another engine has it or it cannot be written, `Invalid` without HTCondor's package.
        """
        self._options, self._condor = options, condor or Condor(options)
        self._clock, self._monotonic = clock, monotonic
        root = options.directory.absolute()
        self._lock = possess(root)
        root.chmod(0o700)
        self._boxes = Boxes(root / "boxes", options.shared, options.plugins, options.keep)
        self._ledger = Ledger(root, self._condor, self._boxes, f"{keys():x}", options.log_size, monotonic)
        self._boxes.sweep(self._ledger.attempts)
        self._submission = Submission(self._condor, self._ledger, self._boxes, options)
        self._upkeep = Upkeep(
            self._condor,
            self._ledger,
            self._boxes,
            self._submission,
            interval=options.reconcile,
            clock=clock,
            monotonic=monotonic,
        )
        self._watch = Watch(self._condor, options, monotonic)
        self._away_until, self._pause = float("-inf"), 0.0
        self._trouble = ""  # why the schedd could not be asked last
        self._refused = ""  # why a submission was not taken; until the schedd takes jobs again nothing is wanted

    # ---- the six methods

    def submit(self, batch: Sequence[TaskSpec | Series], nodes: Nodes = ALL_FINE) -> list[Handle]:
        """Submit one cluster for each dataset and shape. Raises `Unavailable` for more than `capacity().queue`."""
        specs = one_by_one(batch)
        for spec in specs:
            attempt_of(spec)
        self._submission.nodes = nodes
        new = {key_of(spec): spec for spec in specs if key_of(spec) not in self._ledger.attempts}
        if new:
            self._take(list(new.values()))
        self._call(self._submission.tell_nodes)
        return [handle(self._ledger.attempts[key_of(spec)]) for spec in specs]

    def poll(self, cursor: str) -> Changes:
        """Read the event logs, now and then the queue, and return what changed since `cursor`."""
        self._ledger.acknowledge(cursor)
        self._watch.look()
        if self._ledger.learn(EVENTS):
            self._upkeep.compare_soon()
        self._ledger.save_if_possible()
        self._call(self._tend)
        self._ledger.save_if_possible()
        self._boxes.clear(CLEARING)
        return self._ledger.since(cursor)

    def cancel(self, handles: Sequence[Handle]) -> None:
        """Remove jobs from the queue; one that had not begun has ended with that."""
        found = [self._ledger.attempts.get((item.address, item.lease)) for item in handles]
        self._upkeep.stop([attempt for attempt in found if attempt and attempt.ended is None and not attempt.stop])
        self._ledger.save_if_possible()
        self._call(self._upkeep.remove_stopped)
        self._ledger.save_if_possible()

    def adopt(self) -> list[Handle]:
        """Return every attempt, waiting, running or ended, whose end has not been acknowledged."""
        return self._ledger.handles()

    def capacity(self) -> Capacity:
        """Return the largest slot; `queue` is the depth aimed at less the jobs that wait, none while HTCondor is busy."""
        self._watch.look()
        away = not self._watch.known or self._watch.busy or bool(self._refused) or self._monotonic() < self._away_until
        room = 0 if away else max(0, self._options.depth - len(self._ledger.waiting))
        return Capacity(self._watch.places.total, self._watch.places.free, room, self._refused or self._trouble)

    def logs(self, offsets: dict[tuple[str, str, str], int]) -> list[LogPart]:
        """Return logs of ended attempts, bounded for one stream and for the call; HTCondor brings them at the end."""
        most = max(1024, min(LOG_PART, LOG_CALL // max(1, len(offsets))))
        parts = []
        for (address, lease, stream), offset in offsets.items():
            attempt = self._ledger.attempts.get((address, lease))
            if attempt and attempt.ended is not None and stream in STREAMS and offset >= 0:
                data = self._boxes.read(attempt.key, stream, offset, most)
                if data:
                    parts.append(LogPart(handle(attempt), stream, offset, data))
        return parts

    def close(self) -> None:
        """Let go of the directory; all jobs go on."""
        self._ledger.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # ---- beginning

    def _take(self, specs: Sequence[TaskSpec]) -> None:
        """Enter new attempts and submit those that can run. Raises `Unavailable`, and then there are none of them."""
        room = self.capacity().queue
        why = {key_of(spec): self._watch.never(spec.shape) for spec in specs}
        able = [spec for spec in specs if not why[key_of(spec)]]
        if not self._watch.known or len(able) > room:
            raise Unavailable(f"this engine takes {room} more attempts now", code="engine-full", room=room)
        lacking = {key_of(spec): self._boxes.missing(spec) for spec in able}
        attempts = self._ledger.add(specs)
        try:
            ready = [spec for spec in able if not lacking[key_of(spec)]]
            self._submission.send(ready, self._submission.place(ready))
        except Unavailable as error:
            self._upkeep.compare_soon()  # what was submitted without a word is found, what was not is submitted
            self._refused = error.message
            self._stay_away(error)
            if not any(attempt.job for attempt in attempts):
                self._ledger.drop([attempt.key for attempt in attempts])
                self._ledger.save_if_possible()
                raise
        for attempt in attempts:
            if why[attempt.key]:
                self._upkeep.say(attempt, Reason.SUBMIT, f"it can never run here: {why[attempt.key]}")
            elif lacking[attempt.key]:
                self._upkeep.say(attempt, Reason.STAGE_IN, lacking[attempt.key])
        self._ledger.save_if_possible()

    def _tend(self) -> None:
        """Do what is due in the queue, and find out whether the schedd takes jobs again that refused some."""
        self._upkeep.tidy()
        if self._refused:
            self._condor.knock()
            self._refused = ""

    def _call(self, schedd: Callable[[], None]) -> None:
        """Do what needs the schedd, unless it did not answer a moment ago; what fails is done another time."""
        if self._monotonic() < self._away_until:
            return
        try:
            schedd()
            self._pause, self._trouble = 0.0, ""
        except Unavailable as error:
            self._stay_away(error)

    def _stay_away(self, error: Unavailable) -> None:
        self._trouble = error.message
        self._pause = min(max(PAUSE, 2 * self._pause), MOST_PAUSE)
        self._away_until = self._monotonic() + self._pause


def from_settings(settings: Mapping[str, Any], clock: Clock = system_clock) -> HTCondorEngine:
    """Make an engine of a pool from the options of `HTCondorSettings`. Raises `Invalid` for what they get wrong."""
    return HTCondorEngine(read(HTCondorSettings, settings, "htcondor"), clock=clock)
