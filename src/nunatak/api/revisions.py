"""Routes of the recipe of a dataset: read with its revisions; edited, checked outside any transaction, then written."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection
from starlette.responses import Response

from nunatak.api import models, ownership
from nunatak.api.datasets import IfMatch, check_blobs
from nunatak.api.guard import GuardedRoute
from nunatak.api.requests import Caller, Have, Number, answer
from nunatak.api.services import Services
from nunatak.api.views import recipes
from nunatak.core.clock import iso
from nunatak.core.errors import Conflict, Invalid
from nunatak.datasets import store
from nunatak.datasets.manifest import Manifest
from nunatak.datasets.plan import Plan, StoredFile
from nunatak.datasets.revisions import dataset_of, revision_of
from nunatak.datasets.rewrite import Rewritten, Written, rewrite
from nunatak.tasks import editing
from nunatak.tasks.editing import Edit, Edited
from nunatak.tasks.pieces import pieces_of, rewrite_pieces

router = APIRouter(prefix="/api/v1/datasets", tags=["datasets"], route_class=GuardedRoute)

_TAG = re.compile(r'(?:W/)?"([1-9][0-9]{0,8})-([0-9a-f]{16})"\Z').match


@dataclass(frozen=True, slots=True)
class Present:
    """The recipe that a dataset has now, and whose it is; `pieces` says how jobs were divided that were split off another."""

    dataset: int
    name: str
    owner: str
    revision: int
    digest: str
    plan: Plan
    source: str
    filename: str
    pieces: tuple[int, ...] = ()


def present(tx: Connection, dataset: int, revision: int | None = None) -> Present:
    """Return the present recipe of a dataset, or another revision of it. Raises `NotFound`."""
    row = dataset_of(tx, dataset)
    at = row if revision is None else revision_of(tx, dataset, revision)
    recipe = store.RECIPE(tx, digest=at.recipe)[0]
    plan = Plan.from_plain(json.loads(recipe.plan))
    pieces = pieces_of(tx, dataset)
    return Present(dataset, row.name, row.owner, at.revision, at.recipe, plan, recipe.source, recipe.filename, pieces)


def own(services: Services, request: Request, dataset: int) -> Present:
    """Return the present recipe of a dataset that is the caller's. Raises `NotFound`, or `Refused` before anything is read."""
    with services.database.read() as tx:
        ownership.check(request, tx, [dataset])
        return present(tx, dataset)


def tag(revision: int, digest: str) -> str:
    """Return the ETag of a recipe: it names the revision, so that one who comes late can be told what came between."""
    return f'"{revision}-{digest[:16]}"'


def difference(old: str, new: str) -> list[str]:
    """Return the lines in which two texts differ, as `diff -u` has them."""
    return list(difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=2))[2:]


def made(now: Present, edited: Written, parameters: Mapping[str, str], limit: int) -> Rewritten:
    """Check an edited recipe against the present one. Raises `Invalid` with every problem of it."""
    if len(edited.text.encode("utf-8", "surrogatepass")) > limit:
        raise Invalid(f"the recipe is larger than {limit} bytes", code="too-large", hint="put data into files")
    written = Written(now.source, now.filename, Manifest())
    if now.pieces:
        return rewrite_pieces(now.plan, written, edited, parameters, now.pieces)
    return rewrite(now.plan, written, edited, parameters)


def carry_out(services: Services, request: Request, dataset: int, given: Edit, *, apply: bool) -> Edited:
    """Edit in a transaction of its own. Raises what `tasks.editing.edit` does, and `Refused`."""

    def work(tx: Connection) -> Edited:
        ownership.check(request, tx, [dataset])
        return editing.edit(tx, services.contexts, dataset, given, services.clock(), apply=apply)

    found = services.database.run(work)
    if apply and found.changed:
        services.contexts.forget(dataset)
        request.app.state.demand.forget()
    return found


@router.get("/{dataset}/recipe", name="get_recipe", response_model=recipes.RecipeView, summary="Recipe and revisions")
def get_recipe(
    dataset: Number, services: Have, revision: Annotated[int | None, Query(ge=1, le=1_000_000)] = None
) -> Response:
    """Return the recipe as written and as checked, or an earlier revision; and all revisions, with the tasks done under each."""
    with services.database.read() as tx:
        now = present(tx, dataset, revision)
        rows = store.REVISIONS(tx, dataset=dataset)
        tasks = editing.by_revision(rows, store.STATE_SUMS(tx, dataset=dataset)[0]._asdict())
    revisions = [
        {"revision": row.revision, "digest": row.recipe, "author": row.author, "at": iso(row.at), "tasks": of_row}
        for row, of_row in zip(rows, tasks, strict=True)
    ]
    return answer(
        {
            "digest": now.digest,
            "tag": tag(now.revision, now.digest),
            "revision": now.revision,
            "filename": now.filename,
            "source": now.source,
            "plan": now.plan.to_plain(),
            "revisions": revisions,
        },
        headers={"ETag": tag(now.revision, now.digest)},
    )


@router.put(
    "/{dataset}/recipe", name="edit_recipe", response_model=recipes.Edited, summary="Edit the recipe: a new revision"
)
def edit_recipe(
    dataset: Number, request: Request, sent: models.RecipeEdit, services: Have, caller: Caller, if_match: IfMatch = None
) -> Response:
    """Make an edited recipe the present revision, for every attempt from now on; `If-Match` is the ETag of the recipe read.

    With `check` nothing is changed: `refusals` says what cannot be. Sent twice, it is done once.
    """
    with services.database.read() as tx:
        ownership.check(request, tx, [dataset])
        now = present(tx, dataset)
        since = _since(if_match, now)
        base = now.source if since == now.revision else present(tx, dataset, since).source
    files = {
        name: StoredFile(item.sha256, item.size, item.mode, item.url) for name, item in sent.manifest.files.items()
    }
    matches = {pattern: tuple(names) for pattern, names in sent.manifest.matches.items()}
    written = Written(sent.text, sent.filename, Manifest(files, matches))
    rewritten = made(now, written, sent.parameters, services.limits.recipe)
    if sent.jobs is not None:
        raise Invalid("an edit does not change the number of jobs", code="bad-jobs", hint="nunatak more adds jobs")
    if not sent.check:
        check_blobs(services, rewritten.plan)
    given = Edit(rewritten, sent.text, sent.filename, caller.name, since)
    try:
        found = carry_out(services, request, dataset, given, apply=not sent.check)
    except Conflict as error:
        if error.code == "changed":
            error.data["difference"] = difference(base, now.source)
        raise
    plain = {**found.to_plain(), "difference": difference(base, sent.text)}
    return answer(plain, headers={} if sent.check else {"ETag": tag(found.revision, found.digest)})


def _since(given: str | None, now: Present) -> int:
    """Return the revision that an edit began from. Raises `Invalid` where none is named."""
    if given is None:
        raise Invalid(
            "this change needs a condition", code="if-match-needed",
            hint="send the ETag of the recipe you read as If-Match",
        )  # fmt: skip
    if given.strip() == "*":
        return now.revision
    found = _TAG(given.strip())
    if found is None:
        raise Invalid(f"{given!r} is no tag of a recipe", code="bad-tag", hint="send the ETag of the recipe you read")
    return int(found[1])
