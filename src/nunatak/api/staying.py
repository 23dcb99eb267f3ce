"""Whether whoever watches a stream may still: a token that ends, ends what it opened, however much there is to tell."""

from __future__ import annotations

import asyncio

from fastapi import Request

from nunatak.accounts.tokens import Verifier
from nunatak.api.guard import verified
from nunatak.api.requests import services_of
from nunatak.core.errors import NunatakError, Refused


class Staying:
    """One watcher; asks anew for the token that opened the door, no more often than there are signs of life."""

    def __init__(self, request: Request) -> None:
        """Begin with somebody who was let in just now."""
        services = services_of(request)
        self._verifier: Verifier = services.tokens
        self._seconds = services.limits.keep_alive
        self._digest: str = request.scope["nunatak.digest"]
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + self._seconds

    async def holds(self) -> bool:
        """Tell whether the token still holds; a database that is away is no reason to end anything."""
        now = self._loop.time()
        if now < self._due:
            return True
        self._due = now + self._seconds
        try:
            await verified(self._verifier, self._digest)
        except NunatakError as error:
            return not isinstance(error, Refused)
        return True
