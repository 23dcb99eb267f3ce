"""Carries logs from an engine to the server: bit by bit while attempts run, and whole before an end is acknowledged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nunatak.client.engine import EngineClient, Key, Part
from nunatak.core.errors import Invalid
from nunatak.engines.protocol import Engine, Handle, HeedsLooks, LogPart, ShowsScripts
from nunatak.loops.engine_courses import COURSE
from nunatak.loops.engine_scripts import ScriptCarrier
from nunatak.loops.engine_using import Using

NOTHING = {"stdout": 0, "stderr": 0}
"""Bytes sent of each stream, of an attempt of which nothing was sent yet."""
MOST = 3_000_000
"""Bytes sent in one request, about; base64 makes them a third longer."""
MOST_FOLLOWED = 200
"""Running attempts looked at in one round; with more, they take turns. Those that wait, in series mostly, have no turn."""
MOST_FINISHED = 1000
"""Ended attempts whose logs are completed in one round."""


class LogCarrier:
    """Knows how far each log was sent. After a restart all is sent again, and the server leaves out what it has."""

    def __init__(self, engine: Engine, server: EngineClient) -> None:
        """Begin with nothing to carry."""
        self._engine, self._server = engine, server
        self._sent: dict[Key, dict[str, int]] = {}  # of those of which something was sent
        self._running: dict[Key, None] = {}
        self._ended: dict[Key, None] = {}
        self._scripts = ScriptCarrier(engine, server)
        self._shows = isinstance(engine, ShowsScripts)  # then the server keeps something of silent attempts as well
        self._courses: dict[Key, bytes] = {}  # what was used over time, of those that ended
        self._whole: set[Key] = set()  # complete, and not forgotten by the engine yet
        self._looked: tuple[Key, ...] = ()  # what somebody reads
        self._using = Using(engine)

    def follow(self, handles: Iterable[Handle]) -> None:
        """Carry once what was submitted for attempts."""
        self._scripts.follow(list(handles))

    def begin(self, handles: Iterable[Handle]) -> None:
        """Carry the logs of attempts that run from now on."""
        for handle in handles:
            key = handle.address, handle.lease
            if key not in self._ended and key not in self._whole:
                self._running[key] = None

    def end(self, handles: Iterable[Handle]) -> None:
        """Complete the logs of attempts: no more will be written to them."""
        handles = list(handles)
        self._scripts.end(handles)
        for handle in handles:
            key = handle.address, handle.lease
            if key in self._whole:
                continue
            self._running.pop(key, None)
            self._ended[key] = None

    def courses(self, found: Mapping[Key, bytes]) -> None:
        """Send what attempts used over time with what is missing of their logs."""
        self._courses.update((key, data) for key, data in found.items() if key not in self._whole)

    def look(self, keys: tuple[Key, ...]) -> None:
        """Carry first what somebody reads, and have the engine see to it."""
        if keys != self._looked:
            self._looked = keys
            if isinstance(self._engine, HeedsLooks):
                self._engine.look(keys)

    def forget(self) -> None:
        """Forget the attempts that the engine forgets now."""
        self._whole.clear()

    @property
    def behind(self) -> bool:
        """Tell whether logs of ended attempts have to be completed."""
        return bool(self._ended)

    def carry(self, *, live: bool = True) -> bool:
        """Send what is new, at most about `MOST` bytes; tell whether there may be more right now.

        Without `live`, only of attempts that ended. Raises `Unavailable`; then nothing is lost, and the same is sent again
        next time.
        """
        self._scripts.carry()
        ending = list(self._ended)[:MOST_FINISHED]
        followed = self._turn() if live else []
        parts, rest = self._read(ending, followed)
        courses = [Part(*key, COURSE, 0, self._courses[key]) for key in ending if key in self._courses]
        whole = [key for key in ending if key not in rest]
        written = {(part.address, part.lease) for part in (*parts, *courses)}
        over = [key[0] for key in whole if self._shows or key in written or key in self._sent]
        using = self._using.parts([key for key in self._looked if key in self._running]) if live else []
        if parts or over or using:
            self._send([*courses, *using, *parts], over)
        for part in parts:
            sent = self._sent.setdefault((part.address, part.lease), dict(NOTHING))
            sent[part.stream] = part.offset + len(part.data)
        for key in whole:
            del self._ended[key]
            self._sent.pop(key, None)
            self._courses.pop(key, None)
            self._whole.add(key)
        return bool(self._ended)

    def _turn(self) -> list[Key]:
        """Return the running attempts that somebody reads and those whose turn it is, and put these last."""
        keys = list(self._running)[:MOST_FOLLOWED]
        if len(self._running) > MOST_FOLLOWED:
            for key in keys:
                self._running[key] = self._running.pop(key)
            keys = list(dict.fromkeys([*(key for key in self._looked if key in self._running), *keys]))
        return keys

    def _read(self, ending: Sequence[Key], followed: Sequence[Key]) -> tuple[list[Part], set[Key]]:
        """Read new bytes, of ended attempts to the end if possible; return them, and which ended ones have more."""
        parts: list[Part] = []
        size, rest, asked = 0, set(ending), [*ending, *followed]
        ahead = {key: dict(self._sent[key]) for key in asked if key in self._sent}  # most have written nothing yet
        while asked and size < MOST:
            found = [_part(item) for item in self._engine.logs(_offsets(asked, ahead))]
            for part in found:
                ahead.setdefault((part.address, part.lease), dict(NOTHING))[part.stream] += len(part.data)
                size += len(part.data)
            parts += found
            more = {(part.address, part.lease) for part in found}
            rest &= more | (rest - set(asked))
            asked = [key for key in ending if key in more]
        return parts, rest

    def _send(self, parts: Sequence[Part], finished: Sequence[str]) -> None:
        try:
            self._server.logs(parts, finished)
        except Invalid:
            # One that the server does not take must not keep back the others, or its attempt's end.
            for part in parts:
                self._send_alone([part], [])
            for address in finished:
                self._send_alone([], [address])

    def _send_alone(self, parts: Sequence[Part], finished: Sequence[str]) -> None:
        try:
            self._server.logs(parts, finished)
        except Invalid:
            return


def _offsets(keys: Iterable[Key], ahead: dict[Key, dict[str, int]]) -> dict[tuple[str, str, str], int]:
    return {(*key, stream): offset for key in keys for stream, offset in ahead.get(key, NOTHING).items()}


def _part(item: LogPart) -> Part:
    return Part(item.handle.address, item.handle.lease, item.stream, item.offset, item.data)
