"""From verdicts to causes: what an attempt that ended so says of nodes and sites, and what its time counts as."""

from __future__ import annotations

from collections.abc import Mapping

from nunatak.tasks.health.events import Cause
from nunatak.tasks.verdicts.kinds import Kind
from nunatak.tasks.verdicts.treatments import FAULTS

K = Kind

_OTHERS: Mapping[Kind, Cause] = {
    K.OK: Cause.OK,
    # taken away
    K.EVICTED: Cause.FREE,
    K.NODE_LOST: Cause.FREE,
    K.LOST: Cause.FREE,
    K.UNBEGUN: Cause.FREE,
    K.LEASE_EXPIRED: Cause.FREE,
    K.NO_SITE: Cause.FREE,
    # the site: its storage and services
    K.STORAGE_DOWN: Cause.SITE,
    K.STORAGE_FULL: Cause.SITE,
    K.STAGE_OUT: Cause.SITE,
    K.SERVICE_DOWN: Cause.SITE,
    # inputs
    K.INPUT_MISSING: Cause.DATA,
    K.INPUT_TRUNCATED: Cause.DATA,
    K.INPUT_CHANGED: Cause.DATA,
    K.STAGE_IN: Cause.DATA,
    # ours
    K.SUBMIT_FAILED: Cause.OURS,
    K.BAD_OUTCOME: Cause.OURS,
    K.WORKER_ERROR: Cause.OURS,
    K.UNKNOWN: Cause.OURS,
    # asked for
    K.CANCELLED: Cause.ASKED,
    K.HELD: Cause.ASKED,
    K.SUPERSEDED: Cause.ASKED,
}

CAUSES: Mapping[Kind, Cause] = {kind: Cause.NODE if kind in FAULTS else _OTHERS.get(kind, Cause.USER) for kind in Kind}
"""The cause of each kind of end; what is missing on every node is the user's, as is all that the task does itself."""


def cause_of(kind: str) -> Cause:
    """Return the cause of a kind as the ledger keeps it. Raises `ValueError` for a word that is no kind."""
    return CAUSES[Kind(kind)]


_SAID: Mapping[Kind, str] = {
    K.WRONG_ARCHITECTURE: "exec format error",
    K.OLD_PROCESSOR: "illegal instruction",
    K.SCRATCH_FULL: "no space left on the node's disk",
    K.BROKEN_GPU: "broken GPU",
    K.OUT_OF_GPU_MEMORY: "out of GPU memory",
}


def said(kind: Kind) -> str:
    """Return how a kind is said of a node: `exec format error`."""
    return _SAID.get(kind) or kind.replace("-", " ")


def cost_to(kind: str, *, began: bool) -> Cause:
    """Return what the time of an attempt counts as: one that never began was not evicted, and cost nothing."""
    cause = cause_of(kind)
    return Cause.OURS if cause is Cause.FREE and not began else cause
