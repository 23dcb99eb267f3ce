"""What an event of the job event log means, as plain values. Pure.

Numbers and attributes are those of HTCondor's user log (condor_event.h).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nunatak.engines.htcondor.bindings import Job
from nunatak.engines.htcondor.description import NOTE
from nunatak.engines.keys import Key

_ALIAS = re.compile(r"[?&]alias=([^&>]+)")
_MIB = 2**20


class Word(StrEnum):
    """What an event says."""

    SUBMITTED = "submitted"
    BEGUN = "begun"
    MEASURED = "measured"
    FINISHED = "finished"  # the job ended by itself, and its files are back
    EVICTED = "evicted"
    REPEATED = "repeated"  # it was begun a second time, with no word of how the first ended
    HELD = "held"
    REMOVED = "removed"
    CUT_OFF = "cut-off"  # the connection to the node is lost for good
    BROKEN = "broken"  # HTCondor itself failed with it


ENDS = frozenset({Word.FINISHED, Word.EVICTED, Word.REPEATED, Word.HELD, Word.REMOVED, Word.CUT_OFF, Word.BROKEN})
_WORDS = {
    0: Word.SUBMITTED, 1: Word.BEGUN, 2: Word.BROKEN, 4: Word.EVICTED, 5: Word.FINISHED, 6: Word.MEASURED, 7: Word.BROKEN,
    9: Word.REMOVED, 12: Word.HELD, 24: Word.CUT_OFF,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """One event: whose, what, when (seconds since the epoch), where, and why in HTCondor's words and numbers."""

    job: Job
    word: Word
    at: float
    host: str = ""
    text: str = ""
    code: int = 0
    subcode: int = 0
    memory: int = 0  # bytes
    key: Key | None = None  # only with SUBMITTED


def read(number: int, job: Job, at: float, event: Mapping[str, Any]) -> Seen | None:
    """Return what an event says; None if it says nothing that matters here."""
    word = _WORDS.get(number)
    if word is None:
        return None
    if word is Word.SUBMITTED:
        return Seen(job, word, at, key=key_in(_text(event, "LogNotes")))
    if word is Word.MEASURED:
        return Seen(job, word, at, memory=_MIB * _number(event, "MemoryUsage"))
    if word is Word.FINISHED:
        return Seen(job, word, at, text=how(event))
    reason = _text(event, "HoldReason") or _text(event, "Reason") or _text(event, "Message")
    if number == 2:
        reason = reason or "the worker could not be executed"
    code, subcode = _number(event, "HoldReasonCode"), _number(event, "HoldReasonSubCode")
    return Seen(job, word, at, host_in(event), " ".join(reason.split()), code, subcode)


def how(event: Mapping[str, Any]) -> str:
    """Say how the worker's process ended."""
    if event.get("TerminatedNormally", True):
        return f"it returned {_number(event, 'ReturnValue')}"
    return f"it was killed by signal {_number(event, 'TerminatedBySignal')}"


def key_in(note: str) -> Key | None:
    """Return address and lease from the line that a submission leaves in the log."""
    words = note.split()
    return (words[1], words[2]) if len(words) == 3 and words[0] == NOTE else None


def host_in(event: Mapping[str, Any]) -> str:
    """Return the machine that an event names, as `Machine` of its ad."""
    _, at, machine = _text(event, "SlotName").rpartition("@")
    if at and machine:
        return machine
    found = _ALIAS.search(_text(event, "ExecuteHost")) or _ALIAS.search(_text(event, "StartdAddr"))
    return found[1] if found else ""


def _text(event: Mapping[str, Any], name: str) -> str:
    value = event.get(name)
    return value if isinstance(value, str) else ""


def _number(event: Mapping[str, Any], name: str) -> int:
    value = event.get(name)
    return int(value) if isinstance(value, int | float) else 0
