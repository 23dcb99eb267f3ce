"""State machines as data: one enumeration and one table of allowed changes for tasks; jobs and datasets derive."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class TaskState(StrEnum):
    """Where a task is."""

    WAITING = "waiting"  # parents unfinished
    READY = "ready"  # may be claimed, perhaps not before some time
    QUEUED = "queued"  # leased to an engine
    RUNNING = "running"  # the engine says it has begun
    DONE = "done"  # outputs recorded
    FAILED = "failed"  # needs a person
    HELD = "held"  # a person or policy stopped it


class Derived(StrEnum):
    """Where a job or a dataset is, from its tasks."""

    OPEN = "open"
    DONE = "done"
    FAILED = "failed"
    HELD = "held"


S = TaskState
CHANGES: Mapping[TaskState, Mapping[TaskState, str]] = {
    S.WAITING: {S.READY: "its parents are done", S.HELD: "hold", S.FAILED: "cancel"},
    S.READY: {S.QUEUED: "claimed", S.HELD: "hold", S.FAILED: "cancel", S.WAITING: "a parent runs again"},
    S.QUEUED: {
        S.RUNNING: "the engine reports a start",
        S.DONE: "the engine reports success",
        S.READY: "try again, or the lease ran out",
        S.FAILED: "no try left, or cancel",
        S.HELD: "hold, or policy",
        S.WAITING: "jobs were added that it gathers",
    },
    S.RUNNING: {
        S.DONE: "the engine reports success",
        S.READY: "try again, or the lease ran out",
        S.FAILED: "no try left, or cancel",
        S.HELD: "hold, or policy",
        S.WAITING: "jobs were added that it gathers",
    },
    S.DONE: {S.WAITING: "jobs were added that it gathers"},
    S.FAILED: {S.READY: "retry", S.WAITING: "retry, its parents unfinished", S.HELD: "hold"},
    S.HELD: {S.READY: "release", S.WAITING: "release, its parents unfinished", S.FAILED: "cancel"},
}
"""Every allowed change of a task, with what causes it."""

OPEN_STATES = (S.WAITING, S.READY, S.QUEUED, S.RUNNING)
LEASED_STATES = (S.QUEUED, S.RUNNING)


NEVER_BEGAN = "ended before it began"
"""What a dataset is called of which no job was left when it was cancelled or closed: that all of nothing is done helps nobody."""


def shown_state(state: str, *, closed: bool, jobs: int) -> str:
    """Return what people are told of a dataset's state."""
    return NEVER_BEGAN if closed and not jobs and state == Derived.DONE else str(state)


def derive(counts: Mapping[str, int]) -> Derived:
    """Derive the state of a job or dataset from how many of its tasks are in each state.

    Open while anything can go on by itself; then failed before held, since failed work asks for a person.
    """
    if counts.get(S.READY, 0) or counts.get(S.QUEUED, 0) or counts.get(S.RUNNING, 0):
        return Derived.OPEN
    if counts.get(S.FAILED, 0):
        return Derived.FAILED
    if counts.get(S.HELD, 0):
        return Derived.HELD
    return Derived.OPEN if counts.get(S.WAITING, 0) else Derived.DONE


def diagram() -> str:
    """Return the task states as a Mermaid graph."""
    lines = ["stateDiagram-v2", "    [*] --> waiting", "    [*] --> ready"]
    lines += [f"    {a} --> {b}: {why}" for a, nexts in CHANGES.items() for b, why in nexts.items()]
    return "\n".join([*lines, "    done --> [*]"])
