"""Brings back what jobs left that HTCondor took from their nodes: it is in the schedd's spool, under the job's number.

The schedd hands out a job's sandbox from the job's initial directory, which for such a job is told to be its place in
the spool, while what receives it is told to put it where the job came from.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nunatak.core.errors import Unavailable
from nunatak.engines.htcondor import expressions, reconcile
from nunatak.engines.htcondor.bindings import Condor, Job
from nunatak.engines.htcondor.boxes import Boxes
from nunatak.engines.htcondor.events import Seen, Word
from nunatak.engines.htcondor.hearing import Hearing
from nunatak.engines.htcondor.lives import Left

ASKED = ("ClusterId", "ProcId", "JobStatus", "SpooledOutputFiles", "RemoveReason", "HoldReason", "HoldReasonCode",
         "HoldReasonSubCode", "LastHoldReason", "LastHoldReasonCode", "LastHoldReasonSubCode")  # fmt: skip
"""Attributes to ask for."""
SECONDS = 0.5
"""How long one call may take, about: there may be thousands where a pool is drained."""
TOGETHER = 100
"""Jobs that are asked for at once."""
REMOVED = 3


class Spool:
    """The place of jobs in the schedd's spool."""

    def __init__(self, condor: Condor, hearing: Hearing, boxes: Boxes) -> None:
        """Begin with nothing known of the spool."""
        self._condor, self._hearing, self._boxes = condor, hearing, boxes

    def salvage(self) -> None:
        """End attempts whose jobs left their nodes, by what they left there as well. Raises `Unavailable`."""
        left = self._hearing.left_their_nodes()[:TOGETHER]
        if not left:
            return
        end = time.monotonic() + SECONDS
        ads = {reconcile.job_of(ad): ad for ad in self._condor.queue(naming([item.seen.job for item in left]), ASKED)}
        for item in left:
            ad = ads.get(item.seen.job, {})
            back = bool(ad.get("SpooledOutputFiles")) and self._bring(item)
            self._hearing.end_left(replace(item, seen=explained(item.seen, ad)), back)
            if time.monotonic() > end:
                break

    def _bring(self, left: Left) -> bool:
        """Bring the files of one job home; tell whether that went well."""
        job = left.seen.job
        try:
            spool = self._condor.spool()
            if not spool:
                return False
            self._condor.bring_back(job, place(spool, job), self._boxes.home(left.home))
        except Unavailable:
            return False
        return True


def explained(seen: Seen, ad: Mapping[str, Any]) -> Seen:
    """Return what was said of a job with what its ad says of it: an eviction may have been a hold or a removal."""
    if ad.get("JobStatus") == REMOVED and seen.word is not Word.REMOVED:
        return replace(seen, word=Word.REMOVED, text=str(ad.get("RemoveReason", "")))
    for name in ("HoldReason", "LastHoldReason"):  # the latter of one that was let go meanwhile
        if ad.get(name) and seen.word is Word.EVICTED:
            codes = int(ad.get(f"{name}Code") or 0), int(ad.get(f"{name}SubCode") or 0)
            return replace(seen, word=Word.HELD, text=" ".join(str(ad[name]).split()), code=codes[0], subcode=codes[1])
    return seen


def place(spool: str, job: Job) -> Path:
    """Return where the schedd keeps the files of a job (as its `SpooledJobFiles` does)."""
    cluster, proc = job
    return Path(spool) / str(cluster % 10000) / str(proc % 10000) / f"cluster{cluster}.proc{proc}.subproc0"


def naming(jobs: Sequence[Job]) -> str:
    """Return the expression that holds for some jobs."""
    return expressions.either([f"ClusterId == {cluster} && ProcId == {proc}" for cluster, proc in jobs])
