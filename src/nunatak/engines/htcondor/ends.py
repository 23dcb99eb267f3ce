"""How an attempt ended that HTCondor or a person took from us, in words that verdicts understand. Pure.

Numbers of holds are those of condor_holdcodes.h.
"""

from __future__ import annotations

from dataclasses import asdict, replace

from nunatak.core.work import Outcome, Reason, Usage
from nunatak.engines.htcondor.events import Seen, Word
from nunatak.engines.htcondor.expressions import OVER_DISK, OVER_MEMORY, OVER_TIME
from nunatak.engines.keys import Key

_BY_HAND, _POLICY = 1, 3
_OURS = {OVER_MEMORY: Reason.MEMORY, OVER_DISK: Reason.DISK, OVER_TIME: Reason.TIME}
_CODES = {12: Reason.STAGE_OUT, 13: Reason.STAGE_IN, 46: Reason.TIME, 47: Reason.TIME}
_LIMITS = {102: Reason.MEMORY, 104: Reason.DISK}
"""Subcodes of holds for a limit of the slot (21 by the startd, 34 by the starter)."""
_HANDS = ("via condor_rm", "by user", "python-initiated")


def end(key: Key, seen: Seen, host: str, begun: float | None, memory: int, stop: str) -> Outcome:
    """Return the outcome of an attempt that left none itself.

    `host`, `begun` and `memory` (bytes) are what is known of its run, `stop` why we removed it ("": we did not).
    """
    reason, message = _why(seen, host or seen.host, begun is not None, stop)
    usage = Usage(
        wall=None if begun is None else max(0.0, seen.at - begun),
        cpu=seen.cpu,
        memory=memory or None,
    )
    batch = {"state": seen.word.value, "text": seen.text, "code": seen.code, "subcode": seen.subcode}
    detail = {} if stop else {"batch": batch}
    return Outcome(
        *key, reason, message, started=begun, ended=seen.at, host=host or seen.host, usage=usage, detail=detail
    )


def with_what_came(told: Outcome, came: Outcome, stop: str) -> Outcome:
    """Return the end of an attempt that was taken from its node, and whose files came back.

    A worker that was told to stop knows only that, and `told` knows why; whatever else it says is how it ended. `stop` is
    why we ended it ("": we did not).
    """
    if came.reason is Reason.UNBEGUN and stop:
        return replace(came, reason=told.reason, message=told.message)
    if came.reason not in (Reason.TERMINATED, Reason.LOST):
        return came
    mine = {name: value for name, value in asdict(told.usage).items() if value is not None}
    theirs = {name: value for name, value in asdict(came.usage).items() if value is not None}
    return replace(
        came, reason=told.reason, message=told.message, started=came.started or told.started, host=told.host,
        ended=came.ended or told.ended, usage=Usage(**{**mine, **theirs}), detail={**came.detail, **told.detail},
    )  # fmt: skip


def with_doubt(told: Outcome) -> Outcome:
    """Return the end of an attempt that was taken from its node and of which nothing came back, and say so."""
    if told.started is None:
        return told
    return replace(told, message=f"{told.message}; its logs, and what it used but for what HTCondor saw, are not known")


def of_a_member(told: Outcome, began: bool, job_began: bool) -> Outcome:
    """Return the end of an attempt in a series that was ended as a whole and of which nothing came back.

    `began`: it is known to have begun; `job_began`: the job did. Which of its attempts exceeded something is not known.
    """
    if not job_began and told.reason is not Reason.TERMINATED:
        return replace(told, reason=Reason.UNBEGUN, message=f"its series ended before it began: {told.message}")
    blamed = told.reason in (Reason.MEMORY, Reason.DISK, Reason.TIME, Reason.STAGE_OUT)
    doubt = "" if began else "; whether it had begun is not known"
    if blamed:
        doubt = "; which attempt of the series is to blame is not known"
    return replace(
        told, reason=Reason.LOST if blamed else told.reason, message=f"its series was ended: {told.message}{doubt}"
    )


def _why(seen: Seen, host: str, begun: bool, stop: str) -> tuple[Reason, str]:
    if stop:
        return Reason.TERMINATED, stop
    told = f": {seen.text}" if seen.text else ""
    match seen.word:
        case Word.EVICTED:
            return Reason.TERMINATED, f"it was evicted from {host or 'its node'}{told}"
        case Word.REPEATED:
            return Reason.TERMINATED, f"it was taken from {host or 'its node'}{told}"
        case Word.HELD:
            return _held(seen, told)
        case Word.REMOVED if any(word in seen.text.lower() for word in _HANDS):
            return Reason.TERMINATED, f"it was removed from the queue by hand{told}"
        case Word.REMOVED:
            return Reason.TERMINATED, f"HTCondor removed it from the queue{told}"
        case Word.CUT_OFF:
            return Reason.LOST, f"lost connection to {host or 'its node'}{told}"
        case _:
            return Reason.LOST, f"HTCondor could not {'carry it on' if begun else 'begin it'}{told}"


def _held(seen: Seen, told: str) -> tuple[Reason, str]:
    if seen.code == _POLICY and seen.subcode in _OURS:
        return _OURS[seen.subcode], seen.text or "it exceeded what it asked for"
    if seen.code == _BY_HAND:
        return Reason.TERMINATED, f"it was held in the queue by hand{told}"
    reason = (
        _LIMITS.get(seen.subcode, Reason.MEMORY if seen.code == 34 else Reason.LOST) if seen.code in (21, 34) else None
    )
    return reason or _CODES.get(seen.code, Reason.LOST), f"HTCondor held it{told}"
