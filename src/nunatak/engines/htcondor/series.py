"""Series of short tasks: each member is a job of its own here."""

from __future__ import annotations

from collections.abc import Iterable

from nunatak.core.work import Series, TaskSpec


def one_by_one(batch: Iterable[TaskSpec | Series]) -> list[TaskSpec]:
    """Return the attempts of a batch in order, with those of its series."""
    found: list[TaskSpec] = []
    for item in batch:
        found += item.members if isinstance(item, Series) else (item,)
    return found
