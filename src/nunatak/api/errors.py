"""Route of what goes wrong in all datasets: equal failures together, by site. Those of one address: `addresses`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from nunatak.api.guard import GuardedRoute
from nunatak.api.models import NO_NUL
from nunatak.api.requests import Have, answer
from nunatak.api.views import looking as views
from nunatak.core.errors import Invalid
from nunatak.core.spelling import nearest
from nunatak.tasks.looking import across
from nunatak.tasks.looking.across import Wish
from nunatak.tasks.verdicts.catalogue import CATALOGUE

router = APIRouter(prefix="/api/v1/errors", tags=["addresses"], route_class=GuardedRoute)

Word = Annotated[str, Query(max_length=255, pattern=NO_NUL)]
Kind = Annotated[str, Query(max_length=64, pattern=NO_NUL, description="only of this kind, as `user-error`")]
SEE_KINDS = "the second word of each group that `nunatak errors` shows, as user-error or out-of-memory"
Signature = Annotated[str, Query(max_length=64, pattern=NO_NUL, description="only this group of failures")]
Dataset = Annotated[int, Query(ge=0, le=999_999_999, description="only of this dataset; 0 is all")]


@router.get(
    "", name="list_errors", response_model=views.ErrorsAcross, summary="What went wrong in all datasets, grouped"
)
def list_errors(
    services: Have,
    owner: Word = "",
    group: Word = "",
    dataset: Dataset = 0,
    site: Word = "",
    kind: Kind = "",
    signature: Signature = "",
) -> Response:
    """Group failures of all datasets by what they have in common, those with most tasks first, with attempts by site."""
    known = [str(one) for one in CATALOGUE]
    if kind and kind not in known:
        raise Invalid(f"{kind!r} is no kind of failure", code="bad-kind", hint=nearest(kind, known) or SEE_KINDS)
    with services.database.read() as tx:
        return answer(across.across(tx, services.contexts, Wish(owner, group, dataset, site, kind, signature)))
