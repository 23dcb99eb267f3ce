"""How a server process tells whoever keeps it running that it is ready, well, and about to end.

To systemd by the protocol of sd_notify(3), to probes that can only run a command by the age of a file. Without either: nothing.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path

from nunatak.core.clock import Clock

SELDOM = 5.0
"""Seconds between two signs of life, unless systemd wants them more often."""


class Wellness:
    """One process's way to say how it is. `alive` may be called as often as one likes, from one thread."""

    def __init__(
        self, environ: MutableMapping[str, str], file: Path | None = None, monotonic: Clock = time.monotonic
    ) -> None:
        """Take the address of systemd out of `environ`, so that no child speaks in our name."""
        self._address = environ.pop("NOTIFY_SOCKET", "")
        micro, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        watched = micro.isdigit() and pid in ("", str(os.getpid()))
        self._every = min(int(micro) / 3e6, SELDOM) if watched else SELDOM
        self._watched, self._file, self._monotonic = watched, file, monotonic
        self._said = float("-inf")

    def ready(self) -> None:
        """Say that work can be given to this process."""
        self._tell("READY=1")
        self.alive()

    def alive(self) -> None:
        """Give a sign of life, if the last is long enough ago."""
        now = self._monotonic()
        if now - self._said < self._every:
            return
        self._said = now
        if self._watched:
            self._tell("WATCHDOG=1")
        if self._file:
            with suppress(OSError):  # a full or read-only disk is told by the probe that finds the file old
                self._file.touch()

    def stopping(self) -> None:
        """Say that this process is on its way out."""
        self._tell("STOPPING=1")

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto(state.encode(), address)
