"""The parts of a dataset's page that have addresses of their own: tasks, errors, use, graph, recipe, files, history."""

from __future__ import annotations

import difflib
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query, Request
from starlette.responses import Response

from nunatak.api import content
from nunatak.api.requests import After, Have, Number, address_of, page_after
from nunatak.core.address import Address
from nunatak.core.clock import iso
from nunatak.core.errors import Invalid, NotFound
from nunatak.core.states import TaskState
from nunatak.datasets import store as datasets_store
from nunatak.datasets.expand import shape_of
from nunatak.datasets.revisions import among
from nunatak.tasks import lessons
from nunatak.tasks.editing import by_revision
from nunatak.tasks.learning.used import used
from nunatak.tasks.looking import errors as read_errors
from nunatak.tasks.looking import explain, lists, task_list
from nunatak.tasks.looking.task_list import Which
from nunatak.web.pages import dataset_draw as draw
from nunatak.web.pages.dataset import TOOLS, Job, alarm_of, frame, title_of
from nunatak.web.pages.dataset_archive import MOST_TASKS
from nunatak.web.render import View
from nunatak.web.routing import Pages
from nunatak.web.words import link

pages = Pages()

Word = Annotated[str, Query(max_length=255)]
STATES = tuple(str(state) for state in TaskState)


def tasks_url(dataset: int, filters: dict[str, Any], **changes: Any) -> str:
    """Return the address of the list with other filters."""
    kept = {key: value for key, value in {**filters, **changes}.items() if value not in ("", None)}
    return f"{link(dataset)}/tasks" + (f"?{urlencode(kept)}" if kept else "")


@pages.page(
    "/datasets/{dataset}/tasks", name="page_dataset_tasks", template="dataset_tasks.html", live=True,
    tools={**TOOLS, "tasks_url": tasks_url, "states": STATES},
)  # fmt: skip
def tasks(
    request: Request,
    services: Have,
    dataset: Number,
    state: Word = "",
    task: Word = "",
    first: Annotated[Job | None, Query(alias="from")] = None,
    last: Annotated[Job | None, Query(alias="to")] = None,
    after: After = "",
) -> View:
    """List tasks by state (several with commas), name and jobs."""
    which = Which(tuple(filter(None, state.split(","))), task, first, last)
    job, _, place = page_after(after).partition(".")
    with services.database.read() as tx:
        plain = frame(request, tx, services, dataset)
        context = services.contexts.one(tx, dataset)
        found = task_list.tasks(tx, context, which, (int(job), int(place or 0)) if job else None)
    filters = {"state": state, "task": task, "from": first, "to": last}
    names = [item.name for item in context.plan.tasks]
    data = {"dataset": plain, "part": "tasks", **found, "filters": filters, "names": names}
    words = [f" --state {state}"] if state in STATES else []
    return View(title_of(plain, "tasks"), data, cli=f"nunatak tasks {dataset}{''.join(words)}", alarm=alarm_of(plain))


@pages.page(
    "/datasets/{dataset}/errors", name="page_dataset_errors", template="dataset_errors.html", live=True, shared=True,
    tools=TOOLS,
)  # fmt: skip
def errors(request: Request, services: Have, dataset: Number) -> View:
    """Show what went wrong, equal failures together, each with what helps."""
    with services.database.read() as tx:
        plain = frame(request, tx, services, dataset)
        groups = read_errors.errors(tx, services.contexts.one(tx, dataset), Address(dataset))
    data = {"dataset": plain, "part": "errors", "errors": groups}
    return View(title_of(plain, "errors"), data, cli=f"nunatak errors {dataset}", alarm=alarm_of(plain))


@pages.page(
    "/datasets/{dataset}/use", name="page_dataset_use", template="dataset_use.html", live=True, shared=True, tools=TOOLS
)  # fmt: skip
def use(request: Request, services: Have, dataset: Number) -> View:
    """Show what was asked for against what was used, for each task."""
    with services.database.read() as tx:
        plain = frame(request, tx, services, dataset)
        context = services.contexts.one(tx, dataset)
        known = lessons.of_dataset(tx, dataset)
    found = []
    for place, (evidence, learnt) in sorted(known.items()):
        written = context.plan.tasks[place].shape or shape_of(context.plan, place, 0)
        asked = learnt.shape(written) if learnt else written
        sketches = {"memory": evidence.memory.used, "disk": evidence.disk.used, "time": evidence.time.used}
        lines = [
            {
                "name": line.name,
                "text": line.text,
                "asked": line.asked,
                "p50": line.middle,
                "p95": line.usual,
                "most": line.most,
                "drawing": draw.histogram(evidence.cpu, line.asked, asked.cpu)
                if line.name == "cpu"
                else draw.histogram(sketches[line.name], line.asked),
            }
            for line in used(evidence, asked)
        ]
        if lines:
            name = context.plan.tasks[place].name
            found.append({"task": name, "lines": lines, "why": learnt.why if learnt else "", "n": evidence.finished})
    data = {"dataset": plain, "part": "use", "tasks": found}
    return View(title_of(plain, "use"), data, cli=f"nunatak status {dataset}", alarm=alarm_of(plain))


