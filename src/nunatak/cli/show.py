"""Shows a status to people: one table with a bar a task for a dataset, a few lines for anything smaller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nunatak.cli import talk
from nunatak.cli.talk import BARS, bar, clock_time, coloured, out, table
from nunatak.core.states import NEVER_BEGAN, shown_state
from nunatak.core.units import memory_text, time_text

_MEMORY, _TIME = ("memory", "disk"), ("wall", "cpu", "gpu", "time")


def show_status(plain: Mapping[str, Any]) -> None:
    """Print the status of a dataset, job, task or attempt."""
    if "jobs" in plain:
        for line in dataset_lines(plain):
            out(line)
    elif "number" in plain:
        _fields(plain)
    elif "task" in plain:
        _task(plain)
    else:
        out(f"{plain['address']}  {coloured(plain['state'], plain['state'])}")
        table(("task", "state"), [(name, str(_state(state))) for name, state in plain.get("per_task", {}).items()], 1)


def _state(value: Any) -> Any:
    return value.get("state", "") if isinstance(value, Mapping) else value


def dataset_lines(plain: Mapping[str, Any]) -> list[str]:
    """Return the lines that show a dataset."""
    jobs, marks = plain["jobs"], [word for word in ("held", "closed") if plain.get(word)]
    state = shown_state(plain["state"], closed=bool(plain.get("closed")), jobs=jobs["total"])
    if state == NEVER_BEGAN:
        return [
            f"{plain['dataset']} {talk.plain(plain['name'])}: {state}",
            *([f"  {talk.plain(plain['reason'])}"] if plain.get("reason") else []),
        ]
    words = [coloured(state, state), *(mark for mark in marks if mark != state)]
    lines = [f"{plain['dataset']} {talk.plain(plain['name'])}: {', '.join(words)}"]
    if plain.get("reason"):
        lines.append(f"  {talk.plain(plain['reason'])}")
    others = [f", {jobs[state]} {state}" for state in ("failed", "held") if jobs.get(state)]
    done = f"{jobs['done']}/{jobs['total']} done" if jobs["total"] else "none was begun"
    rows = plain.get("per_task") or {"tasks": plain["tasks"]}
    width = max(4, *(len(name) for name in rows))
    lines.append(f"  {'jobs'.ljust(width)}  {bar(_as_tasks(jobs))}  {done}{''.join(others)}")
    for name, counts in rows.items():
        said = ", ".join(f"{counts[state]} {state}" for state in BARS if counts.get(state))
        lines.append(f"  {name.ljust(width)}  {bar(counts)}  {said}")
        lines += [f"  {' ' * width}  {item['text']}" for item in (plain.get("used") or {}).get(name, ())]
    lines += [f"  {item['task']}: {item['text']}" for item in plain.get("follows", ()) if not item["open"]]
    for word in ("eta", "spent"):
        text = (plain.get(word) or {}).get("text")
        if (text and plain["state"] != "done") or (text and word == "spent" and plain[word]["lost"]):
            lines.append(f"  {text}")
    return lines


def _as_tasks(jobs: Mapping[str, int]) -> dict[str, int]:
    return {
        "total": jobs["total"],
        "done": jobs["done"],
        "waiting": jobs["open"],
        "failed": jobs["failed"],
        "held": jobs["held"],
    }


def _task(plain: Mapping[str, Any]) -> None:
    out(f"{plain['address']}  {coloured(plain['state'], plain['state'])}")
    if plain.get("reason"):
        out(f"  {talk.plain(plain['reason'])}")
    rows = [
        (
            str(item["number"]),
            str(item.get("verdict") or item["state"]),
            clock_time(item.get("started") or item.get("claimed")),
            "" if item.get("wall") is None else time_text(item["wall"]),
            "" if item.get("memory") is None else memory_text(item["memory"]),
            str(item.get("host") or ""),
            str(item.get("message") or ""),
        )
        for item in plain.get("attempts", ())
    ]
    table(("attempt", "verdict", "began (UTC)", "wall", "memory", "host", "message"), rows)


def _fields(plain: Mapping[str, Any]) -> None:
    """Print an attempt, one fact a line."""
    out(f"{plain['address']}  {coloured(plain['state'], plain['state'])}")
    for key, value in plain.items():
        if key in ("address", "state", "number", "detail") or value in (None, "", [], {}):
            continue
        out(f"  {key:9} {talk.plain(fact(key, value))}")


def fact(key: str, value: Any) -> str:
    """Return a value of an attempt or a shape as people say it."""
    if key in ("inputs", "outputs"):
        return ", ".join(f"{item['name']} ({memory_text(item['size'])})" for item in value)
    if key == "shape":
        return ", ".join(
            f"{name} {amount if name == 'cpu' else fact(name, amount)}" for name, amount in value.items() if amount
        )
    if key in _MEMORY:
        return memory_text(value)
    if key in _TIME:
        return time_text(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
