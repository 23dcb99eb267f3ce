"""What an engine has of all this: what its orders say, the process that listens, and who was heard for the first time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import structlog

from nunatak.core.clock import Clock
from nunatak.engines.keys import Key
from nunatak.engines.tails.listener_order import ListenerOrder
from nunatak.engines.tails.order import key_for, secret_of
from nunatak.engines.tails.settings import LiveSettings, check

PAUSE, MOST_PAUSE = 1.0, 60.0
"""Seconds until a listener that ended is started again; they double."""
STEADY = 60.0
"""Seconds after which a listener is taken to work."""
REMEMBERED = 600.0
"""Seconds for which it is remembered who was heard, if nobody takes notice."""
MOST_WATCHED = 200
_READ = 1 << 20
_log = structlog.get_logger("nunatak.engine")


class Tails:
    """The listener of one engine, and of those that it is made of; one thread calls."""

    def __init__(self, root: Path, settings: LiveSettings, monotonic: Clock = time.monotonic) -> None:
        """Keep a secret in `root`, below which all boxes are. Nothing is listened to before `tend`.

        Raises `Invalid` or `Unavailable`.
        """
        check(settings)
        self._root, self._settings, self._monotonic = root, settings, monotonic
        self._secret_file = root / "live.key"
        self._secret = secret_of(self._secret_file)
        self._authority = settings.live_authority.read_text() if settings.live_authority else ""
        self._process: subprocess.Popen[bytes] | None = None
        self._start_at, self._pause, self._started = float("-inf"), 0.0, 0.0
        self._rest = b""
        self._heard: dict[Key, float] = {}
        self._watching: dict[int, list[str]] = {}  # by engine
        self._watched: list[str] = []

    def order(self, key: Key, box: Path) -> dict[str, Any]:
        """Return what the order of an attempt says: where to tell, and by which key."""
        place = box.relative_to(self._root).as_posix()
        settings = self._settings
        found = {"url": settings.live, "place": place, "key": key_for(self._secret, *key, place)}
        authority = {"ca": self._authority} if self._authority else {}
        return {**found, **authority, "after": settings.live_after}

    def tend(self) -> None:
        """Start the listener if it does not run, and hear what it says."""
        now = self._monotonic()
        if self._process is not None:
            self._hear(now)
            if self._process.poll() is not None:
                self._ended(now)
        if self._process is None and now >= self._start_at:
            self._start(now)

    def began(self, settled: Callable[[Key], bool]) -> None:
        """Tell which attempts were heard for the first time, again and again until they are `settled`."""
        old = self._monotonic() - REMEMBERED
        for key, at in list(self._heard.items()):
            if settled(key) or at < old:
                del self._heard[key]

    def watch(self, engine: object, boxes: Iterable[Path]) -> None:
        """Have those boxes of one engine told soon that somebody looks at."""
        self._watching[id(engine)] = [box.relative_to(self._root).as_posix() for box in boxes]
        watched = sorted(place for places in self._watching.values() for place in places)[:MOST_WATCHED]
        if watched != self._watched:
            self._watched = watched
            self._tell()

    def close(self) -> None:
        """End the listener."""
        process, self._process = self._process, None
        self._start_at = float("inf")
        if process is None:
            return
        self._let_go(process)
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self, now: float) -> None:
        settings, (host, port) = self._settings, self._settings.listens
        files = [str(path) if path else None for path in (settings.live_certificate, settings.live_private_key)]
        order = ListenerOrder(host, port, str(self._root), str(self._secret_file), settings.live_every, *files)
        try:
            self._process = process = subprocess.Popen(
                [sys.executable, "-m", "nunatak.engines.tails.listener"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # it ends when its input does, and not by what is typed at a terminal
            )
        except OSError:  # no memory or no more processes: another time
            self._start_at = now + MOST_PAUSE
            return
        assert process.stdin
        assert process.stdout
        os.set_blocking(process.stdin.fileno(), False)
        os.set_blocking(process.stdout.fileno(), False)
        self._rest, self._started = b"", now
        self._write(orjson.dumps(asdict(order)) + b"\n")
        self._tell()

    def _ended(self, now: float) -> None:
        """Note that the listener is gone; it is started again later and later, unless it worked for a while."""
        process, self._process = self._process, None
        assert process
        self._let_go(process)
        self._pause = min(max(PAUSE, 2 * self._pause), MOST_PAUSE) if now - self._started < STEADY else PAUSE
        self._start_at = now + self._pause
        _log.warning("live logs are not listened to", address=self._settings.live, code=process.returncode)

    def _let_go(self, process: subprocess.Popen[bytes]) -> None:
        for stream in (process.stdin, process.stdout):
            if stream:
                with suppress(OSError):
                    stream.close()

    def _tell(self) -> None:
        self._write(orjson.dumps({"watched": self._watched}) + b"\n")

    def _write(self, line: bytes) -> None:
        """Write a line to the listener; it is small, and what is lost with a listener is told to the next."""
        if self._process and self._process.stdin:
            with suppress(OSError):
                if os.write(self._process.stdin.fileno(), line) < len(line):
                    self._process.kill()  # it does not read: another one will

    def _hear(self, now: float) -> None:
        assert self._process
        assert self._process.stdout
        try:
            data = os.read(self._process.stdout.fileno(), _READ)
        except BlockingIOError:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            address, lease = orjson.loads(line)
            self._heard[address, lease] = now
