"""Short requests over plain HTTP with the standard library, which loads in a quarter of the time of httpx2.

Most commands say no more than this to a server; whatever else there is goes by `client.full`.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, InvalidURL
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from nunatak.client.problems import Answer, unreached, unusable

PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")


def suits(url: str, environ: Mapping[str, str]) -> bool:
    """Tell whether plain HTTP leads to a server: no TLS, no proxy, no password in the URL."""
    return url.startswith("http://") and "@" not in url and not any(environ.get(name) for name in PROXIES)


class Brief:
    """Requests to one server over connections that are kept; safe to use from several threads."""

    def __init__(self, url: str, headers: Mapping[str, str], connect: float, timeout: float) -> None:
        """Prepare; nothing is sent yet. `connect` and `timeout` are seconds. Raises `Invalid` for what is no URL."""
        try:
            parts = urlsplit(url)
            if not parts.hostname:
                raise ValueError("it names no host")
            self._host, self._port, self._base = parts.hostname, parts.port or 80, parts.path
        except ValueError as error:
            raise unusable(url, error) from None
        self._url, self._headers, self._connect, self._timeout = url, headers, connect, timeout
        self._idle: list[HTTPConnection] = []

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Answer:
        """Send one request, `body` as JSON or `content` as it is, and read the answer whole.

        Raises `Unavailable`, and `Invalid` for a URL.
        """
        target = self._base + quote(path, safe="/%:@!$&'()*+,;=") + (f"?{urlencode(query)}" if query else "")
        more, data = {**self._headers, **(headers or {})}, content
        if body is not None:
            more["Content-Type"] = "application/json"
            data = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        with self._reaching(), self._connected() as connection:
            return _exchanged(connection, method, target, data, more)

    def close(self) -> None:
        """Close the connections that wait."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (InvalidURL, UnicodeError) as error:
            raise unusable(self._url, error) from None
        except (OSError, HTTPException) as error:
            raise unreached(self._url, error) from error

    @contextmanager
    def _connected(self) -> Iterator[HTTPConnection]:
        """Lend a connection that was kept and is still open, else a new one; keep it if it can be used again."""
        connection = self._kept() or self._new()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if connection.sock:  # else the server wants no more on it
            self._idle.append(connection)

    def _kept(self) -> HTTPConnection | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if _silent(connection.sock, self._timeout):
                return connection
            connection.close()

    def _new(self) -> HTTPConnection:
        connection = HTTPConnection(self._host, self._port, timeout=self._connect)
        connection.connect()
        connection.sock.settimeout(self._timeout)
        return connection


def _exchanged(
    connection: HTTPConnection, method: str, target: str, data: bytes | None, headers: Mapping[str, str]
) -> Answer:
    cut = False
    try:
        connection.request(method, target, data, headers)
    except (BrokenPipeError, ConnectionResetError):
        cut = True  # a server that refuses a body may answer before it has heard all of it
    response = connection.getresponse()
    answer = Answer(response.status, response.read())
    if cut:
        connection.close()
    return answer


def _silent(sock: socket.socket, timeout: float) -> bool:
    """Tell whether a connection that waits is open: of a closed one there is something to read."""
    sock.setblocking(False)
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        sock.settimeout(timeout)
    return False
