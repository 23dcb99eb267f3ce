"""An installation of several processes: servers, loops and engines, each killed, ended and started again on its own."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text

from nunatak.core.errors import NunatakError
from nunatak.loops.up import write_secret
from tests.services.ports import free_port
from tests.story.installation import Installation, installation, until


@dataclass
class Parts:
    """The processes by name: api-1, api-2, loops-1, engines by their names."""

    house: Installation
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    variables: dict[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def token_file(self) -> Path:
        """Where the engines find their token."""
        return self.house.data / "engine.token"

    def api(self, *names: str) -> None:
        """Start servers, each on a port that stays the same, and wait until all answer."""
        ports = {name: free_port() for name in names}
        self.house.addresses = ",".join(f"http://127.0.0.1:{port}" for port in ports.values())
        for name, port in ports.items():
            self.words[name] = ("serve", "api", "--local", "--port", str(port))
            self.start(name)
        for port in ports.values():
            until(lambda port=port: self._answers(port), "the servers")  # type: ignore[misc]

    def _answers(self, port: int) -> bool:
        from nunatak.client import Client

        token = self.house.data / "token"
        try:
            with Client(f"http://127.0.0.1:{port}", token.read_text().strip(), patience=0.0) as client:
                return bool(client.whoami())
        except (NunatakError, OSError):
            return False

    def loops(self, *names: str) -> None:
        """Start maintenance loops."""
        for name in names:
            self.words[name] = ("serve", "loops")
            self.start(name)

    def give_token(self) -> None:
        """Put a fresh token where the engines find it."""
        with self.house.client() as client:
            write_secret(self.token_file, client.create_token("engines", ["engine"], days=1).token or "")

    def engine(self, name: str, *more: str, place: str = "", start: bool = True, **variables: str) -> None:
        """Start an engine with a data directory of its own."""
        if not self.token_file.exists():
            self.give_token()
        place = place or name
        (self.house.data / place).mkdir(exist_ok=True)
        self.words[place] = ("serve", "engine", name, "--cores", "2", "--memory", "8 GB", *more)
        known = {"NUNATAK_URL": self.house.url, "NUNATAK_TOKEN_FILE": str(self.token_file)}
        self.variables[place] = {**known, **variables}
        if start:
            self.start(place)

    def start(self, name: str, command: Sequence[str] | None = None) -> subprocess.Popen[bytes]:
        """Start one of them, again or for the first time; `command` stands before its words in place of `nunatak`."""
        data = self.house.data / name if name in self.variables else None
        variables = dict(self.variables.get(name, {}))
        self.running[name] = self.house.spawn(
            *self.words[name], log=f"{name}.log", data=data, variables=variables, command=command
        )
        return self.running[name]

    def kill(self, *names: str) -> None:
        """Kill -9."""
        for name in names:
            self.running[name].kill()
        for name in names:
            self.running[name].wait(120)

    def end(self, name: str) -> int:
        """End one politely and return its exit code."""
        self.running[name].send_signal(signal.SIGTERM)
        return self.running[name].wait(120)

    def keep_up(self) -> None:
        """Start again what ended, as a service manager does."""
        for name, process in list(self.running.items()):
            if process.poll() is not None:
                self.start(name)

    def talk(self, name: str) -> str:
        """Return what one of them said so far."""
        return self.house.talk(f"{name}.log")

    def leaders(self, *loops: str) -> dict[str, str]:
        """Return who leads each loop."""
        with self.house.database() as opened, opened.read() as tx:
            rows = tx.execute(text("SELECT loop, holder FROM leaders")).all()
        return {row.loop: row.holder for row in rows if not loops or row.loop in loops}


@contextmanager
def parts(data: Path, **settings: str) -> Iterator[Parts]:
    """An installation of which nothing runs yet, and nothing will afterwards."""
    with installation(data, start=False, **settings) as house:
        made = Parts(house)
        yield made
