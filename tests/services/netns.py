"""A network of its own behind a cable that can be cut: a network namespace and a pair of virtual Ethernet devices."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import ClassVar

from tests.services import apt

WRONG = "02:00:00:00:00:01"
"""A hardware address that nobody has: frames to it are lost without a word."""


def _ip(*words: str) -> None:
    done = subprocess.run(("ip", *words), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr}")


def install() -> None:
    """Install `ip`. Raises `RuntimeError` where that is not possible."""
    apt.install(("iproute2",), lambda: bool(shutil.which("ip")))


@dataclass(frozen=True)
class Cable:
    """A namespace, with an address at this end and one at the other; nothing else can be reached by it."""

    name: str
    here: str
    there: str

    _numbers: ClassVar[itertools.count[int]] = itertools.count()

    @classmethod
    def lay(cls) -> Cable:
        """Make the namespace and the cable. Needs root."""
        install()
        number = next(cls._numbers)
        place = (os.getpid() * 4 + number * 4_000_000) % 4_000_000  # of its own for each test process, /30
        base = f"10.{192 + place // 65536}.{place // 256 % 256}"
        made = cls(f"nk{os.getpid()}-{number}", f"{base}.{place % 256 + 1}", f"{base}.{place % 256 + 2}")
        _ip("netns", "add", made.name)
        try:
            _ip("link", "add", made.near, "type", "veth", "peer", "name", "far", "netns", made.name)
            _ip("addr", "add", f"{made.here}/30", "dev", made.near)
            _ip("-n", made.name, "addr", "add", f"{made.there}/30", "dev", "far")
            _ip("link", "set", made.near, "up")
            _ip("-n", made.name, "link", "set", "far", "up")
            _ip("-n", made.name, "link", "set", "lo", "up")
        except BaseException:
            made.remove()
            raise
        return made

    @property
    def near(self) -> str:
        """The device at this end."""
        return self.name

    @property
    def inside(self) -> tuple[str, ...]:
        """What stands before a command that is to run at the other end."""
        return ("ip", "netns", "exec", self.name)

    def cut(self) -> None:
        """Cut it so that the other end notices: there is no way."""
        _ip("-n", self.name, "link", "set", "far", "down")

    def lose(self) -> None:
        """Lose everything that is sent, both ways, without a word to anybody."""
        _ip("neigh", "replace", self.there, "lladdr", WRONG, "dev", self.near, "nud", "permanent")
        _ip("-n", self.name, "neigh", "replace", self.here, "lladdr", WRONG, "dev", "far", "nud", "permanent")

    def mend(self) -> None:
        """Make it whole again."""
        _ip("-n", self.name, "link", "set", "far", "up")
        _ip("neigh", "replace", self.there, "lladdr", WRONG, "dev", self.near, "nud", "stale")
        _ip("neigh", "flush", "dev", self.near)
        _ip("-n", self.name, "neigh", "flush", "dev", "far", "nud", "permanent")

    def remove(self) -> None:
        """Remove the namespace, and with it the cable."""
        _ip("netns", "del", self.name)
