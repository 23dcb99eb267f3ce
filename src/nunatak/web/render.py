"""A view becomes HTML: one set of headers, what every page shows around its own."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import unquote

from fastapi import Request
from starlette.responses import Response

from nunatak.accounts.policy import Principal
from nunatak.api.requests import services_of
from nunatak.web.environment import drawn
from nunatak.web.guard import cookie_of, form_token, unsay

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin", "Vary": "Cookie, Accept-Encoding"}
SMALL = 1000
"""Bytes below which an answer is not worth compressing."""


@dataclass(frozen=True, slots=True)
class View:
    """What a page shows: `data` is what its `.json` twin gives, whole.

    `title` says the state, `cli` is the command that tells the same, `alarm` (`failed`, `busy` or "") is what the
    icon of the tab shows.
    """

    title: str
    data: Mapping[str, Any] = field(default_factory=dict)
    cli: str = ""
    alarm: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A template, and functions and words that it needs beside the view."""

    template: str
    tools: Mapping[str, Any] = field(default_factory=dict)


def context_of(request: Request, view: View, *, live: bool = False) -> dict[str, Any]:
    """Return what templates see. In `live` parts times are written out, for they would change all the time."""
    me: Principal | None = request.scope.get("nunatak.principal")
    seed: str = request.scope.get("nunatak.seed", "")
    return {
        "view": view,
        "data": view.data,
        "me": me,
        "csrf": cache(lambda: form_token(seed, "live" if live else "")),
        "theme": cookie_of(request, "theme"),
        "path": request.scope["path"].removesuffix(".live"),
        "query": request.url.query,
        "now": services_of(request).clock(),
        "live": live,
        "said": unquote(cookie_of(request, "said")),
    }


def render(request: Request, page: Page, view: View, *, status: int = 200, stream: str = "") -> Response:
    """Return the page; `stream` is where its live parts come from."""
    answer = html(request, _text(request, page, view, stream=stream), status)
    if cookie_of(request, "said"):
        unsay(request, answer, "said")
    return answer


SPACE = re.compile(r"[ \t\n]+")
AS_WRITTEN = re.compile(r"(<pre\b.*?</pre>)", re.DOTALL)
"""Where space means something."""
MARK = "<!--{}-->"
MARKED = re.compile(r"<!--(\w+)-->")
"""Stands in a part for a part of its own."""
PART = re.compile(r"<!--\[(\w+)-->(.*?)<!--\1\]-->", re.DOTALL)
"""A live part in a template: one element, between comments with its id. Text of people never has such a comment: it is escaped."""


def parts(request: Request, page: Page, view: View) -> dict[str, str]:
    """Return the live parts of a page by their ids.

    A part may have parts of its own, as a drawing that is large and changes in some places: it has a mark where they were.
    """
    return parts_of(_text(request, page, view, live=True))


def parts_of(text: str) -> dict[str, str]:
    """Return the parts in a text, and the parts in those."""
    found: dict[str, str] = {}
    for name, part in PART.findall(text):
        if "<!--[" in part:
            found |= {inner: _squeezed(piece) for inner, piece in PART.findall(part)}
            part = PART.sub(lambda piece: MARK.format(piece[1]), part)
        found[name] = _squeezed(part)
    return found


def _squeezed(part: str) -> str:
    """Return a part without the space that shows nothing."""
    pieces = AS_WRITTEN.split(part) if "<pre" in part else (part,)
    return "".join(piece if n % 2 else SPACE.sub(" ", piece) for n, piece in enumerate(pieces)).strip()


def _text(request: Request, page: Page, view: View, *, live: bool = False, stream: str = "") -> str:
    values = {**page.tools, **context_of(request, view, live=live), "stream": stream}
    return drawn(page.template, values)


def html(request: Request, text: str, status: int = 200) -> Response:
    """Return HTML with the headers of pages, compressed if the browser takes it."""
    body = text.encode("utf-8", "replace")
    headers = dict(HEADERS)
    if len(body) >= SMALL and "gzip" in request.headers.get("accept-encoding", ""):
        body = gzip.compress(body, 4)
        headers["Content-Encoding"] = "gzip"
    return Response(body, status, headers, media_type="text/html; charset=utf-8")
