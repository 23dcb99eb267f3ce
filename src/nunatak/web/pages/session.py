"""Signing in with a token or a code, signing out, light or dark, and where addresses lead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Path, Query, Request
from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response

from nunatak.accounts import sessions, tokens
from nunatak.accounts.sessions import Begun
from nunatak.api.requests import Caller, Have
from nunatak.api.services import Services
from nunatak.core.errors import Invalid, NunatakError, Refused, Unavailable
from nunatak.web import guard
from nunatak.web.guard import Sent
from nunatak.web.render import Page, View, render
from nunatak.web.routing import HOME, Pages, go_on, own
from nunatak.web.throttle import Throttle
from nunatak.web.words import link

pages = Pages()

SIGN_IN = Page("sign_in.html")
WHOLE = "A token is all of the text that was printed when it was made; it may have expired, or have been revoked."
THEMES = ("light", "dark", "auto")
YEAR = 365 * 86_400.0
Next = Annotated[str, Query(max_length=2000)]


@pages.get("/", name="page_home")
def home() -> Response:
    """Lead to one's work."""
    return RedirectResponse(HOME, 303)


@pages.get("/go", name="page_go")
def go(to: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Lead to an address, or to what has such a name: what the search field of every page asks."""
    try:
        return RedirectResponse(link(to.strip()), 303)
    except Invalid:
        return RedirectResponse(f"{HOME}?{urlencode({'owner': '*', 'q': to.strip()})}", 303)


@pages.get("/sign-in", name="sign_in")
def sign_in(request: Request, next: Next = "") -> Response:  # noqa: A002 - what browsers send
    """Ask for a token."""
    return _ask(request, next)


def _ask(request: Request, following: str, problem: NunatakError | None = None) -> Response:
    seed = guard.cookie_of(request, "visit") or guard.new_seed()
    request.scope["nunatak.seed"] = seed
    shown = (
        {"detail": problem.message, "hint": WHOLE if isinstance(problem, Refused) else problem.hint}
        if problem
        else None
    )
    data: dict[str, Any] = {"next": own(following), "problem": shown}
    view = View("Sign in failed" if problem else "Sign in", data, cli="nunatak open")
    status = 200 if problem is None else 429 if isinstance(problem, Unavailable) else 403
    answer = render(request, SIGN_IN, view, status=status)
    guard.say(request, answer, "visit", seed)
    return answer


@pages.change("/sign-in", name="begin_session")
def begin_session(request: Request, services: Have, sent: Sent) -> Response:
    """Begin a session with a token."""
    following = str(sent.get("next", ""))
    try:
        with _throttled(request):
            principal = services.tokens.verify(tokens.digest_of(str(sent.get("token", "")).strip()))
            text = tokens.new_text()
            begun = services.database.run(lambda tx: _begin(tx, services, principal.token, text, request))
    except (Refused, Unavailable) as error:
        return _ask(request, following, error)
    return _signed_in(request, services, begun, text, own(following))


def _begin(tx: Connection, services: Services, parent: int, text: str, request: Request) -> Begun:
    return sessions.begin(
        tx, parent=parent, text=text, name=_browser(request), seconds=services.limits.session, now=services.clock()
    )


@pages.get("/sign-in/{code}", name="begin_session_by_code")
def begin_session_by_code(
    request: Request,
    services: Have,
    code: Annotated[str, Path(max_length=100)],
    next: Next = "",  # noqa: A002
) -> Response:
    """Begin a session with the code that `nunatak up` or `nunatak open` gave."""
    text = tokens.new_text()

    def work(tx: Connection) -> Begun:
        return sessions.redeem(
            tx, code=code, text=text, name=_browser(request), seconds=services.limits.session, now=services.clock()
        )

    try:
        with _throttled(request):
            begun = services.database.run(work)
    except (Refused, Unavailable) as error:
        if guard.cookie_of(request, "session"):
            return RedirectResponse(own(next), 303)  # signed in already: the address was opened again
        return _ask(request, next, error)
    return _signed_in(request, services, begun, text, own(next))


@contextmanager
def _throttled(request: Request) -> Iterator[None]:
    """Count a try that fails. Raises `Unavailable` if there were too many."""
    throttle: Throttle = request.app.state.throttle
    address = request.client.host if request.client else ""
    throttle.count(address)
    yield
    throttle.give_back(address)


def _signed_in(request: Request, services: Services, begun: Begun, text: str, following: str) -> Response:
    answer = RedirectResponse(following, 303)
    guard.say(request, answer, "session", text, begun.expires - services.clock())
    guard.unsay(request, answer, "visit")
    return answer


def _browser(request: Request) -> str:
    """Return what a session is called: what the browser says it is, in short."""
    agent = request.headers.get("user-agent", "")
    names = ("Firefox", "Edg", "Chrome", "Safari", "curl")
    found = next((name for name in names if name in agent), "browser")
    return f"pages in {found.replace('Edg', 'Edge')}"


@pages.change("/sign-out", name="end_session")
def end_session(request: Request, services: Have, caller: Caller) -> Response:
    """End the session: its cookie opens nothing any more."""
    if guard.cookie_of(request, "session"):
        services.database.run(lambda tx: tokens.revoke(tx, caller.token, services.clock()))
        services.tokens.forget()
    answer = RedirectResponse("/sign-in", 303)
    guard.unsay(request, answer, "session")
    return answer


@pages.change("/theme", name="set_theme")
def set_theme(request: Request, sent: Sent) -> Response:
    """Keep whether pages are light or dark."""
    theme = str(sent.get("theme", ""))
    answer = go_on(request, sent)
    if theme in THEMES:
        guard.say(request, answer, "theme", theme, YEAR)
    return answer
