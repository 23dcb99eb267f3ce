"""Where files lie: one rule for outputs nobody gave a place, one for files that came with a recipe."""

from __future__ import annotations

import posixpath
import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

from nunatak.core.address import ONCE
from nunatak.core.errors import Invalid


@lru_cache(maxsize=4096)
def _escaped(name: str) -> str:
    return quote(name)


def usual_place(store: str, dataset: int, task: str, job: int, name: str) -> str:
    """Return the URL of an output: `STORE/42/propagate/000/000017/light.parquet`, a thousand jobs a directory."""
    between = "" if job == ONCE else f"/{job // 1000:03d}/{job:06d}"
    return f"{store}/{dataset}/{task}{between}/{_escaped(name)}"


class Usual(NamedTuple):
    """Whose output lies at a usual place."""

    dataset: int
    task: str
    job: int
    name: str


_USUAL = re.compile(r"/([1-9]\d{0,8})/([^/]+)/(?:\d{3,}/(\d{6,})/)?(.+)\Z")


def usual_of(tail: str) -> Usual | None:
    """Return whose output lies at `/42/propagate/000/000017/light.parquet` of a store, not escaped; None if none usually does."""
    place = _USUAL.match(tail)
    if not place:
        return None
    dataset, task, job, name = place.groups()
    return Usual(int(dataset), task, ONCE if job is None else int(job), name)


def checkpoint_place(store: str, dataset: int, task: str, job: int, attempt: int, name: str) -> str:
    """Return the URL of what an attempt keeps of its checkpoint: `STORE/42/.checkpoints/fit/000/000017/2/state.npz`."""
    return usual_place(store, dataset, f".checkpoints/{task}", job, f"{attempt}/{name}")


def kept_at(place: str, name: str, store: str, dataset: int) -> str:
    """Return the URL for a place a recipe gives: a URL, or a path below the dataset's; a final / keeps the name.

    Raises `Invalid` for an absolute path or one with `..`.
    """
    if place.endswith("/"):
        place += _escaped(name)
    scheme, separator, path = place.partition("://")
    if ".." in (path or scheme).split("/"):
        raise Invalid(f'"{place}" has ".." in it', code="bad-path", hint="write the place out")
    if separator:
        if place.startswith(f"{store}/") and not place.startswith(f"{store}/{dataset}/"):
            hint = "write {store}/{dataset}/..., or a path alone, which is below the dataset's place"
            raise Invalid(f'"{place}" is in the store, but not below this dataset', code="bad-path", hint=hint)
        return place
    if place.startswith("/"):
        raise Invalid(
            f'"{place}" is an absolute path',
            code="bad-path",
            hint=f"write file://{place} if every machine can reach it",
        )
    return f"{store}/{dataset}/{place}"


def blob(blobs: str, sha256: str) -> str:
    """Return the URL of a file that came with a recipe, stored by its content hash."""
    return f"{blobs}/{sha256[:2]}/{sha256}"


def numbered(name: str, job: int) -> str:
    """Return the name an output of one job has among those of all: `l2.npz` becomes `l2.000017.npz`."""
    stem, suffix = posixpath.splitext(name)
    return f"{stem}.{job:06d}{suffix}"
