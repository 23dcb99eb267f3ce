"""Route of codes that begin a session in a browser: they may stand in an address, where a token may not."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from nunatak.accounts import sessions, tokens
from nunatak.api.guard import GuardedRoute
from nunatak.api.requests import Caller, Have, answer
from nunatak.api.views import accounts as views
from nunatak.core.clock import iso

router = APIRouter(prefix="/api/v1/sign-in-codes", tags=["tokens"], route_class=GuardedRoute)


@router.post("", name="create_code", status_code=201, response_model=views.CodeMade, summary="Make a sign-in code")
def create_code(services: Have, caller: Caller) -> Response:
    """Make a code that signs a browser in as you, once and within ten minutes, at `/sign-in/CODE`."""
    text = tokens.new_text().removeprefix(tokens.PREFIX)
    begun = services.database.run(lambda tx: sessions.offer(tx, parent=caller.token, text=text, now=services.clock()))
    return answer({"code": text, "path": f"/sign-in/{text}", "expires": iso(begun.expires)}, 201)
