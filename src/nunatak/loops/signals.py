"""Signals become an event: how servers, supervisors and loops are told to stop."""

from __future__ import annotations

import signal
import threading
from queue import SimpleQueue


def forward_signals(stop: threading.Event, *numbers: int) -> None:
    """Let signals (SIGINT and SIGTERM, if none are named) set `stop`.

    A thread of its own sets it: a handler may have interrupted `stop.wait` while that held the lock of the event, and
    would wait for it forever. Only `SimpleQueue.put` may be called wherever a handler runs.
    """
    told: SimpleQueue[int] = SimpleQueue()

    def wait() -> None:
        told.get()
        stop.set()

    threading.Thread(target=wait, name="signals", daemon=True).start()
    for number in numbers or (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda heard, _: told.put(heard))
