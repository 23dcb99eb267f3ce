"""What people do to work from any page: hold, release, retry, cancel, close. The same verbs, owners and history as the API's."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request
from sqlalchemy import Connection
from starlette.responses import Response

from nunatak.api import ownership
from nunatak.api.requests import Caller, Have, address_of
from nunatak.core.address import Address
from nunatak.core.errors import Invalid
from nunatak.tasks import control
from nunatak.tasks.orders import order
from nunatak.web.guard import Sent
from nunatak.web.routing import Pages, go_on
from nunatak.web.words import plural

pages = Pages()

DONE = {
    "hold": "held",
    "release": "released",
    "retry": "to be tried again",
    "cancel": "cancelled",
    "close": "closed: no new jobs",
}
"""What is said when a verb was done."""
MOST = 1000


@pages.change("/actions", name="act_from_page")
def act(request: Request, services: Have, caller: Caller, sent: Sent) -> Response:
    """Do one thing to all the addresses of a form (`verb`, `address` once or more, `reason`, `next`), or to none of them."""
    verb, texts = str(sent.get("verb", "")), [str(text) for text in sent.getlist("address")]
    if verb not in DONE or not 0 < len(texts) <= MOST:
        raise Invalid("this form asks for nothing that can be done", code="bad-action")
    reason = str(sent.get("reason", ""))[:4000]
    given = order(verb, [address_of(text, "dataset", "job", "task") for text in texts], caller.name, reason)

    def work(tx: Connection) -> int:
        ownership.check(request, tx, [address.dataset for address in given.addresses])
        return control.act(tx, services.contexts, given, services.clock())

    changed = services.database.run(work)
    request.app.state.demand.forget()
    what = _told(given.addresses)
    return go_on(
        request, sent, f"{what}: {plural(changed, 'change')}, {DONE[verb]}" if changed else f"{what}: nothing to do"
    )


def _told(addresses: Sequence[Address]) -> str:
    """Return what a form was about: the address, or how many of what."""
    if len(addresses) == 1:
        return f"{addresses[0].level} {addresses[0]}"
    levels = {address.level for address in addresses}
    return plural(len(addresses), levels.pop()) if len(levels) == 1 else plural(len(addresses), "address", "addresses")
