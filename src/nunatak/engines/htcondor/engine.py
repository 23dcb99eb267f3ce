"""The engine of an HTCondor pool. All it needs after a kill is in its directory, in the event logs and in the queue."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from nunatak.core.clock import Clock, Keys, system_clock, system_keys
from nunatak.core.errors import Unavailable
from nunatak.core.work import Outcome, Reason, Series, Shape, TaskSpec
from nunatak.engines.htcondor import expressions, places, reconcile
from nunatak.engines.htcondor.bindings import Condor
from nunatak.engines.htcondor.boxes import Boxes
from nunatak.engines.htcondor.description import Item, by_kind, describe, names
from nunatak.engines.htcondor.ledger import Ledger, handle
from nunatak.engines.htcondor.options import HTCondorSettings
from nunatak.engines.htcondor.records import Attempt
from nunatak.engines.htcondor.series import one_by_one
from nunatak.engines.keys import Key, attempt_of, key_of
from nunatak.engines.protocol import ALL_FINE, Capacity, Changes, Handle, LogPart, Nodes
from nunatak.engines.sandbox import possess
from nunatak.engines.settings import read

STREAMS = ("stdout", "stderr")
LOG_PART, LOG_CALL = 256 * 1024, 4 * 1024 * 1024
"""Bytes of one stream, and of all together, that one call of `logs` returns at most."""
EVENTS, ALL_EVENTS = 5000, 10**9
"""Events of one log that one call of `poll` takes in at most, and those up to an answer of the queue."""
SOON, PAUSE, MOST_PAUSE = 2.0, 1.0, 60.0
"""Seconds until the queue is asked again if something is odd, and between calls to an HTCondor that does not answer."""


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
        self._places, self._busy, self._surveyed = places.NONE, False, float("-inf")
        self._known = False  # the pool has answered once
        self._nodes, self._told = ALL_FINE, ALL_FINE
        self._compare_at = float("-inf")
        self._missing: set[Key] = set()
        self._stopping = {
            attempt.key: attempt for attempt in self._ledger.attempts.values() if attempt.stop and attempt.ended is None
        }
        self._away_until, self._pause = float("-inf"), 0.0

    # ---- the six methods

    def submit(self, batch: Sequence[TaskSpec | Series], nodes: Nodes = ALL_FINE) -> list[Handle]:
        """Submit one cluster for each dataset and shape. Raises `Unavailable` for more than `capacity().queue`."""
        specs = one_by_one(batch)
        for spec in specs:
            attempt_of(spec)
        self._nodes = nodes
        new = {key_of(spec): spec for spec in specs if key_of(spec) not in self._ledger.attempts}
        if new:
            self._take(list(new.values()))
        self._tell_nodes()
        return [handle(self._ledger.attempts[key_of(spec)]) for spec in specs]

    def poll(self, cursor: str) -> Changes:
        """Read the event logs, now and then the queue, and return what changed since `cursor`."""
        self._ledger.acknowledge(cursor)
        self._survey()
        if self._ledger.learn(EVENTS):
            self._compare_at = float("-inf")
        self._ledger.save_if_possible()
        if self._monotonic() >= self._away_until:
            try:
                self._tidy()
                self._pause = 0.0
            except Unavailable:
                self._stay_away()
        self._ledger.save_if_possible()
        return self._ledger.since(cursor)

    def cancel(self, handles: Sequence[Handle]) -> None:
        """Remove jobs from the queue; one that had not begun has ended with that."""
        found = [self._ledger.attempts.get((item.address, item.lease)) for item in handles]
        for attempt in found:
            if attempt and attempt.ended is None and not attempt.stop:
                begun = attempt.begun is not None
                self._ledger.stop(attempt, "it was cancelled" if begun else "it was cancelled before it started")
                self._stopping[attempt.key] = attempt
        self._ledger.save_if_possible()
        try:
            self._remove_stopped()
        except Unavailable:
            self._stay_away()
        self._ledger.save_if_possible()

    def adopt(self) -> list[Handle]:
        """Return every attempt, waiting, running or ended, whose end has not been acknowledged."""
        return self._ledger.handles()

    def capacity(self) -> Capacity:
        """Return the largest slot; `queue` is the depth aimed at less the jobs that wait, none while HTCondor is busy."""
        self._survey()
        away = not self._known or self._busy or self._monotonic() < self._away_until
        room = 0 if away else max(0, self._options.depth - len(self._ledger.waiting))
        return Capacity(self._places.total, self._places.free, room)

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
        why = {key_of(spec): self._never(spec.shape) for spec in specs}
        able = [spec for spec in specs if not why[key_of(spec)]]
        if not self._known or len(able) > room:
            raise Unavailable(f"this engine takes {room} more attempts now", code="engine-full", room=room)
        lacking = {key_of(spec): self._boxes.missing(spec) for spec in able}
        attempts = self._ledger.add(specs)
        ready = [spec for spec in able if not lacking[key_of(spec)]]
        try:
            items = self._place(ready)
            self._ledger.save()
            self._send(ready, items)
        except Unavailable:
            if not any(attempt.job for attempt in attempts):
                self._ledger.drop([attempt.key for attempt in attempts])
                self._ledger.save_if_possible()
                self._compare_at = float("-inf")  # in case that they are in the queue after all
                self._stay_away()
                raise
            self._compare_at = float("-inf")  # what was not submitted will be
            self._stay_away()
        for attempt in attempts:
            if why[attempt.key]:
                self._say(attempt, Reason.SUBMIT, f"it can never run here: {why[attempt.key]}")
            elif lacking[attempt.key]:
                self._say(attempt, Reason.STAGE_IN, lacking[attempt.key])
        self._ledger.save_if_possible()

    def _never(self, shape: Shape) -> str:
        return self._places.room(shape) if self._known else ""

    def _place(self, specs: Sequence[TaskSpec]) -> dict[Key, Item]:
        """Make the boxes. Raises `Unavailable`."""
        items = {}
        for spec in specs:
            attempt = self._ledger.attempts[key_of(spec)]
            try:
                travel = self._boxes.place(spec)
            except OSError as error:
                raise Unavailable(
                    f"the sandboxes could not be made: {error.strerror or error}",
                    code="engine-directory",
                    hint=f"check space and permissions of {self._options.directory}",
                ) from error
            attempt.probe = self._probe(spec)
            excluded = {*self._nodes.drained, *self._nodes.probed} - {attempt.probe}
            box = self._boxes.of(attempt.key).inner.path
            items[attempt.key] = Item(
                *attempt.key, box, travel.urls, spec.avoid, tuple(sorted(excluded)), attempt.probe
            )
        return items

    def _probe(self, spec: TaskSpec) -> str:
        """Return a node to be tried, that no other attempt tries; "" if there is none."""
        trying = (
            {other.probe for other in self._ledger.attempts.values() if other.ended is None}
            if self._nodes.probed
            else ()
        )
        return next((node for node in self._nodes.probed if node not in trying and node not in spec.avoid), "")

    def _send(self, specs: Sequence[TaskSpec], items: Mapping[Key, Item]) -> None:
        """Submit attempts whose boxes are there, and note their jobs. Raises `Unavailable`."""
        for kind, alike in by_kind(specs).items():
            log = self._ledger.log()
            for spec in alike:
                self._ledger.attempts[key_of(spec)].segment = int(log.stem)
            self._ledger.save()
            description = describe(kind, self._ledger.name, log, self._options)
            jobs = self._condor.submit(description, [items[key_of(spec)].row() for spec in alike])
            for spec, job in zip(alike, jobs, strict=True):
                self._ledger.assign(self._ledger.attempts[key_of(spec)], job)
            self._ledger.save_if_possible()

    def _say(self, attempt: Attempt, reason: Reason, message: str) -> None:
        """End an attempt that never became a job."""
        now = self._clock()
        self._ledger.finish(attempt, Outcome(*attempt.key, reason, message, ended=now), now)

    # ---- keeping the queue as it should be

    def _tidy(self) -> None:
        """Remove what nobody wants, tell waiting jobs of bad nodes, compare with the queue when it is time."""
        self._remove_stopped()
        if self._ledger.unwanted:
            self._condor.remove(sorted(self._ledger.unwanted), "Nunatak has ended this attempt")
            self._ledger.unwanted.clear()
        self._tell_nodes(raising=True)
        if self._monotonic() >= self._compare_at:
            self._compare()

    def _remove_stopped(self) -> None:
        """Remove the jobs of cancelled attempts; those that had not begun have ended then. Raises `Unavailable`."""
        stopped = [attempt for attempt in self._stopping.values() if attempt.job and attempt.ended is None]
        self._condor.remove([attempt.job for attempt in stopped if attempt.job], "Nunatak has cancelled this attempt")
        for attempt in stopped:
            if attempt.begun is None:
                self._say(attempt, Reason.TERMINATED, attempt.stop)
        for key in [key for key, attempt in self._stopping.items() if attempt.job or attempt.ended is not None]:
            del self._stopping[key]

    def _tell_nodes(self, *, raising: bool = False) -> None:
        """Keep waiting jobs off nodes that were drained since they were submitted."""
        if self._nodes == self._told:
            return
        ours = f"NunatakEngine == {expressions.quoted(self._ledger.name)} && JobStatus == 1"
        closed = {*self._nodes.drained, *self._nodes.probed}
        trying = {item.probe for item in self._ledger.attempts.values() if item.probe and item.ended is None}
        try:
            for probe in sorted({"", *trying}):
                open_to = {probe} if probe in self._nodes.probed else set()
                self._condor.exclude(f'{ours} && NunatakProbe == "{names((probe,))}"', names(closed - open_to))
            self._told = self._nodes
        except Unavailable:
            if raising:
                raise

    def _compare(self) -> None:
        """Ask the queue, then read on in the logs, and settle the differences. Raises `Unavailable`."""
        constraint = f"NunatakEngine == {expressions.quoted(self._ledger.name)}"
        before = dict(self._ledger.attempts)
        ads = self._condor.queue(constraint, reconcile.ASKED)
        self._ledger.learn(ALL_EVENTS)
        told = reconcile.compare(ads, before, self._clock())
        for key, job in told.found.items():
            if before[key].job is None:
                self._ledger.assign(before[key], job)
        for seen in told.seen:
            self._ledger.apply(seen)
        self._condor.remove(told.unwanted, "no Nunatak engine waits for this job")
        self._condor.remove(told.stuck, "it did not go", by_force=True)
        missing = [before[key] for key in told.missing if before[key].ended is None]
        self._submit_again([attempt for attempt in missing if attempt.job is None])
        self._give_up([attempt for attempt in missing if attempt.job and attempt.key in self._missing])
        self._missing = {attempt.key for attempt in missing if attempt.job and attempt.ended is None}
        self._compare_at = self._monotonic() + (SOON if self._missing else self._options.reconcile)

    def _submit_again(self, attempts: Sequence[Attempt]) -> None:
        """Submit attempts that were entered, and never came to the queue. Raises `Unavailable`."""
        specs = []
        for attempt in attempts:
            spec = self._boxes.waiting(attempt.key)
            if attempt.stop:
                self._say(attempt, Reason.TERMINATED, attempt.stop)
            elif spec is None:
                self._say(attempt, Reason.LOST, "it was never submitted, and its task.json is damaged")
            else:
                specs.append(spec)
        self._send(specs, self._place(specs))

    def _give_up(self, attempts: Sequence[Attempt]) -> None:
        """End attempts whose jobs are neither in the queue nor spoken of in the log, by what came back of them."""
        for attempt in attempts:
            if self._boxes.of(attempt.key).inner.has("outcome.json"):
                self._ledger.conclude(attempt, "it is no longer in the queue", self._clock())
            elif attempt.stop:
                self._say(attempt, Reason.TERMINATED, attempt.stop)
            else:
                self._say(attempt, Reason.LOST, "it vanished from the queue of HTCondor")

    def _stay_away(self) -> None:
        self._pause = min(max(PAUSE, 2 * self._pause), MOST_PAUSE)
        self._away_until = self._monotonic() + self._pause

    # ---- the pool

    def _survey(self) -> None:
        """Look at the pool when it is time; while it does not answer, what was seen last counts."""
        now, options = self._monotonic(), self._options
        if now - self._surveyed < options.look:
            return
        self._surveyed = now
        try:
            ads = self._condor.machines(places.WHOLE, places.ASKED)
            features = {name: self._having(name) for name in options.features}
            self._busy = self._condor.duty() >= options.busy
        except Unavailable:
            self._surveyed = now - options.look + min(options.look, SOON)
            return
        self._places = places.survey(ads, features, options.platform, options.time, options.overhead)
        self._known = True

    def _having(self, feature: str) -> list[str]:
        expression = expressions.of_feature(feature, self._options.features)
        return [str(ad["Name"]) for ad in self._condor.machines(f"{places.WHOLE} && ({expression})", ["Name"])]


def from_settings(settings: Mapping[str, Any], clock: Clock = system_clock) -> HTCondorEngine:
    """Make an engine of a pool from the options of `HTCondorSettings`. Raises `Invalid` for what they get wrong."""
    return HTCondorEngine(read(HTCondorSettings, settings, "htcondor"), clock=clock)
