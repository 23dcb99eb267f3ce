"""How a process that stays looks for garbage: what is there after its start never is any, and little of the rest is in a cycle."""

from __future__ import annotations

import gc

YOUNG = 20_000
"""New objects after which the young ones are searched: those of a batch of tasks, not of a few (Python's usual 700)."""


def search_seldom() -> None:
    """Leave out what is there by now, and search seldom. To be called once all is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
