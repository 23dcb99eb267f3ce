"""New work: a script and its inputs, or a recipe; checked as one types by the same checker, with job 0's commands beside it."""

from __future__ import annotations

import difflib
import hashlib
import json
import posixpath
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Query, Request
from sqlalchemy import Connection
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from nunatak.api.requests import Caller, Have
from nunatak.api.services import Services
from nunatak.core.errors import Invalid
from nunatak.datasets import store
from nunatak.datasets.expand import dry_run
from nunatak.datasets.manifest import Among, Manifest, relative
from nunatak.datasets.plan import Plan, StoredFile
from nunatak.datasets.recipe import compile_recipe
from nunatak.datasets.revisions import dataset_of
from nunatak.datasets.run_recipe import recipe_for_run
from nunatak.tasks import unfold
from nunatak.web.configurations import (
    FILENAME,
    Told,
    check_sources,
    files_of,
    is_configuration,
    keep,
    read_configuration,
)
from nunatak.web.guard import Sent
from nunatak.web.render import Page, View, render
from nunatak.web.routing import Pages, go_to
from nunatak.web.words import link, plural

if TYPE_CHECKING:
    from nunatak.iceprod.importing import Imported

pages = Pages()

INPUTS = "inputs/*"
"""The pattern of the files that are sent along as inputs."""
CHECK = Page("new_check.html")
MOST_NAMES = 10_000
INCOMPLETE = ("no-script", "no-inputs")
"""Codes of what is no mistake while somebody fills in the form."""
SHOWN_LINES = 2
"""Lines shown around a mistake."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a form asks for: the text of a recipe, and the files beside it by name."""

    text: str
    filename: str
    manifest: Manifest
    jobs: int | None = None
    made: Imported | None = None  # if it was a configuration of IceProd


@pages.page("/new", name="page_new", template="new.html")
def new(
    services: Have, mode: Annotated[str, Query(max_length=16)] = "",
    like: Annotated[int, Query(ge=0, le=999_999_999)] = 0,
) -> View:  # fmt: skip
    """Show the form; with `like`, filled with the recipe of a dataset."""
    data: dict[str, Any] = {"mode": "recipe" if like or mode == "recipe" else "script", "like": like, "source": STARTER}
    title = "New work"
    if like:
        with services.database.read() as tx:
            row, recipe = _recipe_of(tx, like)
        data |= {"source": recipe.source, "name": row.name}
        title = f"New, like dataset {like}"
    return View(title, data, cli="nunatak submit recipe.yaml" if data["mode"] == "recipe" else RUN)


RUN = "nunatak run SCRIPT --input 'DIR/*' --output 'out/{stem}.json'"
STARTER = """\
name: first try
jobs: 10
tasks:
  simulate:
    run: echo job {job} of {jobs}
    needs: {memory: 500 MB, time: 10 min}
"""


def _recipe_of(tx: Connection, dataset: int) -> tuple[Any, Any]:
    row = dataset_of(tx, dataset)
    return row, store.RECIPE(tx, digest=row.recipe)[0]


@pages.change("/new/check", name="check_from_page")
def check(request: Request, services: Have, sent: Sent) -> Response:
    """Return what a form would do: job 0's commands and the number of jobs, or every mistake at its place."""
    data: dict[str, Any] = {"missing": "", "problems": [], "difference": _difference(services, sent)}
    told, source = _told(sent), _source(sent)
    texts, wanted = {FILENAME: source, **told.texts()}, None
    try:
        wanted = _wanted(sent, _named(sent))
        texts[wanted.filename] = wanted.text
        plan = _plan(services, wanted, _like(services, sent))
        tasks = dry_run(plan, 0, store=services.store, blobs=services.blobs_url)
        data |= {"jobs": plan.jobs, "name": plan.name, "tasks": [_shown(task) for task in tasks]}
        data["kept"] = any(task.outputs for task in plan.tasks)
    except Invalid as error:
        problems = [
            placed(problem, texts.get(problem["file"], ""), problem["file"] if problem["file"] in told.texts() else "")
            for problem in error.to_plain().get("problems", ())
        ]
        data |= {
            "missing": error.message if error.code in INCOMPLETE else "",
            "problems": problems
            or [{"message": error.message, "hint": error.hint, "path": "", "line": 0, "lines": []}],
        }
    made = wanted.made if wanted else None
    data["iceprod"] = bool(made) or (sent.get("mode") == "recipe" and is_configuration(source))
    data["findings"] = [{"kind": item.kind, "text": str(item)} for item in made.findings] if made else []
    data["text"] = wanted.text if wanted and (made or sent.get("mode") != "recipe") else ""
    return render(request, CHECK, View("Checked", data))


