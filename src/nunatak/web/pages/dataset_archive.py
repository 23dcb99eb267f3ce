"""All recorded outputs of a dataset as one ZIP file; of large ones `nunatak get` is the way."""

from __future__ import annotations

from starlette.responses import Response

from nunatak.api import packed
from nunatak.api.requests import Have, Number
from nunatak.core.address import Address
from nunatak.tasks.looking import lists
from nunatak.web.routing import Pages

pages = Pages()

MOST_TASKS = 1000


@pages.get("/datasets/{dataset}/files.zip", name="archive_from_page")
def archive(services: Have, dataset: Number) -> Response:
    """Give all recorded outputs as an attachment. Raises `NotFound`, or `Conflict` for more than fit."""
    with services.database.read() as tx:
        context = services.contexts.one(tx, dataset)
        page = lists.files(tx, context, Address(dataset), limit=MOST_TASKS)
    records = [item for item in page["items"] if item["url"].startswith(f"{services.store}/{dataset}/")]
    return packed.serve(services.storage, dataset, records, f"{MOST_TASKS} tasks" if page["next"] else "")
