"""The ways to one address of a server: short requests by the standard library, whatever else there is by httpx2."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nunatak.client.brief import Brief, suits
from nunatak.client.problems import Answer

if TYPE_CHECKING:
    import httpx2

    from nunatak.client.full import Full


class Ways:
    """Sends to one address; safe to use from several threads. `connect` and `timeout` are seconds."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        connect: float,
        timeout: float,
        transport: httpx2.BaseTransport | None,
    ) -> None:
        """Prepare; nothing is sent yet. Raises `Invalid` for what is no URL of a server."""
        self.url, self._headers = url, headers
        self._connect, self._timeout, self._transport = connect, timeout, transport
        self._made: Full | None = None
        self._making = threading.Lock()
        self._brief: Brief | None = None
        if transport is None and suits(url, os.environ):
            self._brief = Brief(url, headers, connect, timeout)
        else:
            self.full()

    def full(self) -> Full:
        """Return the way for everything; httpx2 is loaded when it is first gone, as it takes longer than a command."""
        with self._making:
            if self._made is None:
                from nunatak.client.full import Full

                self._made = Full(self.url, self._headers, self._connect, self._timeout, self._transport)
            return self._made

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        json: Any,
        headers: Mapping[str, str],
        content: bytes | None,
    ) -> Answer:
        """Send one request and read the answer whole. Raises `Unavailable` if there is none."""
        if self._brief:
            return self._brief.send(method, path, query, json, headers, content)
        return self.full().send(method, path, query, json, headers, content)

    def close(self) -> None:
        """Close the connections."""
        for way in (self._brief, self._made):
            if way:
                way.close()
