"""The rules by which a cause is found, in the order in which evidence is believed: the first that finds something counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from nunatak.core.work import Reason
from nunatak.tasks.verdicts.evidence import PAYLOAD, Case, Finding
from nunatak.tasks.verdicts.files import stage_in, stage_out
from nunatak.tasks.verdicts.kinds import Kind
from nunatak.tasks.verdicts.limits import (
    asked_for,
    at_limit,
    batch_code,
    batch_words,
    over_disk,
    over_memory,
    over_time,
    stalled,
    system_words,
)
from nunatak.tasks.verdicts.program import by_signal, no_command, no_space, program_words, suspect_node, told, unmounted

K, R = Kind, Reason


class Rule(NamedTuple):
    """Looks at the cases that ended for one of `reasons` and returns what it finds."""

    name: str
    reasons: frozenset[Reason]
    find: Callable[[Case], Finding | None]


USUAL: Mapping[Reason, Kind] = {
    R.EXIT: K.COMMAND_FAILED, R.SIGNAL: K.COMMAND_FAILED, R.SETUP: K.SETUP, R.COMMAND: K.CANNOT_RUN,
    R.OUTPUT: K.OUTPUT_MISSING, R.TERMINATED: K.EVICTED, R.LOST: K.LOST, R.UNBEGUN: K.UNBEGUN, R.SUBMIT: K.SUBMIT_FAILED,
    R.INVALID: K.BAD_OUTCOME, R.INTERNAL: K.WORKER_ERROR, R.STAGE_IN: K.STAGE_IN, R.STAGE_OUT: K.STAGE_OUT,
}  # fmt: skip
"""What a reason means where nothing more is known."""


def _usual(case: Case) -> Finding:
    return Finding(USUAL.get(case.outcome.reason, K.UNKNOWN), told(case))


EVERY = frozenset(Reason) - {R.OK}
RULES = (
    Rule("we stopped it ourselves", EVERY, asked_for),
    Rule("the batch system's code says so", EVERY, batch_code),
    Rule("the batch system or the engine says so", EVERY, batch_words),
    Rule("the kernel or the batch system wrote it into the log", PAYLOAD | {R.LOST, R.TERMINATED}, system_words),
    Rule("the worker measured more memory than asked for", frozenset({R.MEMORY}), over_memory),
    Rule("killed at its memory limit", frozenset({R.SIGNAL, R.EXIT, R.LOST, R.TERMINATED}), at_limit),
    Rule("no computing, no output", frozenset({R.TIME}), stalled),
    Rule("it ran longer than asked for", frozenset({R.TIME}), over_time),
    Rule("it filled its disk", frozenset({R.DISK}), over_disk),
    Rule("an input could not be had", frozenset({R.STAGE_IN}), stage_in),
    Rule("an output could not be stored", frozenset({R.STAGE_OUT}), stage_out),
    Rule("the worker found the disk full", frozenset({R.INTERNAL}), no_space),
    Rule("the program's words", PAYLOAD, program_words),
    Rule("software that is not mounted", PAYLOAD, unmounted),
    Rule("the command cannot be started", frozenset({R.COMMAND}), no_command),
    Rule("a signal", frozenset({R.SIGNAL, R.EXIT}), by_signal),
    Rule("the node stands out", PAYLOAD, suspect_node),
    Rule("the reason alone", EVERY, _usual),
)
"""Every rule, in order."""

BY_REASON = {reason: tuple(rule for rule in RULES if reason in rule.reasons) for reason in Reason}


def cause(case: Case) -> Finding:
    """Return what the first rule that finds something has found."""
    for rule in BY_REASON[case.outcome.reason]:
        found = rule.find(case)
        if found is not None:
            return found if found.sentence else found._replace(sentence=told(case))
    return _usual(case)
