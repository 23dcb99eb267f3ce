"""A dataset and the revisions of its recipe, by their numbers; what is not there is said in one way."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from nunatak.core.errors import NotFound
from nunatak.datasets import store
from nunatak.db.statement import Row


def dataset_of(tx: Connection, dataset: int) -> Row:
    """Return the row of a dataset. Raises `NotFound`."""
    rows = store.DATASET(tx, dataset=dataset)
    if not rows:
        raise unknown(dataset)
    return rows[0]


def unknown(dataset: int) -> NotFound:
    """Return the error of a dataset that is not there."""
    return NotFound(f"there is no dataset {dataset}", code="no-dataset", hint="nunatak ls shows yours")


def revision_of(tx: Connection, dataset: int, number: int) -> Row:
    """Return a revision of the recipe of a dataset. Raises `NotFound`."""
    return among(store.REVISIONS(tx, dataset=dataset), dataset, number)


def among(rows: Sequence[Row], dataset: int, number: int) -> Row:
    """Return one of all revisions of a dataset. Raises `NotFound`. Pure."""
    for row in rows:
        if row.revision == number:
            return row
    raise NotFound(f"dataset {dataset} has no revision {number}", code="no-revision", hint=f"it has {len(rows)}")
