"""One connection to a server, at one address or at the next of several: requests, their errors, tries again where that
is safe, pages and event streams."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from nunatak import __version__
from nunatak.client.problems import TOKEN_CODES, Answer, succeeded
from nunatak.client.ways import Ways
from nunatak.core.address import Address
from nunatak.core.errors import Invalid, NunatakError, Refused, Unavailable

if TYPE_CHECKING:
    import httpx2

API = "/api/v1"
PAGE = 1000
"""Items asked for in one page."""
CONNECT_SECONDS = 5.0


def path_of(route: str, address: Address) -> str:
    """Return the path of a route that ends with an address."""
    return f"{API}/{route}/{quote(str(address), safe='/')}"


def fresh_key() -> str:
    """Return an idempotency key: the same request may be sent twice with it and is done once."""
    return uuid.uuid4().hex


class Connection:
    """Speaks JSON with one server; safe to use from several threads.

    `url` may name several addresses of it, separated by commas: the next one is taken when one cannot be reached.
    `patience` is for how many seconds a request that may be repeated is tried again while the server cannot be
    reached or says it is unavailable. `renew` returns the token as it is now: it is asked when the server does not take
    the one it was shown. `transport` stands in for the network in tests.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        patience: float = 5.0,
        timeout: float = 60.0,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        renew: Callable[[], str] | None = None,
    ) -> None:
        """Prepare; nothing is sent yet. Raises `Invalid` for what is no URL of a server, or no token."""
        self.patience, self._sleep, self._renew = patience, sleep, renew
        self._token = _checked(token)
        headers = {"User-Agent": f"nunatak/{__version__}", "Accept": "application/json"}
        self._ways = [Ways(one, headers, CONNECT_SECONDS, timeout, transport) for one in addresses(url)]
        self._at = 0

    @property
    def url(self) -> str:
        """Return the address in use."""
        return self._ways[self._at].url

    def close(self) -> None:
        """Close the connections."""
        for ways in self._ways:
            ways.close()

    # ---- requests

    def get(self, path: str, **query: Any) -> Any:
        """Read JSON."""
        return self.request("GET", path, query=query).json()

    def post(self, path: str, body: Mapping[str, Any], *, again: bool = True, key: str = "") -> Any:
        """Send JSON and read the answer; `again` says that it may be sent twice, `key` makes sure it is done once."""
        headers = {"Idempotency-Key": key} if key else {}
        return self.request("POST", path, json=body, headers=headers, again=again).json()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        again: bool = True,
    ) -> Answer:
        """Send one request and return the answer, which is a success. Raises the errors of `core.errors`."""
        given = _given(query or {})

        def once() -> Answer:
            at = self._at
            try:
                more = {**self._shown(), **(headers or {})}
                return succeeded(self._ways[at].send(method, path, given, json, more, content))
            except Unavailable:
                self._at = (at + 1) % len(self._ways)
                raise

        return self._tried(lambda: self._known(once), again)

    def _shown(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def _known(self, action: Callable[[], Answer]) -> Answer:
        """Do something; once more if the server does not take the token and there is another by now."""
        try:
            return action()
        except Refused as error:
            token = self._fresh_token() if error.code in TOKEN_CODES else ""
            if not token or token == self._token:
                raise
            self._token = _checked(token)
        return action()

    def _fresh_token(self) -> str:
        try:
            return self._renew() if self._renew else ""
        except NunatakError:
            return ""  # what the server said of the one before is more to the point

    def _tried(self, action: Callable[[], Answer], again: bool) -> Answer:
        for _ in self._ways:
            try:
                return action()
            except Unavailable:
                if not again or self.patience <= 0:
                    raise
        # Imported here since it costs a third of the time a command takes, and is rarely needed.
        from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

        tries = Retrying(
            stop=stop_after_delay(self.patience),
            wait=wait_random_exponential(0.1, max=2.0),
            retry=retry_if_exception_type(Unavailable),
            sleep=self._sleep,
            reraise=True,
        )
        return tries(action)

    # ---- more than one answer

    def pages(self, path: str, *, limit: int | None = None, **query: Any) -> Iterator[dict[str, Any]]:
        """Yield the items of a list, page after page as they are needed; at most `limit`."""
        left, after = limit, None
        while left is None or left > 0:
            page = self.get(path, limit=PAGE if left is None else min(left, PAGE), after=after, **query)
            yield from page["items"]
            left = None if left is None else left - len(page["items"])
            after = page.get("next")
            if after is None:
                return

    def stream(
        self, path: str, *, headers: Mapping[str, str] | None = None, **query: Any
    ) -> AbstractContextManager[httpx2.Response]:
        """Open an answer whose bytes are read bit by bit. Raises the errors of `core.errors`, also while reading."""
        return self._ways[self._at].full().stream(path, _given(query), {**self._shown(), **(headers or {})})

    def events(self, path: str) -> Iterator[tuple[str, Any]]:
        """Yield (event, data) of an event stream until it ends. Raises `Unavailable` if it breaks off."""
        at = self._at
        try:
            yield from self._ways[at].full().events(path, self._shown())
        except Unavailable:
            self._at = (at + 1) % len(self._ways)
            raise


def addresses(url: str) -> list[str]:
    """Return the addresses that a text names, separated by commas. Raises `Invalid` for what is none."""
    found = [part.strip().rstrip("/") for part in url.split(",")]
    for one in found:
        if not one.startswith(("http://", "https://")):
            raise Invalid(
                f"{one!r} is not the address of a server", code="bad-url", hint="write it as http://HOST:PORT"
            )
    return found


def _checked(token: str) -> str:
    if not (token.isascii() and token.isprintable()):
        raise Invalid("the token has letters that no token has", code="bad-token", hint="`nunatak login` saves one")
    return token


def _given(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}
