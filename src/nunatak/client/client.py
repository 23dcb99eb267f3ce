"""The client: the verbs of the command line as typed methods, by duty. `from nunatak import Client`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from nunatak.client import login
from nunatak.client.access import Access
from nunatak.client.acting import Acting
from nunatak.client.connection import Connection
from nunatak.client.looking import Looking
from nunatak.client.outputs import Outputs
from nunatak.client.recipes import Recipes
from nunatak.client.tending import Tending

if TYPE_CHECKING:
    import httpx2


class Client(Recipes, Looking, Outputs, Acting, Access, Tending):
    """A server and its verbs. Every method raises the errors of `nunatak.core.errors` and nothing else.

    Without arguments: NUNATAK_URL and NUNATAK_TOKEN, then what `nunatak login` saved, then the installation that
    `nunatak up` runs on this machine.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        patience: float = 5.0,
        environ: Mapping[str, str] | None = None,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Choose the server; nothing is sent yet. `patience`: for how many seconds an absent server is tried again."""
        environ = os.environ if environ is None else environ
        found = login.find(url, token, environ)
        self.url = found.url.rstrip("/")
        self._sleep = sleep
        self._to = Connection(
            found.url, found.token, patience=patience, transport=transport, sleep=sleep,
            renew=None if token else lambda: login.find(found.url, None, environ).token,
        )  # fmt: skip

    def __repr__(self) -> str:
        """Say which server."""
        return f"Client({self.url!r})"

    def __enter__(self) -> Self:
        """Use it in a `with` statement."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the connections."""
        self._to.close()
