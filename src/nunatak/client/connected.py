"""What the groups of verbs of the client have in common: a connection to one server."""

from __future__ import annotations

from collections.abc import Callable

from nunatak.client.connection import Connection


class Connected:
    """Something that asks a server."""

    url: str
    _to: Connection
    _sleep: Callable[[float], None]