@pages.page(
    "/datasets/{dataset}/graph", name="page_dataset_graph", template="dataset_graph.html", live=True, shared=True,
    tools=TOOLS,
)  # fmt: skip
def graph(request: Request, services: Have, dataset: Number) -> View:
    """Show the tasks of a job and what waits for what."""
    with services.database.read() as tx:
        plain = frame(request, tx, services, dataset)
        plan = services.contexts.one(tx, dataset).plan
    edges = [{"task": task.name, "after": list(task.after), "once": task.once} for task in plan.tasks]
    data = {"dataset": plain, "part": "graph", "graph": edges, "drawing": draw.graph(plan)}
    return View(title_of(plain, "graph"), data, cli=f"nunatak status {dataset}", alarm=alarm_of(plain))


Revision = Annotated[int | None, Query(ge=1, le=1_000_000)]


@pages.page("/datasets/{dataset}/recipe", name="page_dataset_recipe", template="dataset_recipe.html", tools=TOOLS)
def recipe(
    request: Request, services: Have, dataset: Number, revision: Revision = None, against: Revision = None
) -> View:
    """Show a revision of the recipe as it was written, or how it differs from another one."""
    with services.database.read() as tx:
        plain = frame(request, tx, services, dataset)
        rows = datasets_store.REVISIONS(tx, dataset=dataset)
        tasks = by_revision(rows, plain["tasks"])
        wanted = among(rows, dataset, revision or plain["revision"])
        shown = datasets_store.RECIPE(tx, digest=wanted.recipe)[0]
        other = datasets_store.RECIPE(tx, digest=among(rows, dataset, against).recipe)[0] if against else None
    data = {
        "dataset": plain,
        "part": "recipe",
        "revision": wanted.revision,
        "against": against,
        "filename": shown.filename,
        "source": shown.source,
        "digest": wanted.recipe,
        "revisions": [
            {"revision": row.revision, "digest": row.recipe, "author": row.author, "at": iso(row.at), "tasks": of_row}
            for row, of_row in zip(rows, tasks, strict=True)
        ],
        "difference": difference(other.source, shown.source) if other else None,
    }
    return View(title_of(plain, "recipe"), data, cli=f"nunatak recipe {dataset}", alarm=alarm_of(plain))


def difference(old: str, new: str) -> list[dict[str, str]]:
    """Return the lines of two texts as one list: `kind` is same, gone or new, or skip for where equal lines are left out."""
    found = []
    for line in list(difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=3))[2:]:
        kind = {"+": "new", "-": "gone", "@": "skip"}.get(line[:1], "same")
        found.append({"kind": kind, "text": line if kind == "skip" else line[1:]})
    return found


@pages.page(
    "/datasets/{dataset}/files",
    name="page_dataset_files",
    template="dataset_files.html",
    live=True,
    tools={**TOOLS, "most_packed": MOST_TASKS},
)
def files(request: Request, services: Have, dataset: Number, after: After = "") -> View:
    """List the recorded outputs."""
    with services.database.read() as tx:
        plain = frame(request, tx, services, dataset)
        context = services.contexts.one(tx, dataset)
        page = lists.files(tx, context, Address(dataset), after=page_after(after), limit=100)
    for item in page["items"]:
        own = item["url"].startswith(f"{services.store}/{dataset}/")
        query = urlencode({"address": item["address"], "name": item["name"]})
        item["download"] = f"{link(dataset)}/download?{query}" if own else None
    data = {"dataset": plain, "part": "files", **page}
    return View(title_of(plain, "files"), data, cli=f"nunatak files {dataset}", alarm=alarm_of(plain))


@pages.get("/datasets/{dataset}/download", name="download_from_page")
def download(
    request: Request, services: Have, dataset: Number, address: Word, name: Annotated[str, Query(max_length=1000)]
) -> Response:
    """Give a recorded output as an attachment."""
    wanted = address_of(address, "job", "task")
    if wanted.dataset != dataset:
        raise Invalid(f"{address} is not of dataset {dataset}", code="bad-address")
    with services.database.read() as tx:
        record = content.find(tx, services.contexts.one(tx, dataset), wanted, name)
    if not record["url"].startswith(f"{services.store}/{dataset}/"):
        raise NotFound(f"{name} is not in the store", code="file-elsewhere", hint=f"it is kept at {record['url']}")
    given = request.headers
    return content.serve(
        services.storage, record, given.get("range"), given.get("if-range"), given.get("if-none-match")
    )


@pages.page(
    "/datasets/{dataset}/history", name="page_dataset_history", template="dataset_history.html", live=True, tools=TOOLS
)  # fmt: skip
def history(request: Request, services: Have, dataset: Number, after: After = "") -> View:
    """Show who did what, oldest first."""
    page_after(after)
    with services.database.read() as tx:
        plain = frame(request, tx, services, dataset)
        context = services.contexts.one(tx, dataset)
        found = explain.history(tx, context, Address(dataset), after=after.partition(".")[0], limit=100)
    data = {"dataset": plain, "part": "history", **found}
    return View(title_of(plain, "history"), data, cli=f"nunatak history {dataset}", alarm=alarm_of(plain))
