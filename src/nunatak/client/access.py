"""Who one is, tokens, and the way into a browser."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nunatak.client.connected import Connected
from nunatak.client.connection import API, fresh_key
from nunatak.client.results import Token, Who


class Access(Connected):
    """Verbs of identity."""

    def whoami(self) -> Who:
        """Return whom the server takes us for."""
        return Who.of(self._to.get(f"{API}/whoami"))

    def tokens(self) -> Iterator[Token]:
        """Yield the tokens one may see, without their secrets."""
        return (Token.of(row) for row in self._to.pages(f"{API}/tokens"))

    def create_token(
        self, name: str, scopes: Sequence[str], *, days: float | None = None, principal: str | None = None
    ) -> Token:
        """Make a token called `name` that speaks for `principal` (oneself, if not given).

        Its secret is in the answer and can never be read again. Without `days` it lives as long as the server says.
        """
        more = {"days": days, "principal": principal}
        body = {
            "name": name,
            "scopes": list(scopes),
            **{key: value for key, value in more.items() if value is not None},
        }
        plain = self._to.post(f"{API}/tokens", body, key=fresh_key())
        return Token.of({"name": name, "scopes": list(scopes), **plain})

    def sign_in_url(self) -> str:
        """Return an address that signs a browser in as oneself, once and within ten minutes."""
        return f"{self.url}{self._to.post(f'{API}/sign-in-codes', {})['path']}"

    def revoke_token(self, token: int | str) -> None:
        """Make a token worthless."""
        self._to.request("DELETE", f"{API}/tokens/{token}")
