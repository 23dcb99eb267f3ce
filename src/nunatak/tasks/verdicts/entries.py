"""What an entry of the catalogue says."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One kind: its number, which never changes; texts for a person; `type` are commands with addresses to be filled in."""

    id: str
    title: str
    cause: str
    does: str
    type: tuple[str, ...] = ()


SEE = ("nunatak why '{attempt}'", "nunatak logs '{attempt}'")
RETRY = ("nunatak retry {task}",)
