"""Read model of the page of a task: its attempts with what their verdicts mean, what it is to run, and what it waits for."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from nunatak.core.address import ONCE, Address
from nunatak.core.errors import Invalid, NotFound
from nunatak.core.states import TaskState
from nunatak.core.units import count_text
from nunatak.core.work import Command, TaskSpec
from nunatak.datasets import store as datasets_store
from nunatak.datasets.expand import SHOWN, expand, left_out
from nunatak.tasks.choosing import Rules
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.looking import explain, following_look, look
from nunatak.tasks.looking import look_store as store
from nunatak.tasks.looking.look import Plain, name_of
from nunatak.tasks.verdicts.advice import fill, general
from nunatak.tasks.verdicts.catalogue import CATALOGUE, WHOSE
from nunatak.tasks.verdicts.kinds import Kind
from nunatak.tasks.verdicts.treatments import TREATMENTS

S = TaskState
QUIET = frozenset((Kind.OK, Kind.SUPERSEDED))


def task(tx: Connection, contexts: Contexts, address: Address, now: float, rules: Rules) -> Plain:
    """Return a task: its status, each attempt with its `entry` of the catalogue, `lines` and `against`; and its conditions.

    Raises `NotFound`, also for an attempt that there has not been, or `Invalid`.
    """
    context = contexts.one(tx, address.dataset)
    plain = look.task_status(tx, contexts, context, address, now)
    job, number = look.locate(context, address)
    numbers = [attempt["number"] for attempt in plain["attempts"]]
    if address.attempt is not None and address.attempt not in numbers:
        raise NotFound(
            f"{address} has not been",
            code="no-attempt",
            hint=f"{plain['address']} had {count_text(len(numbers), 'attempt')}",
        )
    kept = {row.attempt: row for row in store.ATTEMPTS(tx, dataset=context.dataset, job=job, task=number)}
    for attempt in plain["attempts"]:
        row = kept.get(attempt["number"])
        attempt["lines"] = json.loads(row.lines or "[]") if row is not None else []
        attempt["entry"] = entry(attempt["verdict"], attempt["address"])
        attempt["against"] = against(attempt)
    head = datasets_store.DATASET(tx, dataset=context.dataset)[0]
    plain |= {
        "revision": head.revision,
        "dataset_name": head.name,
        "owner": head.owner,
        "dataset_held": bool(head.held),
    }
    plain["tasks"] = [task.name for task in context.plan.tasks if task.once == (job == ONCE)]
    conditions = _conditions(tx, contexts, context, address, plain, rules, now)
    return {**plain, "conditions": conditions, "next": _next(plain)}


def attempt(tx: Connection, contexts: Contexts, address: Address, now: float) -> Plain:
    """Return one attempt with the lines of its log that its verdict went by, and what the verdict means. Raises `NotFound`."""
    context = contexts.one(tx, address.dataset)
    plain = look.status(tx, contexts, address, now)
    job, number = look.locate(context, address)
    rows = [row for row in store.ATTEMPTS(tx, dataset=context.dataset, job=job, task=number)
            if row.attempt == address.attempt]  # fmt: skip
    lines = json.loads(rows[0].lines or "[]") if rows else []
    return {**plain, "lines": lines, "entry": entry(plain["verdict"], plain["address"])}


def last(tx: Connection, contexts: Contexts, address: Address) -> int:
    """Return the number of the last attempt of a task, 0 if there was none. Raises `NotFound` or `Invalid`."""
    context = contexts.one(tx, address.dataset)
    job, number = look.locate(context, address)
    rows = store.TASK(tx, dataset=context.dataset, job=job, task=number)
    return int(rows[0].attempt) if rows else 0


def entry(verdict: str | None, address: str) -> Plain | None:
    """Return what the catalogue says of how an attempt ended: in general, and what to do and to type; None if all was well."""
    kind = Kind(verdict) if verdict in {kind.value for kind in CATALOGUE} else None
    if kind is None or kind in QUIET:
        return None
    found = CATALOGUE[kind]
    return {
        "id": found.id,
        "title": found.title,
        "cause": found.cause,
        "does": found.does,
        "advice": general(kind, address),
        "type": [fill(line, address) for line in found.type],
        "whose": WHOSE[TREATMENTS[kind].whose],
    }


def against(attempt: Mapping[str, Any]) -> list[Plain]:
    """Return what an attempt used of what it asked for: memory and disk in bytes, time in s, cpu and gpu in seconds of them.

    Processors and GPUs were there for as long as it ran: their `asked` is that many times its wall time. What was not
    measured is left out.
    """
    asked, wall = attempt["shape"], attempt["wall"]
    if not asked or wall is None:
        return []
    pairs = {
        "memory": (attempt["memory"], asked["memory"], "B"),
        "time": (wall, asked["time"], "s"),
        "disk": (attempt["disk"], asked["disk"], "B"),
        "cpu": (attempt["cpu"], asked["cpu"] * wall, "s"),
        "gpu": (attempt["gpu"], asked["gpu"] * wall, "s"),
    }
    return [
        {"name": name, "used": used, "asked": most, "unit": unit, "share": used / most if most else None}
        for name, (used, most, unit) in pairs.items()
        if used is not None and (most or used)
    ]


def _next(plain: Mapping[str, Any]) -> Plain | None:
    """Return what comes after the attempts there were: the number of the try, when at the earliest, and what it asks for."""
    if plain["state"] != S.READY or not plain["attempts"]:
        return None
    before, after = plain["attempts"][-1]["shape"] or {}, plain["shape"] or {}
    more = {
        name: after[name] for name in ("memory", "time", "disk", "gpu") if after and after[name] != before.get(name)
    }
    return {"attempt": plain["attempt"] + 1, "try": plain["tries"] + 1, "of": plain["tries_most"],
            "at": plain["not_before"], "more": more}  # fmt: skip


def _conditions(
    tx: Connection, contexts: Contexts, context: Context, address: Address, plain: Plain, rules: Rules, now: float
) -> list[Plain]:
    """Return what has to be so for a task to run, each with whether it is; nothing for one that runs or is done."""
    if plain["state"] not in (S.WAITING, S.READY):
        return []
    held = {"text": f"dataset {context.dataset} is not held", "met": not plain["dataset_held"], "address": ""}
    found = [held, *_parents(tx, context, address)]
    if plain["state"] == S.READY:
        later = plain["not_before"]
        if plain["attempts"]:
            text = f"the pause after the last attempt is over: {later}" if later else "the pause is over"
            found.append({"text": text, "met": not later, "address": ""})
        why = explain.why(tx, contexts, context, Address(address.dataset, address.job, address.task), now, rules)
        said = (f"dataset {context.dataset} is held", "it is tried again at", "attempt ")
        rest = [text for text in why["reasons"] if not text.startswith(said)]
        found += [{"text": text, "met": None, "address": ""} for text in rest]
    return found


def _parents(tx: Connection, context: Context, address: Address) -> list[Plain]:
    job, number = look.locate(context, address)
    parents = context.plan.parents[number]
    outside = [
        {"text": item.text, "met": item.done, "address": item.address}
        for item in following_look.of_task(tx, context, job, number)
    ]
    if not parents:
        return outside
    states = {row.task: row.state for row in store.JOB(tx, dataset=context.dataset, job=job)}
    once = {row.task: row.state for row in store.JOB(tx, dataset=context.dataset, job=ONCE)}
    gathers = context.graph.gathers[number]
    counts = datasets_store.TASK_COUNTS(tx, dataset=context.dataset) if gathers else []
    found = []
    for parent in parents:
        name = context.plan.tasks[parent].name
        if parent in gathers:
            rows = [row for row in counts if row.task == parent]
            done = sum(row.done for row in rows)
            total = sum(getattr(row, state) for row in rows for state in datasets_store.STATES)
            found.append(
                {"text": f"{name} is done in all jobs: {done} of {total}", "met": done == total, "address": ""}
            )
            continue
        of_once = parent in context.graph.once
        state = (once if of_once else states).get(parent, S.WAITING)
        where = name_of(context, ONCE if of_once else job, parent)
        text = f"{where} is done" + ("" if state == S.DONE else f": it is {state}")
        found.append({"text": text, "met": state == S.DONE, "address": where})
    return [*found, *outside]


def program(
    tx: Connection, contexts: Contexts, address: Address, attempt: int, store_url: str, blobs_url: str
) -> Plain:
    """Return what an attempt runs, as its worker gets it: commands as one would type them, environment, files.

    One that ran by another revision of the recipe is shown by that one.
    Sizes and checksums of what other tasks make are those of the attempt itself; see its `inputs`. `problem` says where
    an expression fails for this job, `left_out` of how many jobs gathered outputs are not shown.
    """
    context = contexts.one(tx, address.dataset)
    job, number = look.locate(context, address)
    jobs = datasets_store.FRONTIER(tx, dataset=context.dataset)[0].total
    plan = context.plan
    if context.revision > 1:
        rows = store.RAN_BY(tx, dataset=context.dataset, job=job, task=number, attempt=attempt)
        plan = contexts.plan_at(tx, context.dataset, rows[0].revision or 1) if rows else plan
    try:
        spec = expand(
            plan, dataset=context.dataset, job=job, task=number, attempt=attempt, lease="",
            store=store_url, blobs=blobs_url, recorded=None, jobs=jobs, most=SHOWN,
        )  # fmt: skip
    except Invalid as error:
        nothing: Plain = {"commands": [], "environment": {}, "inputs": [], "outputs": [], "left_out": 0}
        return {"problem": error.message, **nothing}
    return {**_plain(spec), "left_out": left_out(plan, number, jobs)}


def _plain(spec: TaskSpec) -> Plain:
    around = spec.environment
    return {
        "problem": "",
        "commands": [_typed(command) for command in spec.commands],
        "environment": {"variables": dict(around.variables), "setup": around.setup, "image": around.image,
                        "requirements": around.requirements},
        "inputs": [
            {"name": item.name, "url": item.url, "sha256": item.sha256, "size": item.size if item.size >= 0 else None,
             "optional": item.optional}
            for item in spec.inputs
        ],
        "outputs": [{"name": item.name, "url": item.url, "sha256": "", "size": None, "optional": item.optional}
            for item in spec.outputs],
    }  # fmt: skip


def _typed(command: Command) -> Plain:
    """Return a command as it would be typed into a shell, in the directory of the task."""
    text = " ".join(command.argv) if command.shell else shlex.join(command.argv)
    before = "".join(f"{name}={shlex.quote(value)} " for name, value in sorted(command.variables.items()))
    after = f" < {shlex.quote(command.stdin)}" if command.stdin else ""
    return {"argv": list(command.argv), "shell": command.shell, "text": before + text + after}
