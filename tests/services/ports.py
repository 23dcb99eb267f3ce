"""Ports of loopback for servers that have to be told theirs before they start."""

from __future__ import annotations

import atexit
import socket

_held: list[socket.socket] = []
"""What keeps the ports of this process: bound, so that nobody else is given them, and not listening, so that a server may."""


def free_port() -> int:
    """Return a TCP port of loopback that nobody listens on, and that nobody who wants any port is given while this process lives.

    A server can have it that sets `SO_REUSEADDR`, as all do that are to be started again at once.
    """
    if not _held:
        atexit.register(_let_go)
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    _held.append(held)
    return int(held.getsockname()[1])


def _let_go() -> None:
    for held in _held:
        held.close()
