"""An installation of several processes on a PostgreSQL of its own: two servers, two of loops, an engine."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from nunatak.client import Client
from nunatak.core.errors import NunatakError
from tests.services.ports import free_port
from tests.story.installation import Installation, until

STEPS = """\
name: two steps a job
jobs: {jobs}
needs: {{memory: 64 MB, disk: 64 MB, time: 10 min}}
tasks:
  one: {{shell: true, run: "echo {{job}} >> {place}/begun; echo {{job}} > a.txt", outputs: [a.txt]}}
  two: {{shell: true, run: "grep -qx {{job}} a.txt && echo {{job}} >> {place}/ended", inputs: [one/a.txt]}}
"""


@dataclass(frozen=True)
class Said:
    """What a server answered: HTTP status, headers, JSON."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


class Cluster(Installation):
    """Two servers on ports of their own; the engine knows the first, people ask either."""

    ports: tuple[int, int] = (0, 0)

    def begin(self) -> None:
        """Start everything and wait until it is known to the first server."""
        self.ports = (free_port(), free_port())
        self.port = self.ports[0]
        self.server = self.spawn("serve", "api", "--local", "--port", str(self.ports[0]), log="api0.log")
        until(self._answers, "the first server")
        self.spawn("serve", "api", "--port", str(self.ports[1]), log="api1.log")
        for number in (0, 1):
            self.spawn("serve", "loops", log=f"loops{number}.log")
        self.engine("node", "node")
        until(lambda: self.asks(1), "the second server")
        until(lambda: '"event": "registered"' in self.talk("node.log"), "the engine")

    def at(self, number: int, patience: float = 0.0) -> Client:
        """Return a client of one of the servers."""
        token = (self.data / "token").read_text().strip()
        return Client(f"http://127.0.0.1:{self.ports[number]}", token, patience=patience, environ=self.environ)

    def asks(self, number: int) -> bool:
        """Tell whether a server reads from the database."""
        try:
            with self.at(number) as client:
                return bool(list(client.engines()))
        except NunatakError:
            return False

    def raw(self, number: int, path: str, body: dict[str, Any] | None = None, **headers: str) -> Said:
        """Send a request to one of the servers, and return what it says as it is."""
        token = (self.data / "token").read_text().strip()
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports[number]}{path}", data,
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **headers},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Said(answer.status, dict(answer.headers), json.load(answer))
        except HTTPError as answer:
            with answer:
                return Said(answer.code, dict(answer.headers), json.load(answer))

    def writes(self, number: int) -> Said:
        """Change something little through one of the servers."""
        return self.raw(number, "/api/v1/tokens", {"name": "one more", "scopes": ["read"]})

    def reads(self, number: int) -> Said:
        """Read the datasets through one of the servers."""
        return self.raw(number, "/api/v1/datasets?limit=1")

    def lines(self, log: str, *events: str) -> list[dict[str, Any]]:
        """Return the lines of a log about some events."""
        found = [json.loads(line) for line in self.talk(log).splitlines() if line.startswith("{")]
        return [line for line in found if line.get("event") in events]


@contextmanager
def cluster(data: Path, database: str, **settings: str) -> Iterator[Cluster]:
    """A cluster that is running; whatever the test did to it, nothing of it is left afterwards."""
    variables = {f"NUNATAK_{name.upper()}": value for name, value in {"database": database, **settings}.items()}
    house = Cluster(data, variables)
    try:
        house.begin()
        yield house
    finally:
        house.power_cut()
        house.until_none()
        for child in house.spawned:
            child.wait(60)
