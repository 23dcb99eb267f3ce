"""What an engine host says of ends: in the engine's words where the server takes them, else in words that it does take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import structlog

from nunatak.client.engine import Begun, EngineClient, Key
from nunatak.core.errors import Invalid
from nunatak.core.work import Outcome, Reason
from nunatak.engines.protocol import Change

log = structlog.get_logger("nunatak.engine")


def unbegun(change: Change) -> bool:
    """Tell whether an attempt ended before anything of it was tried: it is given back, and not reported."""
    return change.outcome is not None and change.outcome.reason is Reason.UNBEGUN


def outcome_of(change: Change) -> Outcome:
    """Return how an attempt ended, under the address and lease by which the engine knows it."""
    handle = change.handle
    if change.outcome is None:
        return Outcome(handle.address, handle.lease, Reason.LOST, "it ended without a word", ended=change.at)
    return replace(change.outcome, address=handle.address, lease=handle.lease)


def tell(server: EngineClient, started: Sequence[Begun], ended: Sequence[Outcome]) -> list[Key]:
    """Report, and return what is stale; what the server does not understand is found by halves, and reported as such."""
    if not started and not ended:
        return []
    try:
        return server.report(started, ended)
    except (Invalid, ValueError, TypeError) as error:
        if len(started) + len(ended) == 1:
            return _tell_plainly(server, ended, str(error))
    if started and ended:
        return tell(server, started, []) + tell(server, [], ended)
    half = (len(started) + len(ended)) // 2
    return tell(server, started[:half], ended[:half]) + tell(server, started[half:], ended[half:])


def _tell_plainly(server: EngineClient, ended: Sequence[Outcome], why: str) -> list[Key]:
    try:
        return server.report([], [_not_understood(item, why) for item in ended]) if ended else []
    except (Invalid, ValueError, TypeError):
        log.error("an end cannot be reported; its lease will run out", attempts=[item.address for item in ended])
        return []


def _not_understood(outcome: Outcome, why: str) -> Outcome:
    message = f"its outcome was not understood by the server: {why[:500]}"
    return Outcome(outcome.address, outcome.lease, Reason.INVALID, message)
