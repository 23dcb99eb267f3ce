"""What scripts change by a status: IceProd's suspend, reset and hard reset are our hold, release and retry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated

from fastapi import Request
from pydantic import Field
from sqlalchemy import Connection

from nunatak.api import ownership
from nunatak.api.requests import principal_of, services_of
from nunatak.api.services import Services
from nunatak.core.address import Address, parse
from nunatak.core.errors import Invalid, NotFound
from nunatak.tasks import control
from nunatak.tasks.looking import lists
from nunatak.tasks.orders import order

MOST = 10_000
"""Jobs or tasks in one request."""
TOGETHER = 1000
"""Jobs or tasks in one transaction: others wait for no more than that."""
Names = Annotated[list[Annotated[str, Field(max_length=100)]] | None, Field(max_length=MOST)]
"""Names in a request, or nothing said of them."""
HOLD, RESET = "suspended", "processing"
NEXT = {HOLD: ("hold",), RESET: ("release", "retry"), "waiting": ("release", "retry"), "idle": ("release", "retry")}
"""The verbs that bring something to a status."""

BULK = {"bulk_suspend": HOLD, "bulk_reset": RESET, "bulk_hard_reset": RESET}
"""The actions on many jobs or tasks, and the status they bring them to; what is complete stays so."""


def status_of(action: str) -> str:
    """Return the status that an action on many brings them to. Raises `NotFound` for an action that is none."""
    if action not in BULK:
        raise NotFound(
            f"there is no action {action}", code="no-action", hint=f"one of {', '.join(BULK)}, bulk_status/STATUS"
        )
    return BULK[action]


def _held(services: Services, dataset: Address) -> Iterator[list[Address]]:
    """Go through the tasks of a dataset that are suspended by themselves, in parts: a reset of all is one of them too."""
    after: str | None = ""
    while after is not None:
        with services.database.read() as tx:
            context = services.contexts.one(tx, dataset.dataset)
            page = lists.tasks(tx, context, state="held", after=after, limit=TOGETHER)
        if page["items"]:
            yield [parse(item["address"]) for item in page["items"]]
        after = page["next"]


def change(request: Request, addresses: Sequence[Address], status: str) -> int:
    """Bring datasets, jobs or tasks to a status; returns how many tasks changed.

    Many are changed in parts, each in a transaction: what is interrupted can be asked for again.
    Raises `Invalid` for a status that nobody can set, `NotFound`, and `Refused` for what is somebody else's.
    """
    if status not in NEXT:
        raise Invalid(
            "Bad state transition for status", code="bad-status", hint="suspended, or processing (tasks: waiting)"
        )
    if len(addresses) > MOST:
        raise Invalid(f"over {MOST} at a time", code="too-many", hint="send them in parts, or change the dataset")
    services, caller = services_of(request), principal_of(request)

    def work(tx: Connection, part: Sequence[Address]) -> int:
        ownership.check(request, tx, sorted({address.dataset for address in part}))
        changed = 0
        for verb in NEXT[status]:
            given = order(verb, part, caller.name, "asked by IceProd's interface", lenient=True)
            changed += control.act(tx, services.contexts, given, services.clock())
        return changed

    wanted = sorted(set(addresses), key=str)
    parts = [wanted[at : at + TOGETHER] for at in range(0, len(wanted), TOGETHER)]
    done = sum(services.database.run(partial(work, part=part)) for part in parts)
    if "release" in NEXT[status]:
        for address in wanted:
            for part in _held(services, address) if address.job is None and address.task is None else ():
                done += services.database.run(partial(work, part=part))
    request.app.state.demand.forget()
    return done
