"""Requests of every kind with httpx2: TLS, proxies, files, answers read bit by bit, event streams."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx2

from nunatak.client.problems import Answer, succeeded, unreached, unusable


class Full:
    """Requests to one server; safe to use from several threads."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        connect: float,
        timeout: float,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """Prepare; nothing is sent yet. `connect` and `timeout` are seconds. Raises `Invalid` for what is no URL."""
        self._url = url
        try:
            self._http = httpx2.Client(
                base_url=url,
                headers=headers,
                timeout=httpx2.Timeout(timeout, connect=connect),
                transport=transport,
                # Without TLS no certificates are read, which takes longer than a request.
                verify=True if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            )
        except (httpx2.InvalidURL, ValueError) as error:
            raise unusable(url, error) from None

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Answer:
        """Send one request, `body` as JSON or `content` as it is, and read the answer whole. Raises as `stream`."""
        with self._reaching():
            found = self._http.request(method, path, params=query, json=body, content=content, headers=headers)
            return Answer(found.status_code, found.content)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @contextmanager
    def stream(
        self, path: str, query: Mapping[str, Any], headers: Mapping[str, str] | None
    ) -> Iterator[httpx2.Response]:
        """Open an answer whose bytes are read bit by bit. Raises the errors of `core.errors`, also while reading."""
        with self._reaching(), self._http.stream("GET", path, params=query, headers=headers) as response:
            if not response.is_success:
                succeeded(Answer(response.status_code, response.read()))
            yield response

    def events(self, path: str, headers: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
        """Yield (event, data) of an event stream until it ends. Raises `Unavailable` if it breaks off."""
        headers = {**headers, "Accept": "text/event-stream", "Cache-Control": "no-store"}
        with self.stream(path, {}, headers) as response:
            for event in httpx2.EventSource(response):
                yield event.event, event.json() if event.data else None

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except httpx2.TransportError as error:
            raise unreached(self._url, error) from error
        except httpx2.InvalidURL as error:
            raise unusable(self._url, error) from None
