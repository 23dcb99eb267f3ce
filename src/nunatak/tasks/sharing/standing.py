"""Where one dataset stands among those that want the same slots, as values to be put into words."""

from __future__ import annotations

from typing import NamedTuple

from nunatak.tasks.sharing.model import Bound, Positions

ALL = -1


class Standing(NamedTuple):
    """A dataset's place in the order of who gets most of the next places.

    `part` is its part of them; `used` what (group, user, dataset) used of their shares, None where a level has nobody
    else; `ahead` are those that get more, with their users, the first first; `stopped` are caps that allow no more.
    """

    dataset: int
    group: str
    user: str
    rank: int
    of: int
    part: float
    used: tuple[float | None, float | None, float | None]
    ahead: tuple[tuple[int, str], ...]
    stopped: tuple[Bound, ...]


def standing(positions: Positions, dataset: int, rivals: int = ALL) -> Standing | None:
    """Return where a dataset stands among those that want some shape of `rivals` (bits); None if it wants nothing.

    With `rivals` from `Fits.rivals` only those count that want slots which could take a certain shape.
    """
    path = positions.paths.get(dataset)
    if path is None:
        return None
    group, user, own = path
    others = [line for _, _, line in positions.paths.values() if line.mask & rivals or line is own]
    whole = sum(line.part for line in others)
    more = [line for line in others if (-line.part, line.key) < (-own.part, own.key)]
    more.sort(key=lambda line: (-line.part, line.key))
    bounds = (positions.bound(owner) for owner in own.member.owners())
    return Standing(
        dataset,
        own.member.group,
        own.member.user,
        len(more) + 1,
        len(others),
        own.part / whole,
        (
            group.ratio if len(positions.groups) > 1 else None,
            user.ratio if len(group.below) > 1 else None,
            own.ratio if len(user.below) > 1 else None,
        ),
        tuple((line.key, line.member.user) for line in more),
        tuple(bound for bound in bounds if bound and not bound.room),
    )
