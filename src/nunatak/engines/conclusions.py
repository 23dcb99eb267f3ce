"""How attempts of the local engine ended: by what their worker left in the sandbox, or by what the engine knows."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from nunatak.core.work import Outcome, Reason
from nunatak.engines import processes
from nunatak.engines.attempts import BEGUN, OUTCOME, Attempt, Worker
from nunatak.engines.outcomes import conclude, held_to_checkpoint, held_to_promise, shown


def last_words(worker: Worker) -> str:
    """Say what is known of the end of a worker that is gone, and stop watching it."""
    words = "it was gone when the engine looked for it"
    if worker.watched >= 0:
        words = processes.last_words(worker.watched)
        os.close(worker.watched)
        worker.watched = -1
    complaint = worker.home.read("launch.log", most=4096)
    return f"{words}; it said {shown(complaint[-300:], 300)}" if complaint else words


def concluded(attempt: Attempt, words: str) -> Outcome:
    """Return how an attempt ended of which no more will come; `words` say what became of its worker."""
    box = attempt.box
    told = box.read(OUTCOME) if box.has(OUTCOME) else None
    if told is None:
        outcome = _unbegun(attempt, words) or conclude(box.handle, None, box.read("usage.json"), attempt.stop, words)
        if_possible(lambda: box.write_end(outcome))
        return outcome
    outcome = conclude(box.handle, told, b"", attempt.stop, words)
    try:
        task = box.read_task()
        return held_to_checkpoint(held_to_promise(outcome, task.outputs), task.checkpoint)
    except (ValueError, KeyError, TypeError, AttributeError):
        message = "what was asked for can no longer be read: its task.json is damaged"
        return Outcome(outcome.address, outcome.lease, Reason.INVALID, message)


def _unbegun(attempt: Attempt, words: str) -> Outcome | None:
    """Return the end of an attempt whose series ended before its turn."""
    handle = attempt.box.handle
    if not attempt.worker.series or attempt.stop or attempt.box.has(BEGUN):
        return None
    return Outcome(handle.address, handle.lease, Reason.UNBEGUN, f"its series ended before it began: {words}")


def if_possible(write: Callable[[], Any]) -> None:
    """Write a record that helps the next engine; on a full disk this one goes on with what it has in memory."""
    try:
        write()
    except OSError:
        return
