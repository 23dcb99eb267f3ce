"""Compares the queue of HTCondor with what the engine believes, and says what has to be done. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nunatak.core.errors import Invalid
from nunatak.engines.htcondor.bindings import Job
from nunatak.engines.htcondor.events import Seen, Word
from nunatak.engines.htcondor.pieces import home_of
from nunatak.engines.htcondor.records import Attempt

ASKED = ("ClusterId", "ProcId", "NunatakAddress", "NunatakLease", "JobStatus", "NumJobStarts", "EnteredCurrentStatus",
         "JobCurrentStartExecutingDate", "RemoteHost", "HoldReason", "HoldReasonCode", "HoldReasonSubCode",
         "RemoveReason")  # fmt: skip
"""Attributes to ask for."""
_IDLE, _RUNNING, _REMOVED, _COMPLETED, _HELD, _TRANSFERRING = 1, 2, 3, 4, 5, 6
GOING = 90.0
"""Seconds that a removed or held job may take to leave its node; it is known to have left if that was not heard of."""
STUCK = 600.0
"""Seconds after which a job that does not go although it was removed is removed by force."""


@dataclass(slots=True)
class Differences:
    """What the queue says: jobs of attempts that had none, events that were missed, and jobs that nobody wants."""

    found: dict[str, Job] = field(default_factory=dict)  # by the job's home
    seen: list[Seen] = field(default_factory=list)
    unwanted: list[Job] = field(default_factory=list)
    stuck: list[Job] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # homes


def compare(ads: Iterable[Mapping[str, Any]], attempts: Mapping[str, Attempt], now: float) -> Differences:
    """Compare the ads of our jobs with the attempts that stand for them, by home; `now` in seconds since the epoch."""
    told, there = Differences(), set[str]()
    for ad in sorted(ads, key=job_of):
        job, status = job_of(ad), _number(ad, "JobStatus")
        home = _home(ad)
        attempt = attempts.get(home)
        if status == _REMOVED and ad.get("RemoteHost") and now - _number(ad, "EnteredCurrentStatus") > STUCK:
            told.stuck.append(job)
        if attempt is None or attempt.ended is not None or home in there or (attempt.job and attempt.job != job):
            if status not in (_REMOVED, _COMPLETED):
                told.unwanted.append(job)
            elif status == _REMOVED and not ad.get("RemoteHost"):
                told.stuck.append(job)  # it is kept for its files, which nobody wants
            continue
        there.add(home)
        if attempt.job is None:
            told.found[home] = job
        seen = _missed(ad, job, status, attempt, now)
        if seen:
            told.seen.append(seen)
    told.missing = [home for home, attempt in attempts.items() if attempt.ended is None and home not in there]
    return told


def _missed(ad: Mapping[str, Any], job: Job, status: int, attempt: Attempt, now: float) -> Seen | None:
    """Return the event that the state of a job speaks of, if it was not seen."""
    host = str(ad.get("RemoteHost", "")).rpartition("@")[2]
    began, at = _number(ad, "JobCurrentStartExecutingDate"), float(_number(ad, "EnteredCurrentStatus") or now)
    going = bool(host) and now - at <= GOING  # its shadow, which brings its files, takes leave of the host
    if status == _HELD and not going:
        text = " ".join(str(ad.get("HoldReason", "")).split())
        code, subcode = _number(ad, "HoldReasonCode"), _number(ad, "HoldReasonSubCode")
        return Seen(job, Word.HELD, at, "", text, code, subcode)
    if status == _REMOVED and attempt.begun is not None and not going:
        return Seen(job, Word.REMOVED, at, host, str(ad.get("RemoveReason", "")))
    if status == _IDLE and _number(ad, "NumJobStarts") > 0:
        return Seen(job, Word.EVICTED, at, host, "it waits in the queue again")
    if status in (_RUNNING, _TRANSFERRING) and attempt.begun is None and began:
        return Seen(job, Word.BEGUN, float(began), host)
    return None


def _home(ad: Mapping[str, Any]) -> str:
    try:
        return home_of(str(ad.get("NunatakAddress", "")), str(ad.get("NunatakLease", "")))
    except Invalid:
        return ""


def job_of(ad: Mapping[str, Any]) -> Job:
    """Return cluster and proc of a job."""
    return _number(ad, "ClusterId"), _number(ad, "ProcId")


def _number(ad: Mapping[str, Any], name: str) -> int:
    value = ad.get(name)
    return int(value) if isinstance(value, int | float) else 0
