"""Editing the recipe of a dataset on a page: checked as one types, with what would change and for which tasks; then saved."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from nunatak.accounts import policy
from nunatak.api.requests import Caller, Have, Number
from nunatak.api.revisions import Present, carry_out, difference, made, own, present, tag
from nunatak.api.services import Services
from nunatak.core.errors import Conflict, Invalid, NunatakError
from nunatak.datasets.changes import gathered
from nunatak.datasets.manifest import Manifest, relative
from nunatak.datasets.plan import StoredFile
from nunatak.datasets.reach import reach
from nunatak.datasets.rewrite import Written
from nunatak.tasks.editing import Edit, Edited
from nunatak.web.guard import Sent
from nunatak.web.pages.new import placed
from nunatak.web.render import Page, View, render
from nunatak.web.routing import Pages, go_to
from nunatak.web.words import link, plural

pages = Pages()

CHECK, WHOLE = Page("recipe_check.html"), Page("recipe_edit.html")
CHOSEN = "the file that is chosen here"
"""What a check says of a file that a browser has only named yet."""
MOST_NAMES = 1000


@pages.page("/datasets/{dataset}/edit", name="page_edit_recipe", template="recipe_edit.html")
def edit(services: Have, dataset: Number) -> View:
    """Show the present recipe in a form."""
    with services.database.read() as tx:
        now = present(tx, dataset)
    return _view(now.source, now)


@pages.change("/datasets/{dataset}/edit/check", name="check_edit_from_page")
def check(request: Request, services: Have, caller: Caller, dataset: Number, sent: Sent) -> Response:
    """Return what a form would change, or every mistake at its place."""
    now = own(services, request, dataset)
    found = _checked(request, services, caller, dataset, sent, now)
    return render(request, CHECK, View("Checked", {"check": found}))


@pages.change("/datasets/{dataset}/edit", name="edit_recipe_from_page")
def save(request: Request, services: Have, caller: Caller, dataset: Number, sent: Sent) -> Response:
    """Make the form a new revision; where that cannot be, or with `show`, show the form again with what there is to say."""
    now = own(services, request, dataset)
    if sent.get("show"):
        found = _checked(request, services, caller, dataset, sent, now)
        return render(request, WHOLE, _view(_source(sent), now, since=_since(sent), check=found))
    try:
        done = _edit(request, services, caller, dataset, sent, now, _kept(services, now, sent), apply=True)
    except (Invalid, Conflict) as error:
        found = _problems(error, _source(sent), now)
        view = _view(_source(sent), now, since=_since(sent), check=found)
        return render(request, WHOLE, view, status=412 if error.code == "changed" else error.status)
    return go_to(request, f"{link(dataset)}/recipe", _said(done))


def _said(done: Edited) -> str:
    if not done.changed:
        return "the recipe says what it said before: nothing was changed"
    failed = done.counts.get("failed", 0)
    rest = f": retry the {plural(failed, 'failed task')}, by it" if failed else ""
    return f"this is revision {done.revision} of the recipe, for all that is tried from now on{rest}"


def _view(source: str, now: Present, *, since: int = 0, check: Mapping[str, Any] | None = None) -> View:
    data = {
        "dataset": now.dataset, "name": now.name, "owner": now.owner,
        "source": source, "since": since or now.revision, "revision": now.revision, "check": check,
        "tag": tag(now.revision, now.digest), "files": sorted(name for name, file in now.plan.files.items() if not file.url),
    }  # fmt: skip
    return View(f"Edit the recipe of {now.name} ({now.dataset})", data, cli=f"nunatak edit {now.dataset}")


def _source(sent: FormData) -> str:
    return str(sent.get("source", "")).replace("\r\n", "\n")


def _since(sent: FormData) -> int:
    text = str(sent.get("since", ""))
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10):
        raise Invalid("this form does not say which revision it began from", code="bad-form")
    return int(text)


def _edit(
    request: Request, services: Services, caller: policy.Principal, dataset: int, sent: FormData, now: Present,
    files: Mapping[str, StoredFile], *, apply: bool,
) -> Edited:  # fmt: skip
    edited = Written(_source(sent), now.filename, Manifest(files))
    rewritten = made(now, edited, {}, services.limits.recipe)
    given = Edit(rewritten, edited.text, edited.filename, caller.name, _since(sent))
    return carry_out(services, request, dataset, given, apply=apply)


def _checked(
    request: Request, services: Services, caller: policy.Principal, dataset: int, sent: FormData, now: Present
) -> dict[str, Any]:
    """Return what the panel beside the form shows."""
    source, files = _source(sent), _named(now, sent)
    try:
        found = _edit(request, services, caller, dataset, sent, now, files, apply=False)
    except (Invalid, Conflict) as error:
        return _problems(error, source, now)
    changes = [
        {**change.to_plain(), **({"after": CHOSEN} if change.what.removeprefix("file ") in files else {})}
        for change in gathered(found.what.changes)
    ]
    return {
        "problems": [],
        "refusals": found.to_plain()["refusals"],
        "changes": changes,
        "notes": list(found.what.notes),
        "reach": reach(found.counts, plural),
        "changed": found.changed,
        "late": False,
        "difference": difference(now.source, source),
    }


def _problems(error: NunatakError, source: str, now: Present) -> dict[str, Any]:
    """Return what is wrong, each thing with the lines around its place."""
    found = [placed(problem, source) for problem in error.to_plain().get("problems", ())]
    plain = {"message": error.message, "hint": error.hint, "path": "", "line": 0, "lines": []}
    late = error.code == "changed"
    return {
        "problems": found or [plain],
        "refusals": [], "changes": [], "notes": [], "reach": [], "changed": False, "late": late,
        "difference": difference(now.source, source) if late else [],
    }  # fmt: skip


def _named(now: Present, sent: FormData) -> dict[str, StoredFile]:
    """Return files by the names that a browser told, with or without sending them."""
    names = [name for name in str(sent.get("script_names", "")).splitlines()[:MOST_NAMES] if name]
    names += [name for name, _ in _uploads(sent)]
    placeholder = StoredFile("0" * 64, 1)
    return {_known(now, name): placeholder for name in names}


def _kept(services: Services, now: Present, sent: FormData) -> dict[str, StoredFile]:
    """Keep the files that were sent along, and return them by name."""
    found = {}
    for name, file in _uploads(sent):
        data = file.file.read()
        digest = hashlib.sha256(data).hexdigest()
        services.blobs.put([data], digest, services.limits.blob)
        known = _known(now, name)
        before = now.plan.files.get(known)
        found[known] = StoredFile(digest, len(data), before.mode if before else 0o644)
    return found


def _known(now: Present, name: str) -> str:
    """Return the name that the recipe has for a file, of which a browser tells no directory."""
    found = [known for known in now.plan.files if posixpath.basename(known) == name]
    return found[0] if len(found) == 1 else relative(name)


def _uploads(sent: FormData) -> Iterator[tuple[str, UploadFile]]:
    for file in sent.getlist("files"):
        if isinstance(file, UploadFile) and file.filename:
            yield posixpath.basename(file.filename.replace("\\", "/")), file
