"""Declares pages: each function that returns a `View` is served as HTML, as `.json`, and as a stream of its live parts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from nunatak.api.requests import answer
from nunatak.web import guard
from nunatak.web.guard import PageRoute
from nunatak.web.live import stream_of, watch
from nunatak.web.render import Page, View, parts, render

Look = Callable[..., View]
HOME = "/datasets"
SAID_SECONDS = 60.0
F = TypeVar("F", bound=Callable[..., Response])


class _Asked:
    """What FastAPI has to give to the function of a page: its own parameters, and the request, which every page needs."""

    def __init__(self, look: Look) -> None:
        self._look = look
        signature = inspect.signature(look)
        self._wants_request = "request" in signature.parameters
        more = (
            []
            if self._wants_request
            else [inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY, annotation=Request)]
        )
        self._signature = signature.replace(parameters=[*signature.parameters.values(), *more])

    def wraps(self, respond: Callable[[Request, Callable[[], View]], Any]) -> Callable[..., Any]:
        """Return an endpoint that calls `respond` with the request and the look, ready to be called (again and again)."""

        def called(values: dict[str, Any]) -> Any:
            request = values["request"] if self._wants_request else values.pop("request")
            return respond(request, partial(self._look, **values))

        if inspect.iscoroutinefunction(respond):

            @wraps(self._look)
            async def waits(**values: Any) -> Any:
                return await called(values)

            endpoint: Callable[..., Any] = waits
        else:

            @wraps(self._look)
            def works(**values: Any) -> Any:
                return called(values)

            endpoint = works
        endpoint.__signature__ = self._signature  # type: ignore[attr-defined]
        return endpoint


class Pages:
    """The pages of one module. A page's function takes what FastAPI can give."""

    def __init__(self) -> None:
        """Begin with none."""
        self.router = APIRouter(route_class=PageRoute)

    def page(
        self,
        path: str,
        *,
        name: str,
        template: str,
        tools: Mapping[str, Any] | None = None,
        live: bool = False,
        shared: bool = False,
    ) -> Callable[[Look], Look]:
        """Serve a view at `path`, its data at `path`.json and, if it is `live`, changes of its parts at `path`.live.

        A live part is one element of the template between `<!--[ID-->` and `<!--ID]-->`. If the parts are the same whoever
        looks, they may be `shared`: then they are made once for all that watch, and must not show what only some may see
        or do. `tools` are functions and words for the template.
        """
        shown = Page(template, tools or {})

        def register(look: Look) -> Look:
            asked = _Asked(look)

            @asked.wraps
            def page(request: Request, look: Callable[[], View]) -> Response:
                return render(request, shown, look(), stream=stream_of(request) if live else "")

            @asked.wraps
            def plain(request: Request, look: Callable[[], View]) -> Response:  # noqa: ARG001 - all are called alike
                return answer(dict(look().data))

            @asked.wraps
            async def stream(request: Request, look: Callable[[], View]) -> Response:
                return await watch(request, partial(_parts, request, shown, look), shared=shared)

            self._add(f"{path}.json", plain, f"{name}.json")
            if live:
                self._add(f"{path}.live", stream, f"{name}.live")
            self._add(path, page, name)
            return look

        return register

    def get(self, path: str, *, name: str) -> Callable[[F], F]:
        """Serve something that is no page by itself: a redirection, a download, a part that is asked for on its own."""
        return self._register(path, name, "GET")

    def change(self, path: str, *, name: str) -> Callable[[F], F]:
        """Take a form: what changes something, and answers with where to go on."""
        return self._register(path, name, "POST")

    def _register(self, path: str, name: str, method: str) -> Callable[[F], F]:
        def register(function: F) -> F:
            self._add(path, function, name, method)
            return function

        return register

    def _add(self, path: str, endpoint: Callable[..., Any], name: str, method: str = "GET") -> None:
        self.router.add_api_route(
            path, endpoint, name=name, methods=[method], response_model=None, include_in_schema=False
        )


def go_on(request: Request, sent: FormData, said: str = "") -> Response:
    """Return to where a form was (its field `next`), and say there what was done."""
    return go_to(request, own(str(sent.get("next", ""))), said)


def go_to(request: Request, path: str, said: str = "") -> Response:
    """Go on at a path of ours, and say there what was done."""
    answer = RedirectResponse(path, 303)
    if said:
        guard.say(request, answer, "said", quote(said[:500]), SAID_SECONDS)
    return answer


def own(following: str) -> str:
    """Return where to go on: a path of ours, never another place."""
    parts = urlsplit(following)
    fine = (
        following.startswith("/") and not following.startswith(("//", "/\\")) and not parts.netloc and not parts.scheme
    )
    return following if fine and following.isprintable() and not parts.path.startswith("/sign-in") else HOME


def _parts(request: Request, page: Page, look: Callable[[], View]) -> dict[str, str]:
    view = look()
    return {**parts(request, page, view), "title": view.title, "alarm": view.alarm}
