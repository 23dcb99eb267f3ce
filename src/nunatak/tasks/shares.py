"""What operators say of groups, users, datasets and sites: weights and caps, and how everybody stands by them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

from nunatak.core.clock import iso
from nunatak.core.errors import Invalid, NotFound
from nunatak.db.statement import Row
from nunatak.tasks import store
from nunatak.tasks.choosing import Rules, stand, uses_now, wanted
from nunatak.tasks.context import Contexts
from nunatak.tasks.sharing.model import Busy, Positions
from nunatak.tasks.sharing.usage import Used

Plain = dict[str, Any]


class OwnerKind(StrEnum):
    """Of what a rule may be."""

    GROUP = "group"
    USER = "user"
    DATASET = "dataset"
    SITE = "site"


EVERY = "*"
"""The name of all that have no rule of their own."""
WEIGHED = (OwnerKind.GROUP, OwnerKind.USER)
NUMBER = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class Share:
    """A rule: weight, and most tasks running (with those queued) and queued at a time; None: as if nothing was said.

    With the name `*` it holds for all of its kind that have no cap of their own.
    """

    kind: OwnerKind
    name: str
    weight: float | None = None
    running: int | None = None
    queued: int | None = None


def say(tx: Connection, share: Share, who: str, now: float) -> None:
    """Write down a rule in place of the former of the same owner. Raises `Invalid` for one that means nothing."""
    if share.weight is not None and (share.kind not in WEIGHED or share.name == EVERY):
        raise Invalid(
            f"{share.kind} {share.name} has no weight",
            code="bad-share",
            hint="groups and users with a name have weights; a dataset has a priority against others of its user",
        )
    if share.weight is None and share.running is None and share.queued is None:
        raise Invalid("nothing is said", code="bad-share", hint="give a weight, or the most running or queued")
    _check_name(share.kind, share.name)
    values = {"weight": share.weight, "running": share.running, "queued": share.queued}
    store.SET_SHARE(tx, kind=share.kind, name=_kept(share.name), **values, who=who, now=now)


def _check_name(kind: OwnerKind, name: str) -> None:
    if kind is OwnerKind.DATASET and name != EVERY and not NUMBER.fullmatch(name):
        raise Invalid(f"{name!r} is not the number of a dataset", code="bad-share", hint="as nunatak ls shows it")


def _kept(name: str) -> str:
    return "" if name == EVERY else name


def unsay(tx: Connection, kind: OwnerKind, name: str) -> None:
    """Forget a rule. Raises `NotFound` if there is none."""
    if not store.UNSET_SHARE(tx, kind=kind, name=_kept(name)):
        raise NotFound(f"nothing is said of {kind} {name}", code="no-share", hint="nunatak shares lists what is")


def listed(tx: Connection, contexts: Contexts, rules: Rules, now: float) -> list[Plain]:
    """Return all rules, and every group and user that used something or wants something, with how they stand.

    `used` is in core-hours of worth, `part` the part of the next places, `queued` and `running` count tasks.
    """
    used = uses_now(tx, contexts, rules, now)
    return lines_of(tx, stand(tx, wanted(tx, contexts, rules, now), used, rules, now), used)


def lines_of(tx: Connection, found: Positions, used: Used) -> list[Plain]:
    """Return the same from positions and use that were read already."""
    said = {(row.kind, row.name or EVERY): row for row in store.SHARES(tx)}
    standing = {"group": _groups(found, used), "user": _users(found, used)}
    lines = {(kind, name): more for kind, of in standing.items() for name, more in of.items()}
    keys = sorted(lines.keys() | said.keys(), key=lambda key: (list(OwnerKind).index(OwnerKind(key[0])), key[1]))
    return [_line(kind, name, said.get((kind, name)), lines.get((kind, name)), found) for kind, name in keys]


def _groups(found: Positions, used: Used) -> dict[str, tuple[float, float]]:
    """Return what each group used, and its part of the next places."""
    parts = {group.key: group.part for group in found.groups}
    names = used.groups.keys() | parts.keys() | {str(name) for name in found.busy["group"]}
    return {name: (used.groups.get(name, 0.0), parts.get(name, 0.0)) for name in names}


def _users(found: Positions, used: Used) -> dict[str, tuple[float, float]]:
    """Return the same of users, for all groups together."""
    sums: dict[str, tuple[float, float]] = {str(name): (0.0, 0.0) for name in found.busy["user"]}
    for (_, name), worth in used.users.items():
        before = sums.get(name, (0.0, 0.0))
        sums[name] = before[0] + worth, before[1]
    for user in (user for group in found.groups for user in group.below):
        before = sums.get(user.key[1], (0.0, 0.0))
        sums[user.key[1]] = before[0], before[1] + user.part
    return sums


def _line(kind: str, name: str, row: Row | None, more: tuple[float, float] | None, found: Positions) -> Plain:
    busy = found.busy[kind].get(int(name) if kind == "dataset" and name != EVERY else name, Busy())
    weighed = kind in WEIGHED and name != EVERY
    return {
        "kind": kind,
        "name": name,
        "weight": (row.weight if row is not None and row.weight is not None else 1.0) if weighed else None,
        "most_running": row.running if row is not None else None,
        "most_queued": row.queued if row is not None else None,
        "said_by": row.who if row is not None else None,
        "said_at": iso(row.at) if row is not None else None,
        "used": more[0] if more else None,
        "part": more[1] if more else None,
        "queued": busy.queued,
        "running": busy.running,
    }
