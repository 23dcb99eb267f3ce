"""Whose a dataset is: what a caller changes must be theirs, unless they are an administrator."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import Request
from sqlalchemy import Connection

from nunatak.accounts import policy
from nunatak.api.requests import principal_of
from nunatak.datasets.revisions import dataset_of


def check(request: Request, tx: Connection, datasets: Iterable[int]) -> None:
    """Let the caller change these datasets. Raises `NotFound`, or `Refused` for those of others."""
    principal, route = principal_of(request), request.scope["route"].name
    for dataset in sorted(set(datasets)):
        policy.check_owner(route, principal, dataset_of(tx, dataset).owner, f"dataset {dataset}")
