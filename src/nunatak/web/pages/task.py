"""A job with its tasks, and a task with its attempts: where, what it used, how it ended, what comes next, what it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Header, Query, Request
from starlette.responses import Response

from nunatak.api import content
from nunatak.api.models import NO_NUL
from nunatak.api.requests import Caller, Have
from nunatak.api.services import Services
from nunatak.core.address import Address, parse
from nunatak.core.errors import NotFound
from nunatak.datasets import store as datasets_store
from nunatak.tasks.logs import course, using
from nunatak.tasks.looking import lists, look, task_look
from nunatak.web.pages.task_course import curves
from nunatak.web.render import View
from nunatak.web.routing import Pages
from nunatak.web.words import moment, number, size, span, spans

pages = Pages()

JOB = "/datasets/{dataset:int}/{job:int}"
ONCE = "/datasets/{dataset:int}/{task}"
PLACES = (f"{JOB}/{{task}}", ONCE)
"""Where tasks are: those of a job, and those that are done once a dataset. Attempts are one step below."""
SCRIPT = 20_000
"""Bytes of what was submitted to a batch system that are shown here; all of it is where logs are."""
FAILED = ("failed", "held")
BUSY = ("running", "queued")


def address_in(request: Request) -> Address:
    """Return the address that a path is of. Raises `Invalid`."""
    found = request.path_params
    parts = [str(found[name]) for name in ("dataset", "job", "task") if name in found]
    return parse("/".join(parts) + (f"#{found['attempt']}" if "attempt" in found else ""))


@pages.page(JOB, name="page_job", template="job.html", live=True)
def job(request: Request, services: Have) -> View:
    """Show the tasks of a job."""
    address = address_in(request)
    with services.database.read() as tx:
        context = services.contexts.one(tx, address.dataset)
        data = look.job_status(tx, context, address.job or 0)
        data["rows"] = lists.of_job(tx, context, address.job or 0)
        head = datasets_store.DATASET(tx, dataset=address.dataset)[0]
        total = datasets_store.FRONTIER(tx, dataset=address.dataset)[0].total
    data |= {"dataset_name": head.name, "owner": head.owner, "last": total - 1}
    alarm = "failed" if data["state"] in FAILED else "busy" if data["tasks"]["running"] else ""
    return View(f"{data['state']} \u00b7 {address}", data, cli=f"nunatak status {address}", alarm=alarm)


def task(request: Request, services: Have, caller: Caller) -> View:
    """Show a task: the attempt that is named, or the last one."""
    address, now = address_in(request), services.clock()
    with services.database.read() as tx:
        data = task_look.task(tx, services.contexts, address, now, services.rules)
        shown = _shown(data, address)
        which = shown["number"] if shown else 1
        data["program"] = task_look.program(tx, services.contexts, address, which, services.store, services.blobs_url)
    using.fill(services.logs, data["attempts"], address)
    for attempt in data["attempts"]:
        attempt["against"] = task_look.against(attempt)
    data["script"] = _script(services, address.of(which)) if shown else ""
    data["course"] = _course(services, address.of(which), shown)
    data |= {"shown": which if shown else None, "sentence": sentence(data, now), "mine": _may(data, caller)}
    at = str(address) if address.attempt is None else f"'{address}'"
    return View(
        f"{_state(data, shown)} \u00b7 {address}", data, cli=f"nunatak status {at}", alarm=_alarm(data["state"])
    )


def _tools() -> dict[str, Any]:
    return {"file_url": file_url, "log_url": log_url, "used": used, "curves": curves, "phases": phases}


def _shown(data: Mapping[str, Any], address: Address) -> dict[str, Any] | None:
    """Return the attempt that is looked at: the one that is named, else the last; None where there was none."""
    for attempt in data["attempts"]:
        if attempt["number"] == address.attempt:
            return dict(attempt)
    return dict(data["attempts"][-1]) if data["attempts"] else None


def _state(data: Mapping[str, Any], shown: Mapping[str, Any] | None) -> str:
    """Return the state of a task for the title, with what went wrong last."""
    entry = shown["entry"] if shown else None
    return f"{data['state']}: {entry['title']}" if entry and data["state"] in FAILED else str(data["state"])


def _alarm(state: str) -> str:
    return "failed" if state in FAILED else "busy" if state in BUSY else ""


def _may(data: Mapping[str, Any], caller: Any) -> bool:
    return bool(caller.admin or (caller.name == data["owner"] and "submit" in caller.scopes))


def _script(services: Any, address: Address) -> str:
    part = services.logs.read(address, "script", 0, SCRIPT)
    return str(part.data.decode("utf-8", "replace"))


def _course(services: Services, address: Address, shown: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what an attempt used over time, if it was long enough for that to be told."""
    if shown is None or (shown["wall"] or 0.0) < course.SHORTEST:
        return None
    found = course.course(services.logs, address)
    return found.to_plain() if found else None


