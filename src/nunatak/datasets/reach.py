"""For which tasks of a dataset an edit of its recipe holds, in words for people. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nunatak.core.states import TaskState
from nunatak.core.units import count_text


def reach(tasks: Mapping[str, int], count: Callable[[int, str], str] = count_text) -> list[str]:
    """Return what an edit means for the tasks of each state, given their numbers; `count` writes a number with its noun."""
    n: dict[str, int] = {state: tasks.get(state, 0) for state in TaskState}
    to_do, live = n["waiting"] + n["ready"] + n["held"], n["queued"] + n["running"]
    said = [
        (to_do, f"{count(to_do, 'task')} to do will run by it"),
        (n["failed"], f"{count(n['failed'], 'failed task')} will when tried again"),
        (live, f"{count(live, 'task')} under way {'goes on as it' if live == 1 else 'go on as they'} began"),
        (n["done"], f"{count(n['done'], 'task')} done {'stays as it is' if n['done'] == 1 else 'stay as they are'}"),
    ]
    return [text for place, (number, text) in enumerate(said) if number or not place]
