"""A whole installation for the tests of client and command line: a server in a thread, a local engine in another."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from nunatak import assembly
from nunatak.accounts import tokens
from nunatak.client.client import Client
from nunatak.client.connection import Connection
from nunatak.client.engine import EngineClient
from nunatak.core.settings import Settings
from nunatak.core.work import Shape
from nunatak.engines.local import LocalEngine
from nunatak.engines.settings import here
from nunatak.loops.engine import EngineHost, Pace
from nunatak.worker.build import unpack
from tests.services import databases

NEEDS = "{memory: 100 MB, disk: 10 MB, time: 1 min}"
HELLO = f"""\
name: hello
jobs: 2
needs: {NEEDS}
retry: {{tries: 1}}
parameters: {{word: hi}}
tasks:
  first:
    run: python3 say.py {{word}} {{job}}
    files: [say.py]
    outputs: [a.txt, "b.txt -> out/{{job}}.txt"]
  second:
    inputs: [first/a.txt]
    run: cat a.txt
"""
SAY = """\
import sys
print(*sys.argv[1:])
open("a.txt", "w").write(" ".join(sys.argv[1:]) + "\\n")
open("b.txt", "w").write("b" * 100_000)
"""
BROKEN = f"name: broken\nneeds: {NEEDS}\nretry: {{tries: 1}}\ntasks:\n  only:\n    run: sh -c 'echo oh >&2; exit 3'\n"


@dataclass(frozen=True, slots=True)
class Live:
    """Where it is."""

    url: str
    token: str
    services: assembly.Services

    def client(self, **more: object) -> Client:
        return Client(self.url, self.token, **more)  # type: ignore[arg-type]

    def make_token(self, *scopes: str, who: str = "alice") -> str:
        text = tokens.new_text()
        self.services.database.run(
            lambda tx: tokens.issue(
                tx, text=text, name="test", principal=who, scopes=scopes, days=1.0, now=self.services.clock()
            )
        )
        return text


def hello(directory: Path) -> Path:
    """A recipe with its script."""
    (directory / "say.py").write_text(SAY)
    (directory / "hello.yaml").write_text(HELLO)
    return directory / "hello.yaml"


@contextmanager
def installation(directory: Path, worker: Path | None = None) -> Iterator[Live]:
    """Start everything, and end it; the engine runs the worker of this version, or another one."""
    settings = Settings(data=directory, database=databases.migrated_file(directory / "nunatak.db"), port=0)
    services = assembly.build(settings)
    services = replace(services, limits=replace(services.limits, events=0.05, demand=0.0))
    token = assembly.local_token(services, directory / "token", "root")
    server = assembly.ApiServer(services, assembly.listen(settings))
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    live = Live(server.url, token, services)
    stop, ready = threading.Event(), threading.Event()
    home = worker or unpack(directory / "workers")
    engine = threading.Thread(target=_engine, args=(live, directory, home, stop, ready), daemon=True)
    engine.start()
    assert ready.wait(60)
    try:
        yield live
    finally:
        stop.set()
        engine.join(10)
        server.stop()
        serving.join(10)
        services.database.close()


def _engine(live: Live, directory: Path, worker: Path, stop: threading.Event, ready: threading.Event) -> None:
    engine = LocalEngine(
        directory / "attempts",
        total=Shape(cpu=2, memory=10**10, disk=10**12, time=10**6, platform=here()),
        worker=(sys.executable, "-I", "-S", str(worker)),
        cache=directory / "cache",
    )
    connection = Connection(live.url, live.make_token("engine", who="engine"), patience=0.0)
    host = EngineHost(
        engine, EngineClient(connection, "local", "s1"), kind="local", site="here", pace=Pace(idle=0.1, logs=0.1)
    )
    host.run(stop, ready.set)
    engine.close()
    connection.close()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with installation(tmp_path_factory.mktemp("live")) as found:
        yield found
