"""What attempts use while they run, of those that somebody looks at: sent beside the logs, when it changed."""

from __future__ import annotations

from collections.abc import Sequence

from nunatak.client.engine import Key, Part
from nunatak.core.using import STREAM, read_using, text_of
from nunatak.engines.protocol import Engine, TellsUse


class Using:
    """What was sent of whom. After a restart it is sent again."""

    def __init__(self, engine: Engine) -> None:
        """Begin with nothing sent."""
        self._engine = engine if isinstance(engine, TellsUse) else None
        self._sent: dict[Key, bytes] = {}

    def parts(self, keys: Sequence[Key]) -> list[Part]:
        """Return what is new of some running attempts; of others it is forgotten what was sent."""
        found = self._engine.using(keys) if self._engine and keys else {}
        texts = {key: text_of(using) for key, data in found.items() if (using := read_using(data)) is not None}
        new = [Part(*key, STREAM, 0, text) for key, text in texts.items() if self._sent.get(key) != text]
        self._sent = texts
        return new