def sentence(data: Mapping[str, Any], now: float) -> str:
    """Say what happens next, as `attempt 3 is try 3 of 5, in 4 min, with 4 GB of memory`."""
    found = data["next"]
    if found:
        seconds = moment(found["at"]).timestamp() - now if found["at"] else 0.0
        when = f"in {spans(seconds, seconds)} at the earliest" if seconds > 0 else "as soon as there is room"
        more = [f"{_amount(name, value)} of {name}" for name, value in found["more"].items()]
        asks = f", with {' and '.join(more)}" if more else ""
        return f"Next: attempt {found['attempt']}, which is try {found['try']} of {found['of']}, {when}{asks}"
    words = {
        "waiting": "It waits for other tasks",
        "ready": "It is ready, and starts as soon as there is room",
        "queued": f"It is queued at engine {data['engine']}",
        "running": f"It runs on {data['host'] or 'a node'}",
        "done": "It is done; what it made is below",
        "failed": f"It failed, and is not tried again by itself: {data['tries']} of {data['tries_most']} tries were used",
        "held": "It is held: nothing happens until it is released",
    }
    return words[data["state"]]


def _amount(name: str, value: float) -> str:
    return span(value) if name == "time" else number(value) if name == "gpu" else size(value)


PHASES = ("prepare", "stage-in", "setup", "run", "checkpoint", "stage-out")
SHORTEST = 0.01
"""Seconds below which a phase is not told: it is there in each attempt, and says nothing."""


def phases(attempt: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return the phases of an attempt with their seconds, in their order."""
    found = attempt["detail"].get("phases") or {}
    names = sorted(found, key=lambda name: PHASES.index(name) if name in PHASES else len(PHASES))
    return [(name, found[name]) for name in names if found[name] >= SHORTEST or name == "run"]


def used(value: float | None, unit: str) -> str:
    """Return an amount of what was used: bytes, or seconds."""
    return size(value) if unit == "B" else span(value)


def file_url(address: str) -> str:
    """Return where the files of a task are downloaded: of `42/17/propagate#2` those of the task."""
    return f"/datasets/{address.partition('#')[0]}/file"


def log_url(address: str) -> str:
    """Return where the log of an attempt is, of an address as `42/17/propagate#2`."""
    return f"/datasets/{address.replace('#', '/')}/log"


for _place in PLACES:
    for _path in (f"{_place}/{{attempt:int}}", _place):
        pages.page(_path, name="page_task", template="task.html", live=True, tools=_tools())(task)


def task_file(
    request: Request,
    services: Have,
    name: Annotated[str, Query(min_length=1, max_length=1000, pattern=NO_NUL)],
    wanted_range: Annotated[str | None, Header(alias="Range", max_length=100)] = None,
) -> Response:
    """Return the bytes of an output of a task, to be saved: browsers never show it."""
    address = address_in(request)
    with services.database.read() as tx:
        context = services.contexts.one(tx, address.dataset)
        look.task_status(tx, services.contexts, context, address, services.clock())
        record = content.find(tx, context, address, name)
    if not record["url"].startswith(f"{services.store}/{address.dataset}/"):
        raise NotFound(f"{name} is not in the store", code="file-elsewhere", hint=f"it is kept at {record['url']}")
    return content.serve(services.storage, record, wanted_range, None, None)


for _place in PLACES:
    pages.get(f"{_place}/file", name="get_task_file")(task_file)
