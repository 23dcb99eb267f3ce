"""What workers say of use over time, taken out of their outcomes: it goes to the server beside the logs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

from nunatak.client.engine import Key
from nunatak.core.work import Outcome
from nunatak.engines.keys import key_of
from nunatak.engines.protocol import Change

COURSE = "course"
"""Its name in a detail, and as a stream of logs."""
MOST = 16_384
"""Bytes of one; a longer one is none of our worker's."""


def courses_of(changes: Iterable[Change]) -> dict[Key, bytes]:
    """Return what was used over time, by attempt, of those that ended and told it."""
    found = {
        key_of(change.handle): json.dumps(change.outcome.detail[COURSE], separators=(",", ":")).encode()
        for change in changes
        if change.outcome is not None and COURSE in change.outcome.detail
    }
    return {key: data for key, data in found.items() if len(data) <= MOST}


def without_course(outcome: Outcome) -> Outcome:
    """Return an outcome without it."""
    if COURSE not in outcome.detail:
        return outcome
    return replace(outcome, detail={name: value for name, value in outcome.detail.items() if name != COURSE})
