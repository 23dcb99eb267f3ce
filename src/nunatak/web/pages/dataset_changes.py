"""What is changed from a dataset's page beside the verbs of every page: more jobs, name and priority, one group of failures."""

from __future__ import annotations

import json

from fastapi import Request
from sqlalchemy import Connection
from starlette.responses import Response

from nunatak.api import ownership
from nunatak.api.requests import Caller, Have, Number
from nunatak.core.address import Address
from nunatak.core.errors import Conflict, Invalid
from nunatak.datasets import store
from nunatak.tasks import control, unfold
from nunatak.tasks.orders import order
from nunatak.web.guard import Sent
from nunatak.web.routing import Pages, go_on
from nunatak.web.words import plural

pages = Pages()

MOST_JOBS = 100_000_000
HIGHEST = 1000.0


def whole(text: str, most: int) -> int:
    """Return a number from 1 to `most` that somebody typed. Raises `Invalid`."""
    digits = "".join(text.split()).replace(",", "").replace("\u202f", "")
    if not (digits.isascii() and digits.isdigit() and 0 < int(digits[:12]) <= most):
        raise Invalid(f"{text!r} is no number of jobs", code="bad-number", hint=f"a whole number from 1 to {most}")
    return int(digits)


@pages.change("/datasets/{dataset}/more", name="more_from_page")
def more(request: Request, services: Have, caller: Caller, dataset: Number, sent: Sent) -> Response:
    """Add jobs (`jobs`), if there still are as many as the page showed (`of`): a form that is sent twice adds once."""
    jobs, of = whole(str(sent.get("jobs", "")), MOST_JOBS), str(sent.get("of", ""))

    def work(tx: Connection) -> int:
        ownership.check(request, tx, [dataset])
        total = store.LOCK_FRONTIER(tx, dataset=dataset)[0].total
        if of != str(total):
            raise Conflict(
                f"dataset {dataset} has {plural(total, 'job')} by now, not {of}",
                code="jobs-changed",
                hint="load the page again",
            )
        return unfold.more(
            tx, services.contexts, services.contexts.one(tx, dataset), jobs, caller.name, services.clock()
        )

    total = services.database.run(work)
    request.app.state.demand.forget()
    return go_on(request, sent, f"{plural(jobs, 'job')} added: dataset {dataset} has {plural(total, 'job')} now")


@pages.change("/datasets/{dataset}/priority", name="edit_from_page")
def priority(request: Request, services: Have, caller: Caller, dataset: Number, sent: Sent) -> Response:
    """Set the priority among the datasets of one's own (`priority`)."""
    wanted = _priority(str(sent.get("priority", "")))

    def work(tx: Connection) -> None:
        ownership.check(request, tx, [dataset])
        row, now = store.LOCK_DATASET(tx, dataset=dataset)[0], services.clock()
        store.SET_PRIORITY(tx, dataset=dataset, name=row.name, priority=wanted, now=now)
        store.ADD_EVENT(
            tx, dataset=dataset, job=None, task=None, actor=caller.name, verb="edit", now=now,
            detail=json.dumps({"priority": wanted}),
        )  # fmt: skip

    services.database.run(work)
    request.app.state.demand.forget()
    return go_on(request, sent, f"priority of dataset {dataset} is {wanted:g}")


def _priority(text: str) -> float:
    try:
        found = float(text.replace(",", "."))
    except ValueError:
        found = 0.0
    if not 0 < found <= HIGHEST:
        raise Invalid(f"{text!r} is no priority", code="bad-priority", hint=f"above 0, up to {HIGHEST:g}; 1 is usual")
    return found


@pages.change("/datasets/{dataset}/retry", name="retry_from_page")
def retry(request: Request, services: Have, caller: Caller, dataset: Number, sent: Sent) -> Response:
    """Try the failed tasks of one group of failures again (`signature`)."""
    signature = str(sent.get("signature", ""))
    if not signature or len(signature) > 64:
        raise Invalid("this form names no group of failures", code="bad-action")

    def work(tx: Connection) -> int:
        ownership.check(request, tx, [dataset])
        given = order("retry", [Address(dataset)], caller.name, str(sent.get("reason", ""))[:4000], signature)
        return control.act(tx, services.contexts, given, services.clock())

    changed = services.database.run(work)
    request.app.state.demand.forget()
    said = f"{plural(changed, 'task')} to be tried again" if changed else "none of these tasks is failed any more"
    return go_on(request, sent, f"{dataset}: {said}")
