"""Sockets for people's browsers: a port that is chosen freely is one that browsers open."""

from __future__ import annotations

import socket

BLOCKED = frozenset((
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110,
    111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532,
    540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061,
    6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
))  # fmt: skip
"""Ports that no browser opens: the bad ports of the Fetch standard (https://fetch.spec.whatwg.org/#bad-port)."""


def bound(host: str, port: int) -> socket.socket:
    """Return a TCP socket with an address, which does not listen yet; of port 0 with a free port that browsers open.

    Raises `OSError` or `OverflowError`.
    """
    passed: list[socket.socket] = []
    try:
        while True:
            found = _bound(host, port)
            if port or found.getsockname()[1] not in BLOCKED:
                return found
            passed.append(found)  # kept until another is found, so that it is not given again
    finally:
        for sock in passed:
            sock.close()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
    except (OSError, OverflowError):
        found.close()
        raise
    return found
