"""A real installation to measure: a server process on SQLite or on a PostgreSQL of its own with fsync on."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psycopg
from tests.services.ports import free_port
from tests.services.postgres import Postgres

from nunatak import assembly
from nunatak.core.settings import load
from nunatak.db.database import Database

SERVER = "from nunatak import assembly; from nunatak.core.settings import load; assembly.run_api(load(), loops=False)"
LENGTH = re.compile(rb"(?i)\ncontent-length: *(\d+)\r")
POSTGRES = {"max_wal_size": "4GB", "shared_buffers": "512MB", "checkpoint_timeout": "30min", "autovacuum_naptime": "5s"}


@dataclass(frozen=True, slots=True)
class Part:
    """One process of an installation."""

    name: str
    pid: int

    def memory(self) -> float:
        """Return its resident memory in MB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024 / 1e6
        return 0.0

    def cpu(self) -> float:
        """Return its CPU seconds so far, those of its children that ended included."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


@dataclass
class Installation:
    """A running server with its token, process and database; `place` is where it keeps its files."""

    url: str
    port: int
    token: str
    pid: int
    database: Database
    place: Path
    postgres: Postgres | None = None

    def connect(self) -> Connection:
        """Open one kept-alive connection."""
        return Connection(self.port, self.token)

    @property
    def server(self) -> Part:
        """Return the process of the server."""
        return Part("server", self.pid)

    def memory(self) -> float:
        """Return the server's resident memory in MB."""
        return self.server.memory()

    def cpu(self) -> float:
        """Return the server's CPU seconds so far."""
        return self.server.cpu()

    def database_cpu(self) -> float:
        """Return the CPU seconds of PostgreSQL so far: its main process, those that ended and those that live."""
        if not self.postgres:
            return 0.0
        main = int((self.postgres.directory / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return sum(Part("", pid).cpu() for pid in (main, *map(int, children)) if Path(f"/proc/{pid}").exists())

    @contextmanager
    def serving(self, *words: str, **environment: str) -> Iterator[Part]:
        """Run one more part, as `nunatak serve WORDS` does; it is told to end, and awaited, afterwards."""
        given = {
            **os.environ,
            "NUNATAK_DATA": str(self.place / "data"),
            "NUNATAK_DATABASE": self.url,
            "NUNATAK_URL": f"http://127.0.0.1:{self.port}",
            "NUNATAK_TOKEN": self.token,
            **environment,
        }
        log = self.place / f"{'-'.join(words[:2])}.log"
        with log.open("ab") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "nunatak.cli", "serve", *words], env=given, stdout=stream, stderr=stream
            )
        try:
            yield Part(" ".join(words[:2]), process.pid)
            if process.poll() is not None:
                raise RuntimeError(f"serve {words[0]} ended by itself: {log.read_text()[-2000:]}")
        finally:
            process.terminate()
            process.wait(60)

    def analyze(self) -> None:
        """Let PostgreSQL look at its tables, as autovacuum does in time."""
        if self.database.dialect == "postgresql":
            address = self.url.replace("+psycopg", "")
            with psycopg.connect(address, autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE")


class Connection:
    """A client that costs as little as it can, one kept-alive connection: what is measured is the server."""

    def __init__(self, port: int, token: str) -> None:
        """Connect to a port of this machine."""
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = f"Host: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send JSON and return JSON. Raises `RuntimeError` on any error."""
        data = orjson.dumps(body)
        return self._ask(f"POST {path} HTTP/1.1\r\n{self._head}Content-Length: {len(data)}\r\n\r\n".encode() + data)

    def get(self, path: str) -> dict[str, Any]:
        """Return JSON."""
        return self._ask(f"GET {path} HTTP/1.1\r\n{self._head}\r\n".encode())

    def page(self, path: str) -> bytes:
        """Return what is sent of a page as browsers ask for it: compressed where it is. Raises `RuntimeError` on any error."""
        return self._bytes(f"GET {path} HTTP/1.1\r\n{self._head}Accept-Encoding: gzip\r\n\r\n".encode())

    def _ask(self, request: bytes) -> dict[str, Any]:
        answer: dict[str, Any] = orjson.loads(self._bytes(request))
        return answer

    def _bytes(self, request: bytes) -> bytes:
        self._socket.sendall(request)
        data = bytearray()
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        length = int(LENGTH.search(data, 0, end + 2)[1])  # type: ignore[index]  # every answer of ours says it
        while len(data) < end + 4 + length:
            data += self._more()
        status, body = int(data[9:12]), bytes(data[end + 4 :])
        if status >= 400:
            raise RuntimeError(f"{status}: {body[:500]!r}")
        return body

    def _more(self) -> bytes:
        data = self._socket.recv(1 << 18)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data


@contextmanager
def installation(kind: str, **environment: str) -> Iterator[Installation]:
    """Start a server on `sqlite` or `postgresql`, and end all of it afterwards; `environment` has its settings."""
    with tempfile.TemporaryDirectory(prefix="nunatak-bench-") as place:
        postgres = Postgres.start(fsync=True, settings=POSTGRES) if kind == "postgresql" else None
        try:
            url = postgres.new_database() if postgres else f"sqlite:///{place}/nunatak.db"
            with served(url, Path(place), **environment) as running:
                running.postgres = postgres
                yield running
        finally:
            if postgres:
                postgres.stop()


@contextmanager
def served(url: str, place: Path, **given: str) -> Iterator[Installation]:
    """Serve a database from a process of its own."""
    port = free_port()
    settings = load(data=place / "data", database=url, port=port)
    services = assembly.build(settings)
    token = assembly.local_token(services, place / "token", "bench")
    environment = {
        **os.environ,
        "NUNATAK_DATA": str(place / "data"),
        "NUNATAK_DATABASE": url,
        "NUNATAK_PORT": str(port),
        "NUNATAK_CLAIM_LIMIT": "1000",
        **given,
    }
    server = subprocess.Popen([sys.executable, "-c", SERVER], env=environment, stderr=subprocess.DEVNULL)
    try:
        running = Installation(url, port, token, server.pid, services.database, place)
        _wait(running)
        yield running
    finally:
        server.terminate()
        server.wait(60)
        services.database.close()


def _wait(running: Installation) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            running.connect().get("/api/v1/whoami")
            return
        except (ConnectionError, RuntimeError):
            time.sleep(0.05)
    raise RuntimeError("the server did not start")
