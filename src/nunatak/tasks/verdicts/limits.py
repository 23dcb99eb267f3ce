"""Rules about limits and ends from outside: what we, the batch system, the kernel and the worker's measures say."""

from __future__ import annotations

from collections.abc import Mapping

from nunatak.core.units import memory_text, time_text
from nunatak.core.work import Reason
from nunatak.tasks.verdicts import sayings
from nunatak.tasks.verdicts.evidence import ENGINE, NEAR, Case, Finding, codes, used_of
from nunatak.tasks.verdicts.kinds import Kind

K, R = Kind, Reason
STALL_LEAST = 300.0
"""Seconds an attempt must have run before it can have stalled."""
STALL_SHARE = 0.01
"""The share of one core below which nothing was computed."""
KILLS = (9, 15)
_SHELL_KILLS = (137, 143)

CODES: Mapping[tuple[int, int], Kind] = {
    (34, 0): K.OUT_OF_MEMORY, (34, 102): K.OUT_OF_MEMORY, (21, 102): K.OUT_OF_MEMORY,
    (34, 104): K.OVER_DISK, (21, 104): K.OVER_DISK,
    (46, 0): K.OVER_TIME, (47, 0): K.OVER_TIME,
    (13, 0): K.STAGE_IN, (12, 0): K.STAGE_OUT, (32, 0): K.STAGE_IN, (33, 0): K.STAGE_OUT,
    (45, 0): K.NO_CONTAINER,
}  # fmt: skip
"""HTCondor's HoldReasonCode and HoldReasonSubCode (condor_holdcodes.h); the subcode counts for 21 and 34 only."""


def asked_for(case: Case) -> Finding | None:
    """We stopped it ourselves."""
    asked = case.history.asked
    return Finding(asked, f"it was stopped because it was {asked}", asked) if asked else None


def batch_code(case: Case) -> Finding | None:
    """The batch system says why by a number."""
    code, subcode = codes(case.outcome)
    kind = CODES.get((code, subcode if code in (21, 34) else 0))
    return limit_sentence(case, kind, "the batch system ended it") if kind else None


def batch_words(case: Case) -> Finding | None:
    """The batch system or the engine says why; a program's words are not believed to be theirs."""
    outcome = case.outcome
    text = f"{case.batch}\n{outcome.message.lower()}" if outcome.reason in ENGINE else case.batch
    clue = sayings.BATCH.first(text) if text else None
    if clue is None:
        return None
    if clue.kind is K.NO_SITE:
        return Finding(K.NO_SITE, outcome.message, K.NO_SITE)
    return limit_sentence(case, clue.kind, case.put(clue.sentence))


def system_words(case: Case) -> Finding | None:
    """The kernel or the batch system wrote into the program's log."""
    clue = sayings.SYSTEM.first(case.tail) if case.tail else None
    return limit_sentence(case, clue.kind, case.put(clue.sentence)) if clue else None


def limit_sentence(case: Case, kind: Kind, sentence: str) -> Finding:
    """Add the figures to what is said of a limit."""
    usage = case.outcome.usage
    if kind is K.OUT_OF_MEMORY:
        sentence = f"it ran out of memory: {sentence}{used_of(usage.memory, case.shape.memory, 'memory')}"
    elif kind is K.OVER_DISK:
        sentence += used_of(usage.disk, case.shape.disk, "disk")
    elif kind is K.OVER_TIME:
        sentence += f" ({time_text(case.shape.time)} were asked for)"
    return Finding(kind, sentence, kind)


def over_memory(case: Case) -> Finding:
    """The worker measured more memory than was asked for, and ended it."""
    figures = used_of(case.outcome.usage.memory, case.shape.memory, "memory").strip(" ()")
    return Finding(K.OUT_OF_MEMORY, f"it ran out of memory: {figures}", K.OUT_OF_MEMORY)


def at_limit(case: Case) -> Finding | None:
    """A sudden end is put down to memory only by the measured peak, never because of a signal or an exit code alone."""
    outcome, peak, asked = case.outcome, case.outcome.usage.memory, case.shape.memory
    if peak is None or peak < NEAR * asked:
        return None
    killed = (
        outcome.reason is R.LOST or outcome.signal in KILLS or outcome.exit in _SHELL_KILLS or "sigkill" in case.text
    )
    if not killed and (peak <= asked or case.matter.told):
        return None
    text = f"it ran out of memory: ended when it used {memory_text(peak)}, {memory_text(asked)} asked for"
    return Finding(K.OUT_OF_MEMORY, text, K.OUT_OF_MEMORY)


def stalled(case: Case) -> Finding | None:
    """It had not computed, and as far as is known (`detail.quiet`, seconds) not printed, for most of its time."""
    usage = case.outcome.usage
    quiet = case.outcome.detail.get("quiet") if case.outcome.detail else None
    if usage.wall is None or usage.cpu is None or usage.wall < STALL_LEAST or usage.cpu > STALL_SHARE * usage.wall:
        return None
    if isinstance(quiet, int | float) and quiet < usage.wall / 2:
        return None
    silent = f" and printed nothing for {time_text(quiet)}" if isinstance(quiet, int | float) else ""
    text = f"it stood still: {time_text(usage.cpu)} of computing in {time_text(usage.wall)}{silent}"
    return Finding(K.STALLED, text, K.STALLED)


def over_time(case: Case) -> Finding:
    """The worker or the engine ended it at its time."""
    wall = case.outcome.usage.wall
    ran = time_text(wall) if wall else "longer"
    return Finding(K.OVER_TIME, f"it ran {ran}; {time_text(case.shape.time)} were asked for", K.OVER_TIME)


def over_disk(case: Case) -> Finding:
    """It used more disk than it asked for."""
    figures = used_of(case.outcome.usage.disk, case.shape.disk, "disk").strip(" ()")
    return Finding(K.OVER_DISK, f"it filled its disk: {figures}", K.OVER_DISK)
