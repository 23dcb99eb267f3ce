"""What a success tells of the failures before it: what works on one node and failed on another was the node's fault."""

from __future__ import annotations

from nunatak.tasks.verdicts.kinds import Kind
from nunatak.tasks.verdicts.model import History, Past

DOUBTFUL = frozenset(
    {
        Kind.COMMAND_FAILED,
        Kind.KILLED,
        Kind.SETUP,
        Kind.STALLED,
        Kind.OUTPUT_MISSING,
        Kind.OUT_OF_GPU_MEMORY,
        Kind.STAGE_IN,
        Kind.INPUT_MISSING,
        Kind.STAGE_OUT,
        Kind.BAD_OUTCOME,
    }
)
"""Kinds of which a single failure does not tell whether it was the node's."""


def blamed(history: History, node: str) -> tuple[Past, ...]:
    """Return the attempts that speak against their nodes now that the task succeeded on `node`."""
    if not node:
        return ()
    return tuple(past for past in history.attempts if past.kind in DOUBTFUL and past.node not in ("", node))
