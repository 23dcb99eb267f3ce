"""The forms of answers about who asks, tokens and shares."""

from __future__ import annotations

from nunatak.api.views.answers import View


class WhoAmI(View):
    """Whom the token speaks for."""

    name: str
    scopes: list[str]
    expires: str | None


class TokenView(View):
    """What is known of a token."""

    id: int
    name: str
    principal: str
    scopes: list[str]
    created: str
    expires: str | None
    revoked: str | None
    used: str | None


class TokenPage(View):
    """Tokens in order of their numbers."""

    items: list[TokenView]
    next: str | None


class TokenMade(View):
    """A new token; its text is told only here."""

    id: int
    token: str


class CodeMade(View):
    """A code that signs a browser in, once; `path` is where."""

    code: str
    path: str
    expires: str


class Revoked(View):
    """The number of a token that opens nothing any more."""

    id: int


class ShareOf(View):
    """Of what a weight or caps were set or forgotten."""

    kind: str
    name: str
