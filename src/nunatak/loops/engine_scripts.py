"""Carries what an engine submitted to the server, so that people can read it: once for an attempt, equal ones together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from nunatak.client.engine import EngineClient, Key
from nunatak.core.errors import Invalid
from nunatak.engines.keys import key_of
from nunatak.engines.protocol import Engine, Handle, ShowsScripts

MOST = 1000
"""Attempts whose script is asked for in one round, and sent in one request."""


class ScriptCarrier:
    """Knows whose script was sent. After a restart all are sent again."""

    def __init__(self, engine: Engine, server: EngineClient) -> None:
        """Begin with nothing to carry; of an engine that shows nothing there never is."""
        self._engine = engine if isinstance(engine, ShowsScripts) else None
        self._server = server
        self._due: dict[Key, Handle] = {}
        self._last: dict[Key, Handle] = {}  # of those that ended
        self._sent: set[Key] = set()

    def follow(self, handles: Iterable[Handle]) -> None:
        """Carry the scripts of attempts as soon as there are any."""
        if self._engine:
            self._due.update({key: handle for handle in handles if (key := key_of(handle)) not in self._sent})

    def end(self, handles: Iterable[Handle]) -> None:
        """Carry what there is of attempts that ended, and forget them then."""
        for key in map(key_of, handles if self._engine else ()):
            handle = self._due.pop(key, None)
            if handle:
                self._last[key] = handle
            self._sent.discard(key)

    def carry(self) -> None:
        """Send scripts of attempts that were submitted meanwhile. Raises `Unavailable`; then they are sent again."""
        while self._last:
            ending = list(self._last.values())[:MOST]
            self._send(ending)
            for handle in ending:
                del self._last[key_of(handle)]
        asked = [self._due.pop(key) for key in list(self._due)[:MOST]]
        self._due.update({key_of(handle): handle for handle in asked})  # those that are not submitted yet come last
        for key in self._send(asked):
            del self._due[key]
            self._sent.add(key)

    def _send(self, handles: Sequence[Handle]) -> list[Key]:
        """Send what there is, and return whose it was."""
        found = []
        for script in self._engine.scripts(handles) if self._engine and handles else ():
            keys = [key_of(handle) for handle in script.handles]
            with suppress(Invalid):  # one that the server does not take must not keep back the others
                self._server.scripts(script.text, keys)
            found += keys
        return found
