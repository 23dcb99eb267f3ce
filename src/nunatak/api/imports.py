"""Route of imports: what another system runs, as a recipe; no dataset is made."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter
from starlette.responses import Response

from nunatak.api import models
from nunatak.api.guard import GuardedRoute
from nunatak.api.requests import answer
from nunatak.api.views import recipes as views

router = APIRouter(prefix="/api/v1/import", tags=["datasets"], route_class=GuardedRoute)


@router.post(
    "/iceprod",
    name="import_iceprod",
    response_model=views.ImportedRecipe,
    summary="An IceProd configuration as a recipe",
)
def import_iceprod(sent: models.IceProdConfiguration) -> Response:
    """Return the recipe, the files to lie beside it, and what was translated, dropped or comes out otherwise.

    422 with every problem at its place if the configuration cannot be used.
    """
    from nunatak.iceprod.importing import import_config  # not loaded where nobody imports anything

    made = import_config(
        sent.text,
        filename=sent.filename,
        jobs=sent.jobs,
        mode=sent.mode,
        options=sent.options,
        task_files=sent.task_files,
        datasets=sent.datasets,
    )
    return answer({
        "text": made.text,
        "mode": made.mode,
        "jobs": made.jobs,
        "files": {name: content.decode() for name, content in made.files.items()},
        "sources": list(made.sources),
        "findings": [asdict(item) for item in made.findings],
    })  # fmt: skip
