"""What holds a dataset back, the worst first: a pure ranking of reasons that were found."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple


class What(IntEnum):
    """Kinds of reasons; of two that hold back as many tasks, the earlier is said first."""

    HELD = 0  # the whole dataset is
    FAILED = 1  # tasks need a person, and others wait for them
    NO_PLACE = 2  # no engine offers what they need
    CAP = 3  # an operator's cap allows no more
    PROBE = 4  # one is tried first
    FULL = 5  # the engines have no room, others are ahead
    OTHERS = 6  # other datasets have to be done first
    UNDER_WAY = 7  # nothing is wrong: others have to be done first


TOTAL = frozenset({What.HELD})
"""Reasons that stop everything, however few tasks they name."""


class Hindrance(NamedTuple):
    """One reason, how many tasks it holds back, and what is said of it."""

    what: What
    tasks: int
    texts: tuple[str, ...]


def ranked(found: Iterable[Hindrance]) -> list[Hindrance]:
    """Return what stops everything, then what holds back most tasks; what holds back none comes last, as it is still true.

    Work that is under way is no hindrance: it is said after all that is one.
    """
    return sorted(
        found,
        key=lambda item: (item.what not in TOTAL, item.what is What.UNDER_WAY, -item.tasks, item.what, item.texts),
    )
