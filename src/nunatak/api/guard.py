"""The door: every route is closed until a token with the right scope opens it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from nunatak.accounts import policy
from nunatak.accounts.policy import Principal
from nunatak.accounts.tokens import Verifier, digest_of
from nunatak.core.errors import Refused


def bearer(scope: Scope) -> str:
    """Return the token of a request. Raises `Refused` if there is none."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, text = value.partition(b" ")
            if kind.lower() == b"bearer" and text.strip():
                return str(text.strip().decode("latin-1"))
    raise Refused(
        "this needs a token",
        code="no-token",
        hint="send the header Authorization: Bearer TOKEN; nunatak login stores one",
    )


class GuardedRoute(APIRoute):
    """A route that asks the policy before anything of the request is read."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Take the name of the route for its operation in the OpenAPI document too."""
        super().__init__(path, endpoint, **{**options, "operation_id": options["name"]})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the caller in, then answer."""
        await self.admit(scope)
        await self.serve(scope, receive, send)

    async def admit(self, scope: Scope) -> None:
        """Let the caller in, or raise `Refused`."""
        if self.name not in policy.PUBLIC:
            principal = await _identify(scope)
            policy.check(self.name, principal)
            scope["nunatak.principal"] = principal

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a caller who was let in."""
        await super().handle(scope, receive, send)


async def _identify(scope: Scope) -> Principal:
    verifier: Verifier = scope["app"].state.services.tokens
    digest = scope["nunatak.digest"] = digest_of(bearer(scope))
    return await verified(verifier, digest)


async def verified(verifier: Verifier, digest: str) -> Principal:
    """Return who a token speaks for, by its digest; a thread is taken only where that is not known. Raises `Refused`."""
    principal = verifier.known(digest)
    return principal if principal is not None else await run_in_threadpool(verifier.verify, digest)
