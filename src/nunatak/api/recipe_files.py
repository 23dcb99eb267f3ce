"""The files that came with a recipe, given back to whoever may read the dataset: for a trial of what was submitted."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import FileResponse, Response

from nunatak.api.addresses import BINARY, FileName
from nunatak.api.guard import GuardedRoute
from nunatak.api.requests import Have, Number
from nunatak.core.errors import NotFound
from nunatak.datasets.plan import Plan, StoredFile

router = APIRouter(prefix="/api/v1/datasets", tags=["datasets"], route_class=GuardedRoute)


@router.get(
    "/{dataset}/recipe/file", name="get_recipe_file", summary="Bytes of a file that came with a recipe",
    response_class=Response,
    responses={
        200: {"description": "The file", "content": BINARY},
        206: {"description": "Part of it", "content": BINARY},
    },
)  # fmt: skip
def get_recipe_file(
    dataset: Number, name: FileName, services: Have, revision: Annotated[int | None, Query(ge=1, le=1_000_000)] = None
) -> Response:
    """Return a file by the name its recipe gives it, now or at a `revision`.

    Bytes that no recipe of the dataset names cannot be had.
    """
    with services.database.read() as tx:
        plan = services.contexts.one(tx, dataset).plan
        if revision is not None:
            plan = services.contexts.plan_at(tx, dataset, revision)
    file = stored(plan, dataset, name)
    if services.blobs.missing([file.sha256]):
        raise NotFound(f"{name} is not kept any more", code="file-gone", hint="tell the operator: nunatak doctor")
    return FileResponse(
        services.blobs.path(file.sha256),
        headers={"ETag": f'"{file.sha256}"', "Cache-Control": "private, no-cache"},
        media_type="application/octet-stream",
        filename=name.rpartition("/")[2],
    )


def stored(plan: Plan, dataset: int, name: str) -> StoredFile:
    """Return a file that is kept with the recipe. Raises `NotFound`, also for one that stayed where it was."""
    file = plan.files.get(name)
    if file is None:
        some = ", ".join(list(plan.files)[:20])
        raise NotFound(
            f"the recipe of dataset {dataset} has no file {name!r}", code="no-file",
            hint=f"it has {some}" if some else "it brings no files",
        )  # fmt: skip
    if file.url:
        raise NotFound(f"{name} was not sent along", code="file-elsewhere", hint=f"it is kept at {file.url}")
    return file
