"""Compares the queue of HTCondor with what the engine believes, and says what has to be done. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nunatak.engines.htcondor.bindings import Job
from nunatak.engines.htcondor.events import Seen, Word
from nunatak.engines.htcondor.records import Attempt
from nunatak.engines.keys import Key

ASKED = ("ClusterId", "ProcId", "NunatakAddress", "NunatakLease", "JobStatus", "NumJobStarts", "EnteredCurrentStatus",
         "JobCurrentStartExecutingDate", "RemoteHost", "HoldReason", "HoldReasonCode", "HoldReasonSubCode")  # fmt: skip
"""Attributes to ask for."""
_IDLE, _RUNNING, _REMOVED, _COMPLETED, _HELD, _TRANSFERRING = 1, 2, 3, 4, 5, 6
STUCK = 600.0
"""Seconds after which a job that does not go although it was removed is removed by force."""


@dataclass(slots=True)
class Differences:
    """What the queue says: jobs of attempts that had none, events that were missed, and jobs that nobody wants."""

    found: dict[Key, Job] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    unwanted: list[Job] = field(default_factory=list)
    stuck: list[Job] = field(default_factory=list)
    missing: list[Key] = field(default_factory=list)


def compare(ads: Iterable[Mapping[str, Any]], attempts: Mapping[Key, Attempt], now: float) -> Differences:
    """Compare the ads of our jobs with the attempts that have not ended; `now` in seconds since the epoch."""
    told, there = Differences(), set[Key]()
    for ad in sorted(ads, key=_job):
        job, status = _job(ad), _number(ad, "JobStatus")
        key = str(ad.get("NunatakAddress", "")), str(ad.get("NunatakLease", ""))
        attempt = attempts.get(key)
        if status == _REMOVED and now - _number(ad, "EnteredCurrentStatus") > STUCK:
            told.stuck.append(job)
        if attempt is None or attempt.ended is not None or key in there or (attempt.job and attempt.job != job):
            if status not in (_REMOVED, _COMPLETED):
                told.unwanted.append(job)
            continue
        there.add(key)
        if attempt.job is None:
            told.found[key] = job
        seen = _missed(ad, job, status, attempt, now)
        if seen:
            told.seen.append(seen)
    told.missing = [key for key, attempt in attempts.items() if attempt.ended is None and key not in there]
    return told


def _missed(ad: Mapping[str, Any], job: Job, status: int, attempt: Attempt, now: float) -> Seen | None:
    """Return the event that the state of a job speaks of, if it was not seen."""
    host = str(ad.get("RemoteHost", "")).rpartition("@")[2]
    began = _number(ad, "JobCurrentStartExecutingDate")
    if status == _HELD:
        text = " ".join(str(ad.get("HoldReason", "")).split())
        code, subcode = _number(ad, "HoldReasonCode"), _number(ad, "HoldReasonSubCode")
        return Seen(job, Word.HELD, float(_number(ad, "EnteredCurrentStatus") or now), "", text, code, subcode)
    if status == _IDLE and _number(ad, "NumJobStarts") > 0:
        return Seen(
            job, Word.EVICTED, float(_number(ad, "EnteredCurrentStatus") or now), host, "it waits in the queue again"
        )
    if status in (_RUNNING, _TRANSFERRING) and attempt.begun is None and began:
        return Seen(job, Word.BEGUN, float(began), host)
    return None


def _job(ad: Mapping[str, Any]) -> Job:
    return _number(ad, "ClusterId"), _number(ad, "ProcId")


def _number(ad: Mapping[str, Any], name: str) -> int:
    value = ad.get(name)
    return int(value) if isinstance(value, int | float) else 0
