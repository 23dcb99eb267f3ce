"""From what the worker says happened to what we conclude and do. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from nunatak.core.units import memory_text, time_text
from nunatak.core.work import Outcome, Reason, Shape
from nunatak.datasets.plan import Retry


class Action(StrEnum):
    """What is done with a task after an attempt."""

    DONE = "done"
    AGAIN = "again"
    FAILED = "failed"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class History:
    """What is known of a task before this attempt's end: tries that counted, and the shape it was given."""

    tries: int
    shape: Shape


@dataclass(frozen=True, slots=True)
class Verdict:
    """What we conclude from an outcome: a kind, a sentence for a person, whose move it is, and what is done."""

    kind: str
    action: Action
    message: str
    advice: str = ""
    whose: str = ""  # yours, site's, data's, ours
    counts: bool = True  # uses up a try
    delay: float = 0.0  # seconds until the next try
    shape: Shape | None = None  # what the next try asks for, if not the same


FREE = {
    Reason.TERMINATED: ("evicted", "site's"),
    Reason.LOST: ("lost", "site's"),
    Reason.SUBMIT: ("submit-failed", "ours"),
}
"""Ends that are nobody's fault of the task: another try is free of charge, up to a generous cap."""

FREE_CAP = 20

KINDS = {
    Reason.EXIT: ("user-error", "yours", "look at the log: nunatak logs ADDRESS"),
    Reason.SIGNAL: ("user-error", "yours", "look at the log: nunatak logs ADDRESS"),
    Reason.MEMORY: ("out-of-memory", "yours", "raise needs.memory, or let retry.memory raise it"),
    Reason.DISK: ("over-disk", "yours", "raise needs.disk"),
    Reason.TIME: ("over-time", "yours", "raise needs.time, or make the task shorter"),
    Reason.STAGE_IN: (
        "stage-in",
        "data's",
        "check that the input exists and is whole; one that changed since it was submitted needs a new submission",
    ),
    Reason.SETUP: ("setup", "yours", "check environment: the setup script, image or requirements"),
    Reason.COMMAND: ("command", "yours", "check the command's name, its file and its permissions"),
    Reason.OUTPUT: ("output-missing", "yours", "check the names under outputs, or mark them optional"),
    Reason.STAGE_OUT: ("stage-out", "data's", "check that the storage can be written and has room"),
    Reason.TERMINATED: ("evicted", "site's", "it was stopped from outside again and again: choose another site"),
    Reason.LOST: ("lost", "site's", "it vanished again and again: choose another site"),
    Reason.SUBMIT: ("submit-failed", "ours", "the engine could not submit it again and again: see its log"),
    Reason.INVALID: ("lying-worker", "site's", "the node wrote an outcome that cannot be understood"),
    Reason.INTERNAL: ("worker-error", "ours", "see worker.log of the attempt"),
}


WELL = Verdict("ok", Action.DONE, "done", counts=False)


def judge(outcome: Outcome, history: History, retry: Retry, *, free_tries: int = 0) -> Verdict:
    """Judge one attempt. `free_tries` is how many attempts of this task already ended free of charge."""
    if outcome.reason is Reason.OK:
        return WELL
    message = outcome.message or _sentence(outcome)
    if outcome.reason in FREE and free_tries < FREE_CAP:
        kind, whose = FREE[outcome.reason]
        return Verdict(kind, Action.AGAIN, message, whose=whose, counts=False, delay=_delay(retry, free_tries))
    kind, whose, advice = KINDS.get(outcome.reason, ("unknown", "ours", "see the attempt's logs"))
    if history.tries + 1 >= retry.tries:
        return Verdict(kind, Action.FAILED, message, advice, whose)
    verdict = Verdict(kind, Action.AGAIN, message, advice, whose, delay=_delay(retry, history.tries))
    if outcome.reason is Reason.MEMORY:
        return replace(verdict, shape=_more_memory(history.shape, retry))
    return verdict


def _delay(retry: Retry, tries: int) -> float:
    """Double the delay with each try, up to an hour."""
    return float(min(retry.delay * 2.0 ** min(tries, 20), 3600.0))


def _more_memory(shape: Shape, retry: Retry) -> Shape | None:
    if not retry.memory_most or shape.memory >= retry.memory_most:
        return None
    return replace(shape, memory=min(round(shape.memory * retry.memory_factor), retry.memory_most)).rounded()


def _sentence(outcome: Outcome) -> str:
    usage = outcome.usage
    return {
        Reason.EXIT: f"a command ended with exit code {outcome.exit}",
        Reason.SIGNAL: f"a command died of signal {outcome.signal}",
        Reason.MEMORY: f"used {memory_text(usage.memory or 0)} of memory, more than it asked for",
        Reason.DISK: f"used {memory_text(usage.disk or 0)} of disk, more than it asked for",
        Reason.TIME: f"ran {time_text(usage.wall or 0)}, longer than it asked for",
        Reason.TERMINATED: "was stopped from outside",
        Reason.LOST: "vanished without a word",
    }.get(outcome.reason, f"ended: {outcome.reason}")
