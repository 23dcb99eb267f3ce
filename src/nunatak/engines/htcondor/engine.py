"""The engine of an HTCondor pool. All it needs after a kill is in its directory, in the event logs and in the queue."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nunatak.core.clock import Clock, Keys, system_clock, system_keys
from nunatak.core.errors import Unavailable
from nunatak.core.using import MOST as MOST_USING
from nunatak.core.work import Grouping, Reason, Series, Shape, TaskSpec
from nunatak.engines.htcondor.bindings import Condor
from nunatak.engines.htcondor.boxes import Boxes, missing, troubles
from nunatak.engines.htcondor.hearing import Hearing
from nunatak.engines.htcondor.ledger import Ledger, handle
from nunatak.engines.htcondor.options import HTCondorSettings
from nunatak.engines.htcondor.pieces import Piece
from nunatak.engines.htcondor.places import fetched, full
from nunatak.engines.htcondor.recipes import NONE, Wishes, refused, wishes_of
from nunatak.engines.htcondor.spread import Spread
from nunatak.engines.htcondor.submission import Submission
from nunatak.engines.htcondor.travel import unfetched
from nunatak.engines.htcondor.upkeep import Upkeep
from nunatak.engines.htcondor.watch import Watch
from nunatak.engines.keys import Key, check, key_of, specs_of, unknown
from nunatak.engines.protocol import ALL_FINE, Capacity, Changes, Handle, LogPart, Nodes
from nunatak.engines.sandbox import possess
from nunatak.engines.settings import read
from nunatak.engines.tails.keeping import USING
from nunatak.engines.tails.tails import Tails

STREAMS = ("stdout", "stderr")
LOG_PART, LOG_CALL = 256 * 1024, 4 * 1024 * 1024
"""Bytes of one stream, and of all together, that one call of `logs` returns at most."""
EVENTS = 2000
"""Events of one log that one call of `poll` takes in at most."""
CLEARING = 0.1
"""Seconds of one call of `poll` that deleting may take."""
CAPS = 1.0
"""Seconds between two looks at how many jobs run at each site, where sites have caps."""
BETWEEN = 0.05
"""Seconds from the end of one member of a series to the beginning of the next, about."""
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
        tails: Tails | None = None,
        clock: Clock = system_clock,
        monotonic: Clock = time.monotonic,
        keys: Keys = system_keys,
    ) -> None:
        """Take over the directory with whatever an earlier engine left in the pool.

        Raises `Unavailable` while another engine has it or it cannot be written, `Invalid` without HTCondor's package.
        """
        self._options, self._condor = options, condor or Condor(options)
        self.carries = (*options.shared, *options.files)
        self._clock, self._monotonic = clock, monotonic
        root = options.directory.absolute()
        self._lock = possess(root)
        root.chmod(0o700)
        self.grouping = Grouping(options.target, options.time, overhead=BETWEEN)
        self._tails = tails
        self._boxes = Boxes(root / "boxes", options.keep, tails.order if tails else None)
        self._ledger = Ledger(root, self._condor, self._boxes, f"{keys():x}", options.log_size)
        self._hearing = Hearing(self._ledger, self._boxes, monotonic)
        self._boxes.sweep(self._ledger.jobs())
        self._submission = Submission(self._condor, self._ledger, self._boxes, options)
        self._upkeep = Upkeep(
            self._condor,
            self._ledger,
            self._hearing,
            self._boxes,
            self._submission,
            interval=options.reconcile,
            clock=clock,
            monotonic=monotonic,
        )
        self._watch = Watch(self._condor, options, monotonic)
        self._caps_at = float("-inf")
        self._away_until, self._pause = float("-inf"), 0.0
        self._trouble = ""  # why the schedd could not be asked last
        self._refused = ""  # why a submission was not taken; until the schedd takes jobs again nothing is wanted

    # ---- the six methods

    def submit(self, batch: Sequence[TaskSpec | Series], nodes: Nodes = ALL_FINE) -> list[Handle]:
        """Submit one cluster for each dataset and shape. Raises `Unavailable` for more than `capacity().queue`."""
        specs = [spec for item in batch for spec in specs_of(item)]
        for spec in specs:
            check(spec)
        self._submission.hear(nodes)
        new = unknown(batch, self._ledger.attempts)
        if new:
            self._take(new)
        self._call(self._submission.tell_nodes)
        return [handle(self._ledger.attempts[key_of(spec)]) for spec in specs]

    def poll(self, cursor: str) -> Changes:
        """Read the event logs, now and then the queue, and return what changed since `cursor`."""
        self._ledger.acknowledge(cursor)
        self._watch.look()
        if self._hearing.learn(EVENTS):
            self._upkeep.compare_soon()
        self._listen()
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
        away = not self._watch.known or bool(self._refused) or self._monotonic() < self._away_until
        room = 0 if away else self._room()
        return Capacity(self._watch.places.total, self._watch.places.free, room, self._refused or self._trouble)

    def _room(self) -> int:
        waiting, there = len(self._ledger.waiting), self._ledger.unended
        return room(self._options.depth, self._options.most, waiting, there, self._watch.duty, self._options.busy)

    def logs(self, offsets: dict[tuple[str, str, str], int]) -> list[LogPart]:
        """Return logs, bounded for one stream and for the call: HTCondor brings them at the end, `live` before."""
        most = max(1024, min(LOG_PART, LOG_CALL // max(1, len(offsets))))
        parts = []
        for (address, lease, stream), offset in offsets.items():
            attempt = self._ledger.attempts.get((address, lease))
            if attempt and (self._tails or attempt.ended is not None) and stream in STREAMS and offset >= 0:
                data = self._boxes.read(attempt, stream, offset, most)
                if data:
                    parts.append(LogPart(handle(attempt), stream, offset, data))
        return parts

    def using(self, keys: Sequence[Key]) -> dict[Key, bytes]:
        """Return what running attempts told last of what they used, where they tell anything."""
        attempts = self._ledger.attempts if self._tails else {}
        boxes = {key: self._boxes.of(item) for key in keys if (item := attempts.get(key)) and item.ended is None}
        return {key: data for key, box in boxes.items() if (data := box.read(USING, most=MOST_USING))}

    def look(self, keys: Sequence[Key]) -> None:
        """Have the logs of running attempts told soon, which somebody reads."""
        if self._tails:
            found = [self._ledger.attempts.get(key) for key in keys]
            self._tails.watch(self, [self._boxes.of(item).path for item in found if item and item.ended is None])

    def close(self) -> None:
        """Let go of the directory; all jobs go on."""
        if self._tails:
            self._tails.close()
        self._ledger.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _listen(self) -> None:
        """Hear which attempts told something: of a series, that they began."""
        if self._tails:
            now = self._clock()
            self._tails.tend()
            self._tails.began(lambda key: self._hearing.heard(key, now))

    def _heed_caps(self) -> None:
        options, now = self._options, self._monotonic()
        if options.caps and now >= self._caps_at:
            self._caps_at = now + CAPS
            self._submission.tell_sites(self._full())

    def _full(self) -> tuple[str, ...]:
        caps = self._options.caps
        return full(self._ledger.running(), self._watch.sites, caps) if caps else ()

    # ---- beginning

    def _take(self, batch: Sequence[TaskSpec | Series]) -> None:
        """Enter new attempts and submit those that can run. Raises `Unavailable`, and then there are none of them."""
        room = self.capacity().queue  # which looks at the pool
        why = self._never(batch)
        able = sum(any(key_of(spec) not in why for spec in specs_of(item)) for item in batch)
        if not self._watch.known or able > room:
            raise Unavailable(f"this engine takes {room} more attempts now", code="engine-full", room=room)
        self._submission.methods = fetched(self._watch.places.methods, self._options.plugins)
        self._submission.full = self._full()
        pieces = self._submission.pieces(batch, why)
        lacking = self._lacking(pieces)
        if lacking:
            why |= {key: (Reason.STAGE_IN, words) for key, words in lacking.items()}
            pieces = self._submission.pieces(batch, why)
        unable = [spec for item in batch for spec in specs_of(item) if key_of(spec) in why]
        self._enter(pieces, self._submission.pieces(unable))
        for spec in unable:
            self._upkeep.say(self._ledger.attempts[key_of(spec)], *why[key_of(spec)])
        self._ledger.save_if_possible()

    def _enter(self, pieces: Sequence[Piece], unable: Sequence[Piece]) -> None:
        attempts = self._ledger.add(pieces)
        try:
            self._submission.send(pieces, self._submission.place(pieces))
        except Unavailable as error:
            self._upkeep.compare_soon()  # what was submitted without a word is found, what was not is submitted
            self._refused = error.message
            self._stay_away(error)
            if not any(attempt.job for attempt in attempts):
                self._ledger.drop([key_of(spec) for piece in pieces for spec in piece.members])
                self._ledger.save_if_possible()
                raise
        self._ledger.add(unable)

    def _never(self, batch: Sequence[TaskSpec | Series]) -> dict[Key, tuple[Reason, str]]:
        """Return which attempts can never run in this pool, and why."""
        known: dict[Shape | Wishes, str] = {NONE: ""}
        found = {}
        for item in batch:
            if item.shape not in known:
                known[item.shape] = self._watch.never(item.shape)
            for spec in specs_of(item):
                wishes = wishes_of(spec)
                if wishes not in known:
                    known[wishes] = refused(wishes, self._options.settable, self._condor.readable)
                why = known[item.shape] or known[wishes]
                if why:
                    found[key_of(spec)] = (Reason.SUBMIT, f"it can never run here: {why}")
        return found

    def _lacking(self, pieces: Sequence[Piece]) -> dict[Key, str]:
        """Return which attempts lack an input, and which."""
        found, trouble = {}, troubles()
        for piece in pieces:
            for spec, travel in zip(piece.members, piece.travels, strict=True):
                words = missing(spec, travel, trouble) or unfetched(spec, self._submission.methods)
                if words:
                    found[key_of(spec)] = words
        return found

    def _tend(self) -> None:
        """Do what is due in the queue, and find out whether the schedd takes jobs again that refused some."""
        self._upkeep.tidy()
        self._heed_caps()
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


def room(depth: int, most: int, waiting: int, there: int, duty: float, busy: float) -> int:
    """Return how many more jobs a queue may get: up to `depth` that wait and `most` in all (0: any number).

    `there` are in the queue, of which some wait. A schedd gets less from half of `busy` on, and nothing at `busy`: `duty`
    is which part of its time it is at work.
    """
    eased = depth * min(1.0, max(0.0, 2 * (1 - duty / busy)))
    wanted = int(eased) - waiting
    return max(0, min(wanted, most - there) if most else wanted)


def from_settings(settings: Mapping[str, Any], clock: Clock = system_clock) -> HTCondorEngine | Spread:
    """Make an engine of a pool from the options of `HTCondorSettings`. Raises `Invalid` for what they get wrong.

    Of several schedds each has a directory of its own below the one that is given.
    """
    options = read(HTCondorSettings, settings, "htcondor")
    tails = Tails(options.directory.absolute(), options) if options.live else None
    if len(options.schedd) < 2:
        return HTCondorEngine(options, clock=clock, tails=tails)
    each = [{"schedd": (name,), "directory": options.directory / _safe(name)} for name in options.schedd]
    return Spread([HTCondorEngine(options.model_copy(update=one), clock=clock, tails=tails) for one in each])


def _safe(name: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "-_.@" else "_" for sign in name).lstrip(".") or "_"
