"""Routes of tokens: list, make, revoke."""

from __future__ import annotations

import json
import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from sqlalchemy import Connection
from starlette.responses import Response

from nunatak.accounts import tokens
from nunatak.accounts.repeats import Answer
from nunatak.accounts.tokens import DAY, Token
from nunatak.api import idempotency, models
from nunatak.api.guard import GuardedRoute, bearer
from nunatak.api.requests import After, Body, Caller, Have, Limit, answer, dumps, page_after
from nunatak.api.views import accounts as views
from nunatak.core.clock import iso

router = APIRouter(prefix="/api/v1/tokens", tags=["tokens"], route_class=GuardedRoute)


def _plain(token: Token) -> dict[str, Any]:
    return {
        "id": token.token,
        "name": token.name,
        "principal": token.principal,
        "scopes": list(token.scopes),
        "created": iso(token.created),
        "expires": iso(token.expires),
        "revoked": iso(token.revoked),
        "used": iso(token.used),
    }


@router.get("", name="list_tokens", response_model=views.TokenPage, summary="List tokens")
def list_tokens(services: Have, caller: Caller, limit: Limit = 100, after: After = "") -> Response:
    """Return your tokens; an administrator sees everybody's. The tokens themselves are not known any more."""
    last = int(page_after(after).partition(".")[0] or 0)
    with services.database.read() as tx:
        found = tokens.listed(tx, None if caller.admin else caller.name, last, limit + 1)
    following = str(found[limit - 1].token) if len(found) > limit else None
    return answer({"items": [_plain(token) for token in found[:limit]], "next": following})


@router.post("", name="create_token", status_code=201, response_model=views.TokenMade, summary="Make a token")
def create_token(
    request: Request, sent: models.NewToken, raw: Body, services: Have, caller: Caller, key: idempotency.Key = None
) -> Response:
    """Make a token; its text is told in this answer only.

    A repetition with the same Idempotency-Key gets the same text, which is made again from the caller's own token and a
    kept salt: the text itself is kept nowhere.
    """
    days = sent.days if "days" in sent.model_fields_set else services.limits.token / DAY

    def work(tx: Connection) -> Answer:
        salt = secrets.token_urlsafe(32)
        number = tokens.issue(
            tx,
            text=tokens.derived_text(bearer(request.scope), salt),
            name=sent.name,
            principal=sent.principal or caller.name,
            scopes=sent.scopes,
            days=days,
            now=services.clock(),
        )
        return Answer(201, json.dumps({"id": number, "salt": salt, "by": caller.token}))

    kept, replayed = idempotency.run(request, key, raw + str(caller.token).encode(), work)
    made = json.loads(kept.body)
    text = tokens.derived_text(bearer(request.scope), made["salt"])
    return idempotency.reply(dumps({"id": made["id"], "token": text}).decode(), kept.status, replayed)


@router.delete("/{token}", name="revoke_token", response_model=views.Revoked, summary="Revoke a token")
def revoke_token(token: Annotated[int, Path(ge=1, le=2**31 - 1)], services: Have) -> Response:
    """End a token: it opens nothing from now on (in other server processes within half a minute)."""

    def work(tx: Connection) -> None:
        tokens.revoke(tx, token, services.clock())

    services.database.run(work)
    services.tokens.forget()
    return answer({"id": token})
