"""One connection to a server: requests, their errors, tries again where that is safe, pages and event streams."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from nunatak import __version__
from nunatak.client.brief import Brief, suits
from nunatak.client.problems import Answer, succeeded
from nunatak.core.address import Address
from nunatak.core.errors import Invalid, Unavailable

if TYPE_CHECKING:
    import httpx2

    from nunatak.client.full import Full

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

    `patience` is for how many seconds a request that may be repeated is tried again while the server cannot be
    reached or says it is unavailable. `transport` stands in for the network in tests.
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
    ) -> None:
        """Prepare; nothing is sent yet. Raises `Invalid` for what is no URL of a server, or no token."""
        self.url = url.rstrip("/")
        if not self.url.startswith(("http://", "https://")):
            raise Invalid(
                f"{url!r} is not the address of a server", code="bad-url", hint="write it as http://HOST:PORT"
            )
        if not (token.isascii() and token.isprintable()):
            raise Invalid("the token has letters that no token has", code="bad-token", hint="`nunatak login` saves one")
        self.patience, self._sleep = patience, sleep
        self._timeout, self._transport = timeout, transport
        self._headers = {"User-Agent": f"nunatak/{__version__}", "Accept": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._made: Full | None = None
        self._making = threading.Lock()
        self._brief: Brief | None = None
        if transport is None and suits(self.url, os.environ):
            self._brief = Brief(self.url, self._headers, CONNECT_SECONDS, timeout)
        else:
            self._full()

    def _full(self) -> Full:
        """Return the way for everything; httpx2 is loaded when it is first gone, as it takes longer than a command."""
        with self._making:
            if self._made is None:
                from nunatak.client.full import Full

                self._made = Full(self.url, self._headers, CONNECT_SECONDS, self._timeout, self._transport)
            return self._made

    def close(self) -> None:
        """Close the connections."""
        for way in (self._brief, self._made):
            if way:
                way.close()

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
            if self._brief and content is None:
                return succeeded(self._brief.send(method, path, given, json, headers))
            return succeeded(self._full().send(method, path, given, json, headers, content))

        return self._tried(once, again)

    def _tried(self, action: Callable[[], Answer], again: bool) -> Answer:
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
        return self._full().stream(path, _given(query), headers)

    def events(self, path: str) -> Iterator[tuple[str, Any]]:
        """Yield (event, data) of an event stream until it ends. Raises `Unavailable` if it breaks off."""
        return self._full().events(path)


def _given(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}
