"""The door of pages: a session in a cookie opens them, or a token in a header; every change needs a token of its form."""

from __future__ import annotations

import hmac
import secrets
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.datastructures import FormData
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from nunatak.accounts import policy
from nunatak.accounts.policy import Principal
from nunatak.accounts.tokens import Verifier, digest_of
from nunatak.api.guard import GuardedRoute, bearer, verified
from nunatak.api.requests import services_of
from nunatak.core.errors import Refused

FIELD = "csrf"
HEADER = "x-csrf-token"
MOST_FILES = 1000


class PageRoute(GuardedRoute):
    """A route of a page; its twins `NAME.json` and `NAME.live` go by the same rule."""

    @property
    def rule(self) -> str:
        """Return what the policy calls it."""
        return self.name.partition(".")[0]

    async def admit(self, scope: Scope) -> None:
        """Let the caller in, or raise `Refused`."""
        request = Request(scope)
        shown = "authorization" in request.headers
        scope["nunatak.seed"] = "" if shown else cookie_of(request, "session") or cookie_of(request, "visit")
        if self.rule in policy.PUBLIC:
            return
        if shown:
            principal = await identify(scope, bearer(scope))
        else:
            principal = await identify(scope, cookie_of(request, "session"))
        policy.check(self.rule, principal)
        scope["nunatak.principal"] = principal

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a caller who was let in; of a form, only one of our own pages."""
        if scope["method"] in ("GET", "HEAD"):
            await super().serve(scope, receive, send)
            return
        request = Request(scope, receive)
        async with request.form(max_files=MOST_FILES) as form:
            if scope["nunatak.seed"] or self.rule in policy.PUBLIC:
                check_form(request, str(form.get(FIELD) or request.headers.get(HEADER, "")))
            scope["nunatak.form"] = form
            await super().serve(scope, receive, send)


async def identify(scope: Scope, text: str) -> Principal:
    """Return who a session or token speaks for. Raises `Refused`."""
    if not text:
        raise Refused("you are not signed in", code="no-token", hint="sign in with a token")
    verifier: Verifier = scope["app"].state.services.tokens
    digest = scope["nunatak.digest"] = digest_of(text)
    return await verified(verifier, digest)


def is_secure(request: Request) -> bool:
    """Tell whether browsers reach this server over TLS."""
    return request.scope["scheme"] == "https" or services_of(request).url.startswith("https:")


def _cookie(request: Request, what: str) -> str:
    """Return the name of a cookie. Cookies know no ports, so that two servers of one machine need names of their own."""
    port = urlsplit(f"//{request.headers.get('host', '')}").netloc.rpartition(":")[2]
    name = f"nunatak-{what}" + (f"-{port}" if port.isdigit() else "")
    return f"__Host-{name}" if is_secure(request) else name


def cookie_of(request: Request, what: str) -> str:
    """Return what we said in a cookie, "" for nothing."""
    return request.cookies.get(_cookie(request, what), "")


def say(request: Request, response: Response, what: str, value: str, seconds: float | None = None) -> None:
    """Keep a value in a cookie that only we read; without `seconds` until the browser is closed."""
    response.set_cookie(
        _cookie(request, what),
        value,
        max_age=None if seconds is None else int(seconds),
        httponly=True,
        secure=is_secure(request),
        samesite="lax",
        path="/",
    )


def unsay(request: Request, response: Response, what: str) -> None:
    """Take a cookie away."""
    response.delete_cookie(_cookie(request, what), path="/", secure=is_secure(request), httponly=True, samesite="lax")


def new_seed() -> str:
    """Return what a visitor without a session is known by while they sign in."""
    return secrets.token_urlsafe(24)


def form_token(seed: str, salt: str = "") -> str:
    """Return a token for the forms of one answer: without a `salt` each is different, so that compression tells nothing."""
    salt = salt or secrets.token_urlsafe(12)
    return f"{salt}.{_mark(seed, salt)}"


def _mark(seed: str, salt: str) -> str:
    return hmac.digest(seed.encode(), f"form {salt}".encode(), "sha256").hex()[:40]


def check_form(request: Request, given: str) -> None:
    """Let a form of our own pages through. Raises `Refused` for any other."""
    salt, _, mark = given.partition(".")
    seed: str = request.scope["nunatak.seed"]
    origin = request.headers.get("origin", "")
    foreign = origin not in ("", "null") and urlsplit(origin).netloc != request.headers.get("host", "")
    if foreign or not seed or not salt or not hmac.compare_digest(mark.encode(), _mark(seed, salt).encode()):
        raise Refused("this form is not from here, or too old", code="bad-form", hint="load the page again")


async def _form(request: Request) -> FormData:
    form: FormData = request.scope["nunatak.form"]
    return form


Sent = Annotated[FormData, Depends(_form)]
"""What a form sent."""
