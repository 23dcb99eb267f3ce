"""Whose a dataset is: what a caller changes must be theirs, unless they are an administrator."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import Request
from sqlalchemy import Connection

from nunatak.accounts import policy
from nunatak.api.requests import principal_of
from nunatak.core.errors import NotFound
from nunatak.datasets import store


def check(request: Request, tx: Connection, datasets: Iterable[int]) -> None:
    """Let the caller change these datasets. Raises `NotFound`, or `Refused` for those of others."""
    principal, route = principal_of(request), request.scope["route"].name
    for dataset in sorted(set(datasets)):
        rows = store.DATASET(tx, dataset=dataset)
        if not rows:
            raise NotFound(f"there is no dataset {dataset}", code="no-dataset", hint="nunatak ls shows yours")
        policy.check_owner(route, principal, rows[0].owner, f"dataset {dataset}")
