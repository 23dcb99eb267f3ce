"""What people ask for: the verbs, what each applies to, and an order with who gave it and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nunatak.core.address import Address
from nunatak.core.errors import Invalid
from nunatak.core.states import OPEN_STATES, TaskState

S = TaskState
VERBS = ("hold", "release", "retry", "cancel", "close")
FROM = {
    "hold": (*OPEN_STATES, S.FAILED),
    "release": (S.HELD,),
    "retry": (S.FAILED, S.HELD),
    "cancel": (*OPEN_STATES, S.HELD),
}
"""The states of tasks that a verb changes."""
ENDING = ("hold", "cancel")
"""Verbs that change tasks nobody has touched yet."""
PAST = {"hold": "held", "release": "released", "retry": "tried again", "cancel": "cancelled"}


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done to which addresses, by whom, and why.

    With a `signature`, a retry of datasets is of one group of failures alone. A `lenient` order has nothing to do where a task
    is in no state for it, which is a `Conflict` otherwise.
    """

    verb: str
    addresses: tuple[Address, ...]
    actor: str
    reason: str = ""
    signature: str = ""
    lenient: bool = False

    @property
    def why(self) -> str:
        """Return what is said where it changed something."""
        return self.as_said(PAST[self.verb])

    def as_said(self, verb: str) -> str:
        """Return `verb by ACTOR: REASON`."""
        return f"{verb} by {self.actor}" + (f": {self.reason}" if self.reason else "")


def order(
    verb: str, addresses: Iterable[Address], actor: str, reason: str = "", signature: str = "", *, lenient: bool = False
) -> Order:
    """Return an order, its addresses each once and sorted. Raises `Invalid` for a verb that is none."""
    if verb not in VERBS:
        raise Invalid(f"cannot {verb}", code="bad-verb", hint=f"one of {', '.join(VERBS)}")
    return Order(verb, tuple(sorted(set(addresses), key=str)), actor, reason, signature, lenient)
