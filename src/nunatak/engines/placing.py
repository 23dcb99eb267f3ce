"""Sandboxes for what is submitted: all of a batch are made, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nunatak.core.errors import Unavailable
from nunatak.core.work import Series, TaskSpec
from nunatak.engines.folder import Folder
from nunatak.engines.keys import Key, key_of, specs_of
from nunatak.engines.protocol import Handle
from nunatak.engines.sandbox import Sandbox, Shelf


@dataclass(frozen=True, slots=True)
class Placed:
    """What one worker is given: its attempts with their sandboxes, in order; `home` is that of a series."""

    specs: tuple[TaskSpec, ...]
    boxes: tuple[Sandbox, ...]
    series: Series | None
    home: Folder | None


def place_all(shelf: Shelf, new: Sequence[TaskSpec | Series], handles: Mapping[Key, Handle]) -> list[Placed]:
    """Make the sandboxes of a batch, all or none. Raises `Unavailable`."""
    boxes: list[Sandbox] = []
    homes: list[Folder] = []
    try:
        return [_place(shelf, item, handles, boxes, homes) for item in new]
    except OSError as error:
        for box in boxes:
            shelf.undo(box)
        for home in homes:
            shelf.discard_series(home)
        raise Unavailable(
            f"the sandboxes could not be made: {error.strerror or error}",
            code="engine-directory",
            hint=f"check space and permissions of {shelf.root}",
        ) from None


def _place(
    shelf: Shelf, item: TaskSpec | Series, handles: Mapping[Key, Handle], boxes: list[Sandbox], homes: list[Folder]
) -> Placed:
    """Make what one worker needs, and note in `boxes` and `homes` what was made."""
    series = item if isinstance(item, Series) else None
    if series:  # what belongs together is known before anything of it is there
        homes.append(shelf.place_series(series.shape, [handles[key_of(spec)] for spec in series.members]))
    specs = tuple(specs_of(item))
    for spec in specs:
        boxes.append(shelf.place(handles[key_of(spec)], spec))  # noqa: PERF401 - noted one by one, to be undone
    return Placed(specs, tuple(boxes[-len(specs) :]), series, homes[-1] if series else None)