@pages.change("/new", name="submit_from_page")
def submit(request: Request, services: Have, caller: Caller, sent: Sent) -> Response:
    """Accept the work as a new dataset, with one job at first unless all are wanted at once."""
    wanted = _wanted(sent, _kept(services, sent))
    plan = _plan(services, wanted, _like(services, sent))
    if wanted.made:
        keep(services, wanted.made.files)
    jobs = plan.jobs
    if sent.get("first"):
        plan = replace(plan, jobs=1)

    def work(tx: Connection) -> int:
        return unfold.submit(
            tx, services.contexts, plan, source=wanted.text, filename=wanted.filename, owner=caller.name,
            team=str(sent.get("team", ""))[:255], now=services.clock(), priority=1.0, wanted=jobs,
        )  # fmt: skip

    number = services.database.run(work)
    request.app.state.demand.forget()
    rest = f"; it tries one of {plural(jobs, 'job')} first: add the others when it is done" if plan.jobs < jobs else ""
    return go_to(request, link(number), f"This is dataset {number}{rest}")


def _wanted(sent: FormData, files: dict[str, StoredFile]) -> Wanted:
    """Read a form; `files` are those sent along by name, the script under its name and inputs below `inputs/`."""
    jobs = str(sent.get("jobs", "")).strip()
    if jobs and not (jobs.isascii() and jobs.isdigit() and len(jobs) < 10):
        raise Invalid(f"{jobs!r} is no number of jobs", code="bad-jobs")
    if sent.get("mode") == "recipe":
        source, count = _source(sent), int(jobs) if jobs else None
        made = read_configuration(source, count, _told(sent))
        if made is not None:
            return Wanted(made.text, "config.yaml", Manifest({**files, **files_of(made)}), made=made)
        return Wanted(source, "recipe.yaml", Manifest(files), count)
    inputs = sorted(name for name in files if name.startswith("inputs/"))
    script = next((name for name in files if "/" not in name), "")
    if not script:
        raise Invalid("choose the script that is to be run", code="no-script")
    if not inputs:
        raise Invalid("choose the files it is to be run on: each is one job", code="no-inputs")
    try:
        outputs = shlex.split(str(sent.get("outputs", "")))
    except ValueError as error:
        raise Invalid(f"the outputs cannot be read: {error}", code="bad-outputs", hint="as out/{stem}.json") from None
    text = recipe_for_run(script, INPUTS, outputs, python="python3")
    return Wanted(text, f"{posixpath.splitext(script)[0]}.yaml", Manifest(files, {INPUTS: tuple(inputs)}))


def _source(sent: FormData) -> str:
    return str(sent.get("source", "")).replace("\r\n", "\n")


def _told(sent: FormData) -> Told:
    """Return what is said of a configuration of IceProd; the files of tasks come as a file, or as its text for a check."""
    given = sent.get("task_files", "")
    if isinstance(given, UploadFile):
        given.file.seek(0)  # it may be asked for twice
        given = given.file.read().decode("utf-8-sig", "replace")
    options, datasets = (str(sent.get(name, "")).replace("\r\n", "\n") for name in ("options", "datasets"))
    return Told(str(sent.get("expansion", "")), options, datasets, given)


