"""One connection to a server: requests, their errors, tries again where that is safe, pages and event streams."""

from __future__ import annotations

import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx2

from nunatak import __version__
from nunatak.client.problems import error_of
from nunatak.core.address import Address
from nunatak.core.errors import Invalid, Unavailable

API = "/api/v1"
PAGE = 1000
"""Items asked for in one page."""


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
        """Prepare; nothing is sent yet. Raises `Invalid` for what is no URL of a server."""
        self.url = url.rstrip("/")
        if not self.url.startswith(("http://", "https://")):
            raise Invalid(
                f"{url!r} is not the address of a server", code="bad-url", hint="write it as http://HOST:PORT"
            )
        self.patience, self._sleep = patience, sleep
        headers = {"User-Agent": f"nunatak/{__version__}", "Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            self._http = httpx2.Client(
                base_url=self.url,
                headers=headers,
                timeout=httpx2.Timeout(timeout, connect=5.0),
                transport=transport,
                # Without TLS no certificates are read, which takes longer than a request.
                verify=True if self.url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            )
        except (httpx2.InvalidURL, ValueError) as error:
            raise Invalid(f"{url!r} is not the address of a server: {error}", code="bad-url") from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

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
        content: Any = None,
        headers: Mapping[str, str] | None = None,
        again: bool = True,
    ) -> httpx2.Response:
        """Send one request and return the answer, which is a success. Raises the errors of `core.errors`."""
        params = {name: value for name, value in (query or {}).items() if value is not None}

        def once() -> httpx2.Response:
            with self._reaching():
                body = content() if callable(content) else content
                return self._http.request(method, path, params=params, json=json, content=body, headers=headers)

        return self._tried(lambda: self._success(once()), again)

    def _success(self, response: httpx2.Response) -> httpx2.Response:
        if response.is_success or response.status_code == httpx2.codes.NOT_MODIFIED:
            return response
        raise error_of(response.status_code, response.read())

    def _tried(self, action: Callable[[], httpx2.Response], again: bool) -> httpx2.Response:
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

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except httpx2.TransportError as error:
            raise self._unreached(error) from error
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise Invalid(f"{self.url} cannot be used: {error}", code="bad-url") from None

    def _unreached(self, error: Exception) -> Unavailable:
        reason = str(error) or type(error).__name__
        return Unavailable(
            f"no answer from {self.url}: {reason}",
            code="no-connection",
            hint="is the server running? `nunatak up` starts one on this machine, `nunatak login URL` chooses another",
        )

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

    @contextmanager
    def stream(self, path: str, *, headers: Mapping[str, str] | None = None, **query: Any) -> Iterator[httpx2.Response]:
        """Open an answer whose bytes are read bit by bit. Raises the errors of `core.errors`, also while reading."""
        params = {name: value for name, value in query.items() if value is not None}
        with self._reaching(), self._http.stream("GET", path, params=params, headers=headers) as response:
            yield self._success(response)

    def events(self, path: str) -> Iterator[tuple[str, Any]]:
        """Yield (event, data) of an event stream until it ends. Raises `Unavailable` if it breaks off."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        with self.stream(path, headers=headers) as response:
            for event in httpx2.EventSource(response):
                yield event.event, event.json() if event.data else None
