"""An installation behind its HTTP API, in this process, on SQLite in a temporary directory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from nunatak import assembly
from nunatak.accounts import tokens
from nunatak.api.app import create_app
from nunatak.api.services import Services
from nunatak.core.clock import ManualClock
from nunatak.core.settings import Settings
from nunatak.core.work import Shape
from nunatak.tasks import invariants
from tests.services import databases

RECIPE = """\
name: chain
jobs: 3
parameters: {events: 5}
tasks:
  first:
    run: echo {job} {events}
    outputs: [a.txt]
  second:
    inputs: [first/a.txt]
    run: cat a.txt
"""
WHOLE = Shape(cpu=64, gpu=8, memory=10**12, disk=10**13, time=10**7, platform="linux/x86_64").to_plain()
CAPACITY = {"total": WHOLE, "free": WHOLE, "queue": 100}


class Api:
    """A server and an administrator's client; `client_of` makes others."""

    def __init__(self, services: Services, client: TestClient) -> None:
        self.services, self.http = services, client
        self.clock = services.clock
        self.headers = self.token("admin", "root")

    def token(self, *scopes: str, who: str = "", days: float | None = 1.0) -> dict[str, str]:
        """Make a token; the headers that show it."""
        text = tokens.new_text()
        name = who or (scopes[-1] if scopes[-1] not in ("read", "submit", "engine", "admin") else "alice")
        scopes = tuple(scope for scope in scopes if scope in ("read", "submit", "engine", "admin"))
        self.services.database.run(
            lambda tx: tokens.issue(
                tx, text=text, name="test", principal=name, scopes=scopes, days=days, now=self.services.clock()
            )
        )
        return {"Authorization": f"Bearer {text}"}

    def call(
        self, method: str, path: str, status: int = 200, *, headers: dict[str, str] | None = None, **more: Any
    ) -> Any:
        """Send a request; the answer as JSON, after its status was checked."""
        found = self.http.request(method, path, headers={**self.headers, **(headers or {})}, **more)
        assert found.status_code == status, f"{found.status_code}: {found.text}"
        return found.json()

    def get(self, path: str, status: int = 200, **more: Any) -> Any:
        return self.call("GET", f"/api/v1{path}", status, **more)

    def post(self, path: str, body: Any, status: int = 200, **more: Any) -> Any:
        return self.call("POST", f"/api/v1{path}", status, json=body, **more)

    def submit(self, text: str = RECIPE, **more: Any) -> int:
        headers = more.pop("headers", None)
        body = {"text": text, "filename": "chain.yaml", **more}
        return int(self.post("/datasets", body, 201, headers=headers)["dataset"])

    def engine(self, name: str = "local", session: str = "s1") -> dict[str, Any]:
        body = {"kind": "simulated", "site": "here", "session": session, "capacity": CAPACITY}
        return dict(self.post(f"/engines/{name}/register", body))

    def claim(self, limit: int = 100, name: str = "local", session: str = "s1") -> list[dict[str, Any]]:
        return list(self.post(f"/engines/{name}/claim", {"session": session, "offer": WHOLE, "limit": limit})["tasks"])

    def report(self, name: str = "local", session: str = "s1", **more: Any) -> dict[str, Any]:
        return dict(self.post(f"/engines/{name}/report", {"session": session, **more}))

    def finish(
        self, task: dict[str, Any], reason: str = "ok", data: bytes | None = None, **more: Any
    ) -> dict[str, Any]:
        """Report a start and an end of an attempt; with `data`, an output `a.txt` that is really in the store."""
        key = {"address": task["address"], "lease": task["lease"]}
        if data is not None:
            more["outputs"] = [self.stored(task["address"], data)]
        start = {**key, "at": self.services.clock(), "host": "node1"}
        return self.report(started=[start], ended=[{**key, "reason": reason, **more}])

    def stored(self, address: str, data: bytes, name: str = "a.txt") -> dict[str, Any]:
        from nunatak.core import checksums
        from nunatak.storage.protocol import Put

        url = f"{self.services.store}/{address.replace('#', '/')}/{name}"
        self.services.storage.put([Put(url, data)])
        return {"name": name, "url": url, "size": len(data), "sha256": checksums.of_bytes(data)}

    def faults(self) -> list[str]:
        with self.services.database.read() as tx:
            return invariants.check(tx, self.services.contexts)


def services_at(path: Path, url: str = "", **limits: Any) -> Services:
    """An installation in a directory, with a clock that stands still and leases that count from 1000."""
    given = {"database": url or databases.migrated_file(path / "nunatak.db")}
    built = assembly.build(
        Settings(data=path, body_limit=200_000, upload_limit=1_000_000, **given),
        clock=ManualClock(),
        keys=itertools.count(1000).__next__,
        chance=lambda: 0.5,
    )
    return replace(built, limits=replace(built.limits, demand=0.0, events=0.01, keep_alive=0.05, **limits))


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    built = services_at(tmp_path)
    yield built
    built.database.close()


@pytest.fixture
def api(services: Services) -> Iterator[Api]:
    with TestClient(create_app(services), raise_server_exceptions=True) as client:
        yield Api(services, client)
