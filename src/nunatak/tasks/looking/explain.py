"""Read models that explain: what happened (history), and why something is as it is."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection

from nunatak.core.address import ONCE, Address
from nunatak.core.clock import iso
from nunatak.core.states import LEASED_STATES, TaskState
from nunatak.core.units import count_text
from nunatak.core.work import Shape
from nunatak.datasets import store as datasets_store
from nunatak.db.statement import Row
from nunatak.tasks.choosing import Rules
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.looking import following_look, waiting
from nunatak.tasks.looking import look_store as store
from nunatak.tasks.looking.ahead import ahead
from nunatak.tasks.looking.following_look import Wait
from nunatak.tasks.looking.hindrance import Hindrance, What, ranked
from nunatak.tasks.looking.look import RULES, Page, Plain, dataset_status, job_status, locate, name_of, task_status
from nunatak.tasks.looking.outlook import stuck
from nunatak.tasks.looking.scenes import scene_for

S = TaskState


def history(tx: Connection, context: Context, address: Address, *, after: str = "", limit: int = 100) -> Page:
    """Return what happened, oldest first: of a dataset the actions, of a job or task also every attempt."""
    actions = [
        _action(context, row)
        for row in store.EVENTS(
            tx, dataset=context.dataset, after=int(after or 0) if address.level == "dataset" else 0, n=limit + 1
        )
        if _concerns(row, address)
    ]
    if address.level == "dataset":
        following = actions[limit - 1]["event"] if len(actions) > limit else None
        return {"items": actions[:limit], "next": str(following) if following else None}
    if address.task is None:
        rows = store.JOB_ATTEMPTS(tx, dataset=context.dataset, job=address.job)
        current = store.JOB(tx, dataset=context.dataset, job=address.job)
    else:
        job, task = locate(context, address)
        rows = store.ATTEMPTS(tx, dataset=context.dataset, job=job, task=task)
        current = store.TASK(tx, dataset=context.dataset, job=job, task=task)
    items = [*actions, *(step for row in rows for step in _steps(context, row))]
    for row in current:
        if row.state in LEASED_STATES:
            items += _open_steps(context, row)
    items.sort(key=lambda item: (item["at"], item["what"] != "claimed"))
    if address.attempt is not None:
        items = [item for item in items if item["address"].endswith(f"#{address.attempt}")]
    start = int(after or 0)
    following = start + limit if len(items) > start + limit else None
    return {"items": items[start : start + limit], "next": str(following) if following else None}


def _concerns(row: Row, address: Address) -> bool:
    """Tell whether an action touched an address: itself, what is above it or what is below it."""
    if address.level == "dataset" or (row.job is None and row.task is None):
        return True
    if row.job != address.job:
        return False
    return address.task is None or row.task in (None, address.task)


def _action(context: Context, row: Row) -> Plain:
    address = Address(context.dataset, row.job, row.task)
    detail = json.loads(row.detail or "{}")
    return {
        "event": row.event,
        "at": iso(row.at),
        "what": row.verb,
        "address": str(address),
        "actor": row.actor,
        **{key: value for key, value in detail.items() if value not in ("", None)},
    }


def _steps(context: Context, row: Row) -> list[Plain]:
    name = name_of(context, row.job, row.task, row.attempt)
    steps: list[Plain] = [{"at": iso(row.claimed), "what": "claimed", "address": name, "engine": row.engine_name}]
    if row.started is not None:
        steps.append({"at": iso(row.started), "what": "started", "address": name, "host": row.host})
    end: Plain = {"at": iso(row.ended), "what": row.verdict, "address": name, "action": row.action, "host": row.host}
    if row.message:
        end["message"] = row.message
    return [*steps, end]


def _open_steps(context: Context, row: Row) -> list[Plain]:
    name = name_of(context, row.job, row.task, row.attempt)
    steps: list[Plain] = [{"at": iso(row.claimed), "what": "claimed", "address": name}]
    if row.started is not None:
        steps.append({"at": iso(row.started), "what": "started", "address": name, "host": row.host})
    return steps


def why(
    tx: Connection, contexts: Contexts, context: Context, address: Address, now: float, rules: Rules = RULES
) -> Plain:
    """Say in words why a dataset, job or task is as it is."""
    if address.level == "dataset":
        return _why_dataset(tx, contexts, context, rules, now)
    if address.level == "job":
        return _why_job(tx, contexts, context, address, now, rules)
    plain = task_status(tx, contexts, context, address, now)
    reasons = [*_task_reasons(tx, contexts, context, address, plain, rules, now), *_chain(plain)]
    outside = following_look.of_task(tx, context, *locate(context, address)) if plain["state"] == S.WAITING else []
    return {
        "address": plain["address"], "state": plain["state"], "sentence": reasons[0], "reasons": reasons,
        "links": [item.address for item in outside if not item.done],
    }  # fmt: skip


def _why_dataset(tx: Connection, contexts: Contexts, context: Context, rules: Rules, now: float) -> Plain:
    """Say what holds a dataset back, the worst first, then when it will be done."""
    plain = dataset_status(tx, contexts, context.dataset)
    scene = scene_for(tx, contexts, context.dataset, rules, now) if plain["tasks"]["ready"] else None
    waits = [item for item in following_look.of_dataset(tx, context) if not item.open]
    ready = waiting.of_dataset(scene, context) if scene else []
    found = ranked([*_counted(context, plain), *_outside(context, plain, waits), *ready])
    reasons = [text for item in found for text in item.texts]
    if plain["state"] == "done":
        reasons.append("every task is done")
    else:
        engines = scene.engines if scene else None
        reasons += ahead(tx, contexts, context, plain, engines, rules, now)
    if plain["closed"]:
        reasons.append(f"no new jobs: {plain['reason']}")
    links = sorted({str(item.follow.dataset) for item in waits}, key=int)
    return {
        "address": str(context.dataset), "state": plain["state"], "sentence": reasons[0], "reasons": reasons,
        "links": links,
    }  # fmt: skip


def _outside(context: Context, plain: Plain, waits: Sequence[Wait]) -> list[Hindrance]:
    """Return what other datasets hold back: it needs a person where they do not go on by themselves."""
    found = []
    for item in waits:
        name = context.plan.tasks[item.task].name
        what = What.FAILED if item.stuck else What.OTHERS
        found.append(Hindrance(what, plain["per_task"][name]["waiting"], (f"{name}: {item.text}",)))
    return found


def _counted(context: Context, plain: Plain) -> list[Hindrance]:
    """Return what the counts of a dataset say by themselves."""
    counts, found = plain["tasks"], []
    if plain["held"]:
        stopped = counts["ready"] + counts["waiting"]
        found.append(Hindrance(What.HELD, stopped, (f"nothing is started: {plain['reason']}",)))
    needy = counts["failed"] + counts["held"]
    if needy:
        parts = []
        if counts["failed"]:
            failed = count_text(counts["failed"], "task failed and needs", "tasks failed and need")
            parts.append(f"{failed} you: nunatak errors {context.dataset}")
        if counts["held"]:
            it, held = "it" if counts["held"] == 1 else "them", count_text(counts["held"], "task is", "tasks are")
            parts.append(f"{held} held: `nunatak release ADDRESS` lets {it} go on")
        _, lost = stuck(context, plain)
        behind = sum(lost.values())
        if behind:
            parts.append(f"{count_text(behind, 'task waits', 'tasks wait')} for those")
        found.append(Hindrance(What.FAILED, needy + behind, tuple(parts)))
    waiting = count_text(counts["waiting"], "task waits", "tasks wait")
    if counts["running"] or counts["queued"]:
        text = f"{count_text(counts['running'], 'task is', 'tasks are')} running and {counts['queued']} with an engine"
        rest = f"; {waiting} for others to be done" if counts["waiting"] else ""
        found.append(Hindrance(What.UNDER_WAY, counts["waiting"], (text + rest,)))
    elif counts["waiting"]:
        text = f"{waiting} for others to be done"
        found.append(Hindrance(What.UNDER_WAY, counts["waiting"], (text,)))
    return found


def _why_job(tx: Connection, contexts: Contexts, context: Context, address: Address, now: float, rules: Rules) -> Plain:
    plain = job_status(tx, context, address.job or 0)
    order = (S.FAILED, S.HELD, S.RUNNING, S.QUEUED, S.READY, S.WAITING)
    first = next((name for state in order for name, found in plain["per_task"].items() if found == state), None)
    if first is None:
        head = {key: plain[key] for key in ("address", "state")}
        return {**head, "sentence": "every task is done", "reasons": [], "links": []}
    task = Address(address.dataset, address.job, first)
    found = why(tx, contexts, context, task, now, rules)
    reasons = [f"{found['address']} is {found['state']}: {reason}" for reason in found["reasons"]]
    return {
        "address": plain["address"], "state": plain["state"], "sentence": reasons[0], "reasons": reasons,
        "links": found["links"],
    }  # fmt: skip


def _task_reasons(
    tx: Connection, contexts: Contexts, context: Context, address: Address, plain: Plain, rules: Rules, now: float
) -> list[str]:
    state = plain["state"]
    head = datasets_store.DATASET(tx, dataset=context.dataset)[0]
    held = [f"dataset {context.dataset} is held: {head.reason}"] if head.held else []
    if state == S.WAITING:
        return [*unfinished_parents(tx, context, address), *held]
    if state == S.READY:
        later = [f"it is tried again at {plain['not_before']}: {plain['reason']}"] if plain["not_before"] else []
        shape = Shape.from_plain(plain["shape"]) if plain["shape"] else None
        seen, number = scene_for(tx, contexts, context.dataset, rules, now), locate(context, address)[1]
        found = ranked(waiting.of_task(seen, context, number, shape))
        return [*held, *later, *(text for item in found for text in item.texts)]
    if state == S.QUEUED:
        return [f"engine {plain['engine']} has it and starts it when there is room"]
    if state == S.RUNNING:
        return [f"it runs on {plain['host']} since {plain['since']}"]
    if state == S.DONE:
        return [f"done by attempt {plain['attempt']}"]
    verb = "retry" if state == S.FAILED else "release"
    return [str(plain["reason"] or f"it is {state}"), f"your move: nunatak {verb} {plain['address']}"]


def _chain(plain: Plain) -> list[str]:
    """Say what became of each attempt that ended, the first first: a later failure never hides the first cause."""
    ended = [attempt for attempt in plain["attempts"] if attempt["verdict"] is not None]
    if all(attempt["verdict"] == "ok" for attempt in ended):
        return []
    chain = []
    for attempt in ended:
        places = [
            f"on {attempt['host']}" if attempt["host"] else "",
            f"at {attempt['site']}" if attempt["site"] else "",
        ]
        where = " ".join(["", *filter(None, places)])
        said = f": {attempt['message']}" if attempt["message"] else ""
        chain.append(f"attempt {attempt['number']}{where}: {attempt['verdict']}{said}")
    return chain


def unfinished_parents(tx: Connection, context: Context, address: Address) -> list[str]:
    """Say which tasks have to be done before this one, and how they are; never nothing."""
    job, task = locate(context, address)
    graph, reasons = context.graph, []
    of_job = {row.task: row.state for row in store.JOB(tx, dataset=context.dataset, job=job)}
    once = {row.task: row.state for row in store.JOB(tx, dataset=context.dataset, job=ONCE)}
    for parent in context.plan.parents[task]:
        if parent in graph.gathers[task]:
            counts = _sum_of(tx, context, parent)
            jobs = count_text(counts["total"], "job")
            reasons.append(f"{context.plan.tasks[parent].name} is done in {counts['done']} of {jobs}")
            continue
        state = (once if parent in graph.once else of_job).get(parent, S.WAITING)
        if state != S.DONE:
            parent_job = ONCE if parent in graph.once else job
            reasons.append(f"it waits for {name_of(context, parent_job, parent)}, which is {state}")
    reasons += [item.text for item in following_look.of_task(tx, context, job, task) if not item.done]
    return reasons or ["it is about to become ready"]


def _sum_of(tx: Connection, context: Context, task: int) -> dict[str, int]:
    rows = [row for row in datasets_store.TASK_COUNTS(tx, dataset=context.dataset) if row.task == task]
    total = sum(getattr(row, state) for row in rows for state in datasets_store.STATES)
    return {"done": sum(row.done for row in rows), "total": total}
