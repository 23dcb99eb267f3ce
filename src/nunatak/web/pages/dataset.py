"""A dataset: its state and what can be done, the matrix of its tasks, how it goes on, what went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Query, Request
from sqlalchemy import Connection

from nunatak.api.requests import Have, Number
from nunatak.api.services import Services
from nunatak.core.states import shown_state
from nunatak.tasks import curve
from nunatak.tasks.looking import dataset_look, errors, matrix
from nunatak.web.pages import dataset_draw as draw
from nunatak.web.pages import dataset_matrix
from nunatak.web.pages.dataset_cells import drawn
from nunatak.web.render import View
from nunatak.web.routing import Pages
from nunatak.web.words import moment, number, plural, share

pages = Pages()
Plain = dict[str, Any]

PARTS = {
    "": "Overview",
    "tasks": "Tasks",
    "errors": "Errors",
    "use": "Asked and used",
    "graph": "Graph",
    "recipe": "Recipe",
    "files": "Files",
    "history": "History",
}
"""The parts of a dataset's page, each at `/datasets/N/PART`."""
MOST_ERRORS = 5
"""Groups of failures on the first page."""
Job = Annotated[int, Query(ge=0, le=999_999_999)]


def frame(request: Request, tx: Connection, services: Services, dataset: int) -> Plain:
    """Return what every part shows on top. Raises `NotFound`."""
    return dataset_look.dataset(tx, services.contexts, request.app.state.forecasts, dataset, services.clock())


def title_of(plain: Mapping[str, Any], part: str = "") -> str:
    """Return the title of a page of a dataset: its state first."""
    tasks, words = plain["tasks"], PARTS[part].lower()
    name = f"{plain['name']} ({plain['dataset']})" + (f" \u00b7 {words}" if part else "")
    if tasks["failed"]:
        return f"{number(tasks['failed'])} failed \u00b7 {name}"
    if plain["held"] or plain["state"] != "open":
        state = shown_state(plain["state"], closed=plain["closed"], jobs=plain["jobs"]["total"])
        return f"{'held' if plain['held'] else state} \u00b7 {name}"
    return f"{share(tasks['done'] / tasks['total'] if tasks['total'] else 0)} done \u00b7 {name}"


def alarm_of(plain: Mapping[str, Any]) -> str:
    """Return what the icon of the tab shows."""
    if plain["tasks"]["failed"] or plain["tasks"]["held"] or plain["held"]:
        return "failed"
    return "busy" if plain["tasks"]["running"] else ""


def took(plain: Mapping[str, Any]) -> float | None:
    """Return the seconds from submission to the end."""
    return (moment(plain["ended"]) - moment(plain["created"])).total_seconds() if plain["ended"] else None


def will(plain: Mapping[str, Any]) -> dict[str, str]:
    """Return what each action would do now, in words."""
    tasks, address = plain["tasks"], plain["address"]
    busy, failed = tasks["running"] + tasks["queued"], tasks["failed"]
    ends = "is ended and begins" if busy == 1 else "are ended and begin"
    return {
        "rest": _first(plain),
        "hold": f"Stops dataset {address} until it is released"
        + (f"; {plural(busy, 'task')} under way {ends} anew later" if busy else ""),
        "release": f"Lets dataset {address} go on",
        "retry": f"Tries {plural(failed, 'failed task')} again, {'' if failed == 1 else 'each '}with all its tries",
        "close": "Drops the jobs that have not begun; those that have go on. No jobs can be added after that",
        "cancel": f"Ends all that is not done: {plural(tasks['total'] - tasks['done'] - tasks['failed'], 'task')}",
    }  # fmt: skip


def _first(plain: Mapping[str, Any]) -> str:
    """Return how the jobs went that were tried before the others."""
    n, failed = plain["jobs"]["total"], plain["tasks"]["failed"]
    who, are = ("job that is", "is") if n == 1 else (f"{number(n)} jobs that are", "are")
    if plain["state"] == "done":
        return f"The {who} tried first {are} done: the others are of the same recipe"
    return f"The {who} tried first " + ("failed: look at that before" if failed else f"{are} not done yet")


def steady(plain: Mapping[str, Any], now: float) -> float:
    """Return the time, to a small part of a dataset's age: a curve whose end moved by a hair is not sent anew."""
    grain = max(5.0, (now - moment(plain["created"]).timestamp()) / 300)
    return now - now % grain


TOOLS = {
    "parts": PARTS, "took": took, "will": will, "plural": plural, "m": dataset_matrix,
    "matrix_drawing": drawn, "draw": draw,
}  # fmt: skip


@pages.page("/datasets/{dataset}", name="page_dataset", template="dataset.html", live=True, shared=True, tools=TOOLS)
def overview(
    request: Request,
    services: Have,
    dataset: Number,
    first: Annotated[Job, Query(alias="from")] = 0,
    last: Annotated[Job | None, Query(alias="to")] = None,
    row: Annotated[int, Query(ge=0, le=10_000)] = 0,
    shown_as: Annotated[str, Query(alias="as", max_length=10)] = "",
) -> View:
    """Show how a dataset is: state, matrix, progress, errors."""
    now = services.clock()
    with services.database.read() as tx:
        plain = frame(request, tx, services, dataset)
        context = services.contexts.one(tx, dataset)
        cells = matrix.matrix(tx, context, first=first, last=last, row=row)
        points = curve.curve(tx, plain, steady(plain, now))
        groups, n = errors.largest(tx, context, MOST_ERRORS)
    data = {
        "dataset": plain,
        "part": "",
        "matrix": {**cells, "as_table": shown_as == "table"},
        "progress": points,
        "errors": groups,
        "error_groups": n,
    }
    return View(title_of(plain), data, cli=f"nunatak status {dataset}", alarm=alarm_of(plain))
