"""What is done about each kind of failure: one table, from which the judge, the scoreboard and the catalogue read."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from nunatak.tasks.verdicts.kinds import Action, Kind, Whose


class Way(StrEnum):
    """How it is tried again."""

    __hash__ = str.__hash__  # an enumeration's own is written in Python, and slow

    FREE = "free"  # another try costs nothing, until there were very many
    MORE = "more"  # with more of what ran out
    FAULT = "fault"  # free, on another node; final when other nodes have it too
    CONFIRM = "confirm"  # on another node; final when it ends the same way there
    TRIES = "tries"  # until the tries are used up
    FINAL = "final"  # not at all
    ASKED = "asked"  # we stopped it ourselves


class Treatment(NamedTuple):
    """`then` is the kind when it has become final, `final` what is done then.

    `lasting`: another try on the same node is of no use. `raises` names the field of a shape.
    """

    way: Way
    whose: Whose
    then: Kind | None = None
    final: Action = Action.FAILED
    lasting: bool = False
    raises: str = ""


K, W = Kind, Whose
_FREE = Treatment(Way.FREE, W.SITES)
_FAULT = Treatment(Way.FAULT, W.SITES)
_LASTING = Treatment(Way.FAULT, W.SITES, lasting=True)
_SOFTWARE = Treatment(Way.FAULT, W.SITES, then=K.SOFTWARE_MISSING, lasting=True)

TREATMENTS: Mapping[Kind, Treatment] = {
    K.OUT_OF_MEMORY: Treatment(Way.MORE, W.YOURS, raises="memory"),
    K.OVER_TIME: Treatment(Way.MORE, W.YOURS, raises="time"),
    K.OVER_DISK: Treatment(Way.MORE, W.YOURS, raises="disk"),
    K.OUT_OF_GPU_MEMORY: Treatment(Way.CONFIRM, W.YOURS),
    K.STALLED: Treatment(Way.CONFIRM, W.YOURS),
    K.EVICTED: _FREE,
    K.NODE_LOST: _FREE,
    K.LOST: _FREE,
    K.UNBEGUN: _FREE,
    K.LEASE_EXPIRED: _FREE,
    K.SUBMIT_FAILED: Treatment(Way.FREE, W.OURS),
    K.NO_SITE: Treatment(Way.FREE, W.YOURS, final=Action.HELD),
    K.WRONG_ARCHITECTURE: _LASTING,
    K.OLD_PROCESSOR: _LASTING,
    K.COMMAND_NOT_FOUND: _SOFTWARE,
    K.MISSING_LIBRARY: _SOFTWARE,
    K.NOT_MOUNTED: Treatment(Way.FAULT, W.SITES, then=K.SOFTWARE_MISSING),
    K.SCRATCH_FULL: _FAULT,
    K.BROKEN_GPU: _FAULT,
    K.NO_CONTAINER: _LASTING,
    K.NO_NETWORK: _FAULT,
    K.NODE_FAULT: _FAULT,
    K.SOFTWARE_MISSING: Treatment(Way.FINAL, W.YOURS),
    K.INPUT_MISSING: Treatment(Way.CONFIRM, W.OF_DATA),
    K.INPUT_TRUNCATED: Treatment(Way.FINAL, W.YOURS),
    K.INPUT_CHANGED: Treatment(Way.FINAL, W.OF_DATA),
    K.STAGE_IN: Treatment(Way.CONFIRM, W.OF_DATA),
    K.STORAGE_DOWN: Treatment(Way.FREE, W.OF_DATA),
    K.STORAGE_FULL: Treatment(Way.CONFIRM, W.OF_DATA, final=Action.HOLD_DATASET),
    K.STORAGE_DENIED: Treatment(Way.CONFIRM, W.YOURS, final=Action.HOLD_DATASET),
    K.STAGE_OUT: Treatment(Way.CONFIRM, W.OF_DATA),
    K.OUTPUT_MISSING: Treatment(Way.CONFIRM, W.YOURS),
    K.COMMAND_FAILED: Treatment(Way.CONFIRM, W.YOURS, then=K.USER_ERROR),
    K.USER_ERROR: Treatment(Way.FINAL, W.YOURS),
    K.KILLED: Treatment(Way.TRIES, W.SITES),
    K.CANNOT_RUN: Treatment(Way.FINAL, W.YOURS),
    K.SETUP: Treatment(Way.CONFIRM, W.YOURS),
    K.GPU_NOT_ASKED: Treatment(Way.FINAL, W.YOURS),
    K.SERVICE_DOWN: Treatment(Way.TRIES, W.OF_DATA),
    K.BAD_OUTCOME: Treatment(Way.TRIES, W.SITES),
    K.WORKER_ERROR: Treatment(Way.TRIES, W.OURS),
    K.UNKNOWN: Treatment(Way.TRIES, W.OURS),
    K.CANCELLED: Treatment(Way.ASKED, W.YOURS),
    K.HELD: Treatment(Way.ASKED, W.YOURS, final=Action.HELD),
    K.SUPERSEDED: Treatment(Way.ASKED, W.NOBODY, final=Action.AGAIN),
}
"""One entry for every kind but `ok`."""

FAULTS = frozenset(kind for kind, treatment in TREATMENTS.items() if treatment.way is Way.FAULT)
"""The kinds that speak against a node by themselves."""

BADPUT_ONLY = frozenset(kind for kind, treatment in TREATMENTS.items() if treatment.way is Way.FREE)
"""The kinds that cost time and no try, and speak against nobody."""
