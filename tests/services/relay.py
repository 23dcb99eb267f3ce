"""A bad way to a server: a relay on loopback that is slow, stalls when told to, and now and then breaks a connection off."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random


class Relay:
    """Passes bytes on to a port of loopback, `least` to `delay` seconds late; with `chance` it resets both sides instead."""

    def __init__(self, target: int, *, seed: int, delay: float, chance: float, least: float = 0.0) -> None:
        """Listen on a free port."""
        self._target, self._random = target, Random(seed)
        self._chance = chance
        self.least, self.delay = least, delay
        """Seconds by which each piece is late, one way; may be changed at any time."""
        self._open = threading.Event()
        self._open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.broken = 0
        """How many connections it broke off."""
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Let nothing through for a while; nothing of it is lost."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target), 10)
            except OSError:
                caller.close()
                continue
            for source, sink in ((caller, server), (server, caller)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                time.sleep(self.least + (self.delay - self.least) * self._random.random())
                self._open.wait()
                if self._random.random() < self._chance:
                    self.broken += 1
                    for end in (source, sink):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
