"""What a trial reads of other datasets: outputs that they recorded, brought here from the server in use before the task runs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from nunatak.core.address import ONCE
from nunatak.core.errors import NotFound
from nunatak.core.work import Input, TaskSpec
from nunatak.datasets.places import usual_of

if TYPE_CHECKING:
    from nunatak.client import Client


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """An input that lies where outputs of another dataset usually do: `tail` is how its URL ends in any store."""

    input: Input
    dataset: int
    address: str
    tail: str


def elsewhere(spec: TaskSpec, store: str, own: int, followed: Collection[int]) -> list[Elsewhere]:
    """Return the inputs that are outputs of other datasets; `own` is what the trial calls its dataset.

    A dataset of that number is another one where tasks come after it (`followed`).
    """
    found = []
    for item in spec.inputs:
        if item.sha256 or not item.url.startswith(f"{store}/"):
            continue
        tail = unquote(item.url.removeprefix(store))
        place = usual_of(tail)
        if place and (place.dataset != own or own in followed):
            job = "" if place.job == ONCE else f"/{place.job}"
            found.append(Elsewhere(item, place.dataset, f"{place.dataset}{job}/{place.task}", tail))
    return found


def brought(spec: TaskSpec, wanted: Collection[Elsewhere], client: Client, to: Path) -> TaskSpec:
    """Return what is to be done with these inputs brought below `to`. Raises `NotFound` for one that was not made."""
    here: dict[Input, Input] = {}
    for one in wanted:
        files = [file for file in client.files(one.address) if unquote(file.url).endswith(one.tail)]
        if files:
            (got,) = client.fetch(files[:1], to / str(one.dataset))
            here[one.input] = replace(
                one.input, url=got.path.absolute().as_uri(), size=got.file.size, sha256=got.file.sha256
            )
        elif not one.input.optional:
            raise NotFound(
                f"{spec.address.partition('#')[0]} reads {one.tail.rpartition('/')[2]} of {one.address}, and no such file is"
                f" recorded at {one.tail} of the server's store", code="not-made",
                hint="has that task ended well? `nunatak files ADDRESS` shows where its files lie; --task NAME tries another task",
            )  # fmt: skip
    return replace(spec, inputs=tuple(here.get(item, item) for item in spec.inputs))
