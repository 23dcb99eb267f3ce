"""Who one is: scopes, tokens, open browsers; and the page on this installation."""

from __future__ import annotations

import platform
from typing import Annotated, Any

from fastapi import Path, Request
from sqlalchemy import Connection
from starlette.responses import Response

from nunatak import __version__
from nunatak.accounts import policy, sessions, tokens
from nunatak.accounts.policy import Principal
from nunatak.accounts.tokens import Token
from nunatak.api.requests import Caller, Have
from nunatak.core.clock import iso
from nunatak.db import migrate
from nunatak.tasks.looking import lists
from nunatak.tasks.sites import held
from nunatak.web.guard import Sent
from nunatak.web.render import View
from nunatak.web.routing import Pages, go_on
from nunatak.web.words import plural

pages = Pages()

MOST_TOKENS = 200
SCOPES = {
    "read": "look at everything",
    "submit": "submit, and act on one's own datasets",
    "engine": "what an engine does",
    "admin": "everything, on all datasets",
}


@pages.page("/profile", name="page_profile", template="profile.html", tools={"scope_words": SCOPES})
def profile(services: Have, caller: Caller) -> View:
    """Show one's tokens and the browsers one is signed in with."""
    now = services.clock()
    with services.database.read() as tx:
        own = tokens.listed(tx, caller.name, 0, MOST_TOKENS)
        open_ones = sessions.running(tx, caller.name, now)
    data = {
        "name": caller.name,
        "scopes": sorted(caller.scopes),
        "expires": iso(caller.expires),
        "tokens": [_plain(token, caller, now) for token in own],
        "sessions": [_plain(token, caller, now) for token in open_ones],
    }
    return View(f"{caller.name}: {plural(len(own), 'token')}", data, cli="nunatak token list")


def _plain(token: Token, caller: Principal, now: float) -> dict[str, Any]:
    over = token.expires is not None and token.expires <= now
    return {
        "id": token.token,
        "name": token.name,
        "scopes": list(token.scopes),
        "created": iso(token.created),
        "expires": iso(token.expires),
        "revoked": iso(token.revoked),
        "used": iso(token.used),
        "state": "revoked" if token.revoked else "expired" if over else "valid",
        "this": token.token == caller.token,
    }


@pages.change("/profile/tokens/{token}/revoke", name="revoke_own_token")
def revoke(
    request: Request, services: Have, caller: Caller, sent: Sent, token: Annotated[int, Path(ge=1, le=2**31 - 1)]
) -> Response:
    """End a token or a session of one's own, for good."""

    def work(tx: Connection) -> str:
        found = tokens.get(tx, token)
        policy.check_owner("revoke_own_token", caller, found.principal, f"token {token}")
        tokens.revoke(tx, token, services.clock())
        return found.name

    name = services.database.run(work)
    services.tokens.forget()
    return go_on(request, sent, f"{name} ({token}) opens nothing any more")


@pages.page("/about", name="page_about", template="about.html", live=True)
def about(services: Have) -> View:
    """Show whether this installation is well."""
    now = services.clock()
    with services.database.read() as tx:
        present, engines = migrate.current(tx), lists.engines(tx, now, held(tx, services.contexts.kept, now))
    head = migrate.head()
    silent = [engine["name"] for engine in engines if not engine["alive"]]
    faults = [] if present == head else [f"the database is at {present}, this version needs {head}: nunatak migrate"]
    faults += [f"engine {name} is silent" for name in silent]
    faults += [] if any(engine["alive"] for engine in engines) else ["no engine is there: nothing can run"]
    data = {
        "version": __version__,
        "python": platform.python_version(),
        "database": services.database.dialect,
        "schema": present,
        "engines": engines,
        "faults": faults,
        "time": iso(now),
    }
    title = f"{plural(len(faults), 'thing')} to look at" if faults else "All is well"
    return View(f"{title} \u00b7 About", data, cli="nunatak doctor", alarm="failed" if faults else "")
