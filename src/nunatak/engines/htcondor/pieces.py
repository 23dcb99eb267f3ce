"""What becomes one job each: an attempt that goes alone, or the attempts of a series in order. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from nunatak.core.address import parse
from nunatak.core.work import Series, Shape, TaskSpec
from nunatak.engines.htcondor.recipes import NONE, Wishes, wishes_of
from nunatak.engines.htcondor.travel import Travel, clash, in_series, plan, schemes
from nunatak.engines.keys import Key, key_of

BY_THE_WORKER = "*"
"""In place of an image that the worker enters."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One job to be: its attempts, the shape that is asked for, how each attempt travels."""

    members: tuple[TaskSpec, ...]
    shape: Shape
    travels: tuple[Travel, ...]
    series: bool = False

    @property
    def head(self) -> Key:
        """Return the attempt by which the job is known."""
        return key_of(self.members[0])

    @property
    def take(self) -> dict[str, str]:
        """Return the files that go along: names below the job's directory, and paths here."""
        if not self.series:
            return self.travels[0].take
        return {name: path for travel in self.travels for name, path in travel.take.items()}

    @property
    def urls(self) -> tuple[str, ...]:
        """Return the URLs that HTCondor fetches, each once."""
        if not self.series:
            return self.travels[0].urls
        return tuple({url: None for travel in self.travels for url in travel.urls})

    @property
    def avoid(self) -> tuple[str, ...]:
        """Return the nodes that any of its attempts avoids."""
        if not self.series:
            return self.members[0].avoid
        return tuple(sorted({node for spec in self.members for node in spec.avoid}))

    @property
    def home(self) -> str:
        """Return the job's directory below that of all."""
        return home_of(*self.head)


@dataclass(frozen=True, slots=True)
class Kind:
    """Pieces of one kind make one cluster; `image` is what HTCondor enters, `schemes` what it fetches."""

    dataset: int
    shape: Shape
    image: str = ""
    series: bool = False
    schemes: tuple[str, ...] = ()
    wishes: Wishes = NONE
    owner: str = ""
    group: str = ""


def home_of(address: str, lease: str) -> str:
    """Return the directory of the job that is known by an attempt: a thousand jobs of a dataset are in one directory.

    Raises `Invalid` for what is not an address.
    """
    found = parse(address)
    job = -1 if found.job is None else found.job
    return f"{found.dataset}.{max(job, 0) // 1000}/{'once' if job < 0 else job}.{found.task}.{found.attempt}.{lease}"


def pieces(
    batch: Sequence[TaskSpec | Series],
    shared: Sequence[str],
    plugins: Sequence[str],
    *,
    container: bool = False,
    without: Collection[Key] = (),
) -> list[Piece]:
    """Return what becomes one job each, without some attempts; with `container` HTCondor enters images.

    Members of a series go alone if they want different images or machines, or if files of theirs would hide each other.
    """
    found = []
    for item in batch:
        members = (item,) if isinstance(item, TaskSpec) else item.members
        members = tuple(spec for spec in members if key_of(spec) not in without)
        travels = [plan(spec, shared, plugins) for spec in members]
        if container:
            travels = [_inside(travel) for travel in travels]
        alike = len({(spec.environment.image, wishes_of(spec)) for spec in members}) == 1
        if isinstance(item, Series) and len(members) > 1 and alike and not clash(travels):
            found.append(Piece(members, item.shape, tuple(in_series(travels)), series=True))
        else:
            found += [Piece((spec,), spec.shape, (travel,)) for spec, travel in zip(members, travels, strict=True)]
    return found


def _inside(travel: Travel) -> Travel:
    """Return how a task travels whose worker is in its image already."""
    environment = replace(travel.order.environment, image="")
    return replace(travel, order=replace(travel.order, environment=environment))


def kind_of(piece: Piece, container: bool) -> Kind:
    """Return what kind of job a piece becomes; with `container` HTCondor enters its image, else any is the worker's."""
    first = piece.members[0]
    image = first.environment.image
    needed = tuple(sorted({scheme for travel in piece.travels for scheme in schemes(travel)}))
    return Kind(
        int(first.address.partition("/")[0]),
        piece.shape,
        image if container or not image else BY_THE_WORKER,
        piece.series,
        needed,
        wishes_of(first),
        first.owner,
        first.group,
    )


def by_kind(found: Sequence[Piece], container: bool) -> Mapping[Kind, list[Piece]]:
    """Return pieces by kind, each in the order given."""
    kinds: dict[Kind, list[Piece]] = {}
    for piece in found:
        kinds.setdefault(kind_of(piece, container), []).append(piece)
    return kinds
