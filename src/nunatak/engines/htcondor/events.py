"""What an event of the job event log means, as plain values. Pure.

Numbers and attributes are those of HTCondor's user log (condor_event.h).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from nunatak.core.errors import Invalid
from nunatak.engines.htcondor.bindings import Job
from nunatak.engines.htcondor.description import NOTE
from nunatak.engines.htcondor.pieces import home_of

_ALIAS = re.compile(r"[?&]alias=([^&>]+)")
_USAGE = re.compile(r"(\d+) (\d+):(\d+):(\d+)")
_MIB = 2**20


class Word(StrEnum):
    """What an event says."""

    SUBMITTED = "submitted"
    BEGUN = "begun"
    MEASURED = "measured"
    FINISHED = "finished"  # the job ended by itself, and its files are back
    EVICTED = "evicted"
    PARTED = "parted"  # node and access point lost sight of each other; it goes on, or it is cut off
    REJOINED = "rejoined"  # they found each other again
    REPEATED = "repeated"  # it was begun a second time, with no word of how the first ended
    HELD = "held"
    REMOVED = "removed"
    CUT_OFF = "cut-off"  # the connection to the node is lost for good
    BROKEN = "broken"  # HTCondor itself failed with it


ENDS = frozenset({Word.FINISHED, Word.EVICTED, Word.REPEATED, Word.HELD, Word.REMOVED, Word.CUT_OFF, Word.BROKEN})
_WORDS = {
    0: Word.SUBMITTED, 1: Word.BEGUN, 2: Word.BROKEN, 4: Word.EVICTED, 5: Word.FINISHED, 6: Word.MEASURED, 7: Word.BROKEN,
    9: Word.REMOVED, 12: Word.HELD, 22: Word.PARTED, 23: Word.REJOINED, 24: Word.CUT_OFF,
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
    cpu: float | None = None  # seconds
    home: str = ""  # of the job, only with SUBMITTED
    place: str = ""  # slot and directory on the node, only with BEGUN


def speaks(number: int) -> bool:
    """Tell whether events of a kind say something that matters here."""
    return number in _WORDS


@lru_cache(maxsize=1024)
def moment(text: str) -> float:
    """Return the time of an event as the bindings tell it, in seconds since the epoch: local, if no zone is named.

    Reading it anew for each event would take most of the time, and many events have the same.
    """
    return datetime.fromisoformat(text).timestamp()


def read(number: int, job: Job, at: float, event: Mapping[str, Any]) -> Seen | None:
    """Return what an event says; None if it says nothing that matters here."""
    word = _WORDS.get(number)
    if word is None:
        return None
    if word is Word.SUBMITTED:
        return Seen(job, word, at, home=home_in(_text(event, "LogNotes")))
    if word is Word.BEGUN:
        place = f"{_text(event, 'SlotName')} {_text(event, 'CondorScratchDir')}".strip()
        return Seen(job, word, at, host_in(event), place=place)
    if word is Word.MEASURED:
        return Seen(job, word, at, memory=_MIB * _number(event, "MemoryUsage"))
    if word is Word.FINISHED:
        return Seen(job, word, at, text=how(event))
    reason = _text(event, "HoldReason") or _text(event, "Reason") or _text(event, "Message")
    if number == 2:
        reason = reason or "the worker could not be executed"
    code, subcode = _number(event, "HoldReasonCode"), _number(event, "HoldReasonSubCode")
    cpu = cpu_in(_text(event, "RunRemoteUsage")) if word is Word.EVICTED else None
    return Seen(job, word, at, host_in(event), " ".join(reason.split()), code, subcode, cpu=cpu)


def how(event: Mapping[str, Any]) -> str:
    """Say how the worker's process ended."""
    if event.get("TerminatedNormally", True):
        return f"it returned {_number(event, 'ReturnValue')}"
    return f"it was killed by signal {_number(event, 'TerminatedBySignal')}"


def cpu_in(usage: str) -> float | None:
    """Return the seconds in a usage as HTCondor writes it, `Usr 0 00:00:09, Sys 0 00:00:01`: days and time."""
    found = _USAGE.findall(usage)
    if len(found) != 2:
        return None
    return float(sum(int(d) * 86400 + int(h) * 3600 + int(m) * 60 + int(s) for d, h, m, s in found))


def home_in(note: str) -> str:
    """Return the home of a job from the line that its submission leaves in the log; "" from any other."""
    words = note.split()
    try:
        return home_of(words[1], words[2]) if len(words) == 3 and words[0] == NOTE else ""
    except Invalid:
        return ""


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
