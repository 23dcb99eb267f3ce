"""The words of verdicts: kinds of ends, whose move it is, what is done."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What became of an attempt, as the ledger keeps it. Each but `ok` has a stable number and a page: see `catalogue`."""

    __hash__ = str.__hash__  # an enumeration's own is written in Python, and slow

    OK = "ok"
    # it ran out of something
    OUT_OF_MEMORY = "out-of-memory"
    OUT_OF_GPU_MEMORY = "out-of-gpu-memory"
    OVER_TIME = "over-time"
    OVER_DISK = "over-disk"
    STALLED = "stalled"
    # taken away: free of charge
    EVICTED = "evicted"
    NODE_LOST = "node-lost"
    LOST = "lost"
    UNBEGUN = "unbegun"
    LEASE_EXPIRED = "lease-expired"
    SUBMIT_FAILED = "submit-failed"
    NO_SITE = "no-site"
    # the node
    WRONG_ARCHITECTURE = "wrong-architecture"
    OLD_PROCESSOR = "old-processor"
    COMMAND_NOT_FOUND = "command-not-found"
    MISSING_LIBRARY = "missing-library"
    NOT_MOUNTED = "not-mounted"
    SCRATCH_FULL = "scratch-full"
    BROKEN_GPU = "broken-gpu"
    NO_CONTAINER = "no-container"
    NO_NETWORK = "no-network"
    NODE_FAULT = "node-fault"
    SOFTWARE_MISSING = "software-missing"
    # files
    INPUT_MISSING = "input-missing"
    INPUT_TRUNCATED = "input-truncated"
    INPUT_CHANGED = "input-changed"
    STAGE_IN = "stage-in"
    STORAGE_DOWN = "storage-down"
    STORAGE_FULL = "storage-full"
    STORAGE_DENIED = "storage-denied"
    STAGE_OUT = "stage-out"
    OUTPUT_MISSING = "output-missing"
    # the program and the recipe
    COMMAND_FAILED = "command-failed"
    USER_ERROR = "user-error"
    KILLED = "killed"
    CANNOT_RUN = "cannot-run"
    SETUP = "setup"
    GPU_NOT_ASKED = "gpu-not-asked"
    SERVICE_DOWN = "service-down"
    # ours
    BAD_OUTCOME = "bad-outcome"
    WORKER_ERROR = "worker-error"
    UNKNOWN = "unknown"
    # asked for
    CANCELLED = "cancelled"
    HELD = "held"
    SUPERSEDED = "superseded"


class Whose(StrEnum):
    """Whose move it is."""

    NOBODY = ""
    YOURS = "yours"
    SITES = "site's"
    OF_DATA = "data's"
    OURS = "ours"


class Action(StrEnum):
    """What is done with a task after an attempt."""

    __hash__ = str.__hash__  # an enumeration's own is written in Python, and slow

    DONE = "done"
    AGAIN = "again"
    ELSEWHERE = "elsewhere"  # again, but not where `Verdict.avoid` says, as long as there is another place
    FAILED = "failed"
    HELD = "held"
    HOLD_DATASET = "hold-dataset"  # the task failed, and so would every other: hold all of them


RETRIED = frozenset({Action.AGAIN, Action.ELSEWHERE})
"""The actions after which a task is ready again."""
