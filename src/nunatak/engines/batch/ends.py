"""Say how an attempt ended, from what its worker left and what the batch system says. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from nunatak.core.work import Outcome, Reason, Usage
from nunatak.engines.batch.model import Cause, Job
from nunatak.engines.batch.script import NOT_THERE
from nunatak.engines.outcomes import Stop, conclude, shown
from nunatak.engines.protocol import Handle

SAID = 1000
"""Characters kept of what a job said beside its logs."""
_WORDS: tuple[tuple[re.Pattern[str], Cause], ...] = tuple(
    (re.compile(text, re.IGNORECASE), cause)
    for text, cause in (
        (r"exceeded (?:job |step |cgroup )?memory limit|oom[-_ ]kill|out[-_ ]of[-_ ]memory|over memory limit"
         r"|TERM_MEMLIMIT|job killed: (?:v?p?mem|vmem)\b|h_vmem|h_rss", Cause.MEMORY),
        (r"due to time limit|TERM_RUNLIMIT|TERM_CPULIMIT|job killed: walltime|exceeded (?:hard |soft )?wallclock"
         r"|walltime \S+ exceeded", Cause.TIME),
        (r"due to preemption|TERM_PREEMPT", Cause.PREEMPTED),
        (r"due to node fail|NODE[ _]FAIL|TERM_UNKNOWN_HOST|lost contact with host", Cause.NODE),
        (r"CANCELLED AT|TERM_OWNER|TERM_ADMIN|TERM_FORCE", Cause.CANCELLED),
    )
)  # fmt: skip
"""What batch systems write beside the logs: slurmstepd, pbs_mom, sge_execd and LSF's job report."""
_REASONS: Mapping[Cause, tuple[Reason, str]] = {
    Cause.TIME: (Reason.TIME, "the batch system ended it at its time limit"),
    Cause.MEMORY: (Reason.MEMORY, "the batch system ended it for using more memory than it asked for"),
    Cause.PREEMPTED: (Reason.TERMINATED, "it was preempted"),
    Cause.REQUEUED: (Reason.TERMINATED, "it was evicted: the batch system put it back into the queue"),
    Cause.CANCELLED: (Reason.TERMINATED, "it was cancelled in the batch system"),
    Cause.NODE: (Reason.LOST, "its node failed"),
}

_OWN = frozenset({Reason.OK, Reason.MEMORY, Reason.DISK, Reason.TIME, Reason.INVALID, Reason.SUBMIT, Reason.UNBEGUN})
"""Reasons of a worker that stand whatever the batch system says."""


def cause_of(job: Job, talk: str) -> Cause:
    """Return why a job ended: what the batch system says, else what it wrote beside the logs."""
    if job.cause not in (Cause.FAILED, Cause.UNKNOWN):
        return job.cause
    return next((cause for words, cause in _WORDS if words.search(talk)), job.cause)


def outcome_of(
    handle: Handle, job: Job, system: str, talk: str, told: bytes | None, usage: bytes, stop: Stop | None
) -> Outcome:
    """Return the outcome of an attempt whose job is over.

    `told` is what is in `outcome.json` (None: no such file), `usage` what is in `usage.json`, `stop` why we ended it
    ourselves, `talk` what the job said beside its logs. What the worker says counts; where it only knows that it was told
    to stop, or says nothing, the batch system's word does. It goes along as `detail.batch` unless all went its way.
    """
    cause = cause_of(job, talk)
    stop = stop or _stop(job, cause, system)
    if told is None and not job.ran and stop and stop.reason in (Reason.TERMINATED, Reason.SUBMIT):
        words = stop.message if stop.reason is Reason.SUBMIT else f"{stop.message} before it started"
        outcome = Outcome(handle.address, handle.lease, stop.reason, words, usage=Usage())
    else:
        outcome = conclude(handle, told, usage, stop, _last_words(job, talk))
    if stop and cause in _REASONS and outcome.reason not in _OWN:
        # the batch system signals every process of a job at once: the payload may be dead before the worker hears of it
        outcome = replace(outcome, reason=stop.reason, message=stop.message if told else outcome.message)
    began = outcome.started if outcome.started is not None else job.began or None
    ended = outcome.ended if outcome.ended is not None else job.ended or None
    outcome = replace(outcome, host=job.host or outcome.host, started=began, ended=ended)
    if outcome.reason is Reason.OK or (cause is Cause.DONE and told is not None):
        return outcome
    return replace(outcome, detail={**outcome.detail, "batch": batch_words(job, cause, system, talk)})


def batch_words(job: Job, cause: Cause, system: str, talk: str) -> dict[str, str]:
    """Return what the batch system says, as verdicts read it: `state`, `text`, and its `job` id for people."""
    state = f"{system} {job.state}" if job.state else ""
    text = " ".join(part for part in (job.text, talk.strip()[-SAID:]) if part)
    if cause is Cause.MEMORY:
        text = f"exceeded memory limit; {text}"
    elif cause is Cause.TIME:
        text = f"exceeded time limit; {text}"
    elif cause in (Cause.PREEMPTED, Cause.REQUEUED):
        text = f"was evicted; {text}"
    elif cause is Cause.NODE:
        text = f"node fail; {text}"
    return {"state": state, "text": text.rstrip("; "), "job": f"{job.id}[{job.index}]" if job.index else job.id}


def _stop(job: Job, cause: Cause, system: str) -> Stop | None:
    if cause is Cause.REFUSED:
        return Stop(Reason.SUBMIT, f"{system} will never start it: {job.text or job.state}", 0.0)
    found = _REASONS.get(cause)
    return Stop(found[0], found[1], 0.0) if found else None


def _last_words(job: Job, talk: str) -> str:
    said = f"; it said {shown(talk.strip()[-300:].encode(), 300)}" if talk.strip() else ""
    if job.exit == NOT_THERE:
        return f"the directory of the engine is not there on {job.host or 'its node'}{said}"
    if job.signal:
        return f"it was killed by signal {job.signal}{said}"
    if job.exit is not None:
        return f"it exited with code {job.exit}{said}"
    return f"the batch system {'says ' + job.state if job.state else 'no longer knows of it'}{said}"