def _plan(services: Services, wanted: Wanted, known: dict[str, StoredFile]) -> Plan:
    if len(wanted.text.encode("utf-8", "surrogatepass")) > services.limits.recipe:
        raise Invalid(
            f"the recipe is larger than {services.limits.recipe} bytes", code="too-large", hint="put data into files"
        )
    files = {**known, **wanted.manifest.files}
    manifest = Manifest(files, wanted.manifest.matches or Among(files))
    if wanted.made:
        check_sources(wanted.made, manifest.files)
    return compile_recipe(wanted.text, filename=wanted.filename, manifest=manifest, jobs=wanted.jobs)


def _like(services: Services, sent: FormData) -> dict[str, StoredFile]:
    """Return the files of the dataset that this one is to be like: they are kept already."""
    number = str(sent.get("like", ""))
    if not (number.isascii() and number.isdigit() and 0 < int(number) < 10**9):
        return {}
    with services.database.read() as tx:
        _, recipe = _recipe_of(tx, int(number))
    return dict(Plan.from_plain(json.loads(recipe.plan)).files)


def _named(sent: FormData) -> dict[str, StoredFile]:
    """Return files by the names that a browser told without sending them: their checksums come with the files."""
    found = {}
    for field, place in (("script_names", ""), ("input_names", "inputs/")):
        for name in str(sent.get(field, "")).splitlines()[:MOST_NAMES]:
            found[relative(place + name)] = StoredFile(hashlib.sha256(name.encode()).hexdigest(), 1)
    for name, file in _uploads(sent):
        found[name] = StoredFile("0" * 64, file.size or 0)
    return found


def _kept(services: Services, sent: FormData) -> dict[str, StoredFile]:
    """Keep the files that were sent along, and return them by name."""
    found = {}
    for name, file in _uploads(sent):
        data = file.file.read()
        digest = hashlib.sha256(data).hexdigest()
        services.blobs.put([data], digest, services.limits.blob)
        found[name] = StoredFile(digest, len(data), 0o755 if "/" not in name else 0o644)
    return found


def _uploads(sent: FormData) -> Iterator[tuple[str, UploadFile]]:
    for field, place in (("script", ""), ("inputs", "inputs/"), ("files", "")):
        for file in sent.getlist(field):
            if isinstance(file, UploadFile) and file.filename:
                yield relative(place + posixpath.basename(file.filename.replace("\\", "/"))), file


def _difference(services: Services, sent: FormData) -> list[str]:
    """Return the lines in which a recipe differs from that of the dataset it was made from."""
    number = str(sent.get("like", ""))
    if sent.get("mode") != "recipe" or not (number.isascii() and number.isdigit() and 0 < int(number) < 10**9):
        return []
    with services.database.read() as tx:
        _, recipe = _recipe_of(tx, int(number))
    new_lines = _source(sent).splitlines()
    return list(difflib.unified_diff(recipe.source.splitlines(), new_lines, lineterm="", n=1))[2:]


def _shown(task: dict[str, Any]) -> dict[str, Any]:
    """Return a task of job 0 as the preview shows it: its commands as one would type them."""
    commands = [shlex.join(command["argv"]) for command in task["commands"]]
    return {"task": task["task"], "once": task["once"], "commands": commands, "left_out": task["left_out"]}


def placed(problem: dict[str, Any], text: str, of: str = "") -> dict[str, Any]:
    """Return a problem with the lines around its place; `of` names the text if it is not the one of the work itself."""
    lines, line = text.splitlines(), int(problem["line"])
    around = range(max(1, line - SHOWN_LINES), min(len(lines), line + SHOWN_LINES) + 1) if line else ()
    return {**problem, "of": of, "lines": [{"number": n, "text": lines[n - 1], "here": n == line} for n in around]}
