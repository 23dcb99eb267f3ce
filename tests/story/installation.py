"""A whole installation in a directory of its own: real processes, found and killed one by one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Table, select, true

from nunatak import assembly
from nunatak.client import Client
from nunatak.client.statuses import DatasetStatus
from nunatak.core.errors import NunatakError
from nunatak.core.settings import Settings
from nunatak.datasets.tables import datasets
from nunatak.db.database import Database
from nunatak.tasks.doctor import Report
from nunatak.tasks.tables import attempts, tasks
from tests.services import databases
from tests.services.ports import free_port

T = TypeVar("T")
NUNATAK = (sys.executable, "-m", "nunatak.cli")


def started_up(data: Path, *words: str, **streams: int) -> subprocess.Popen[str]:
    """Start `nunatak up` as a user does, with nothing of what the tests set for themselves."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("NUNATAK_")}
    argv = [*NUNATAK, "up", "--data", str(data), "--port", "0", "--cores", "2", *words]
    return subprocess.Popen(argv, text=True, env=environ, **streams)  # type: ignore[call-overload, no-any-return]


def until(condition: Callable[[], T], what: str, seconds: float = 120.0) -> T:
    """Return the first true value of `condition`; fails after `seconds`, saying what was waited for."""
    end, pause = time.monotonic() + seconds, 0.02
    while not (found := condition()):
        assert time.monotonic() < end, f"waited {seconds:g} s for: {what}"
        time.sleep(pause)
        pause = min(1.2 * pause, 0.2)
    return found


@dataclass(frozen=True)
class Proc:
    """A process of an installation; role is one of up, api, loops, engine, worker, inner, payload, other."""

    pid: int
    parent: int
    role: str


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _parent(pid: int) -> int:
    text = _read(pid, "stat")
    return int(text[text.rindex(b")") + 2 :].split()[1]) if text else 0


def _role(pid: int, words: list[bytes], variables: bytes, workers: set[int]) -> str:
    if pid in workers:
        return "inner" if _parent(pid) in workers else "worker"
    for role in ("up", "api", "loops", "engine"):
        if b"nunatak.cli" in words and words[words.index(b"nunatak.cli") + 1 :][role != "up"] == role.encode():
            return role
    return "payload" if b"/engines/" in variables else "other"


@dataclass
class Installation:
    """`nunatak up` on a directory. `variables` are settings by environment."""

    data: Path
    variables: dict[str, str] = field(default_factory=dict)
    cores: int = 4
    prefix: tuple[str, ...] = ()  # runs a command as somebody else
    supervisor: subprocess.Popen[bytes] | None = None
    server: subprocess.Popen[bytes] | None = None
    port: int = 0
    addresses: str = ""
    spawned: list[subprocess.Popen[bytes]] = field(default_factory=list)

    # ---- starting and ending

    @property
    def environ(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("NUNATAK_", "XDG_"))}
        return {**inherited, "XDG_CONFIG_HOME": str(self.data.parent / "config"), **self.variables}

    def spawn(
        self,
        *words: str,
        log: str,
        data: Path | None = None,
        variables: dict[str, str] | None = None,
        command: Sequence[str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a command of `nunatak`, or of `command`, with its talk going to a file beside the data."""
        with (self.data.parent / f"{self.data.name}.{log}").open("ab") as out:
            started = subprocess.Popen(
                (*self.prefix, *(command or NUNATAK), *words, "--data", str(data or self.data)),
                env={**self.environ, **(variables or {})},
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        self.spawned.append(started)
        return started

    def talk(self, log: str) -> str:
        """Return what a command said so far."""
        return (self.data.parent / f"{self.data.name}.{log}").read_text()

    def engine(self, name: str, place: str) -> None:
        """Start an engine that knows the server by its address only, with a data directory of its own."""
        with self.client() as client:
            token = client.create_token(name, ["engine"], days=1).token or ""
        data = self.data / place
        data.mkdir()
        words = ("serve", "engine", name, "--cores", "2", "--memory", "8 GB")
        self.spawn(*words, log=f"{place}.log", data=data, variables={"NUNATAK_URL": self.url, "NUNATAK_TOKEN": token})

    def start(self) -> None:
        """Start `nunatak up` and wait until it answers."""
        talk = self.data.parent / f"{self.data.name}.up.log"
        before = talk.read_bytes().count(b'{"url"') if talk.exists() else 0
        words = ("up", "--port", "0", "--cores", str(self.cores), "--memory", "64 GB", "--json")
        self.supervisor = self.spawn(*words, log="up.log")

        def ready() -> bool:
            assert self.supervisor
            assert self.supervisor.poll() is None, talk.read_text()
            return talk.read_bytes().count(b'{"url"') > before

        until(ready, "nunatak up")

    def start_server(self) -> None:
        """Start the server alone, on a port that stays the same, and wait until it answers."""
        self.port = self.port or free_port()
        words = ("serve", "api", "--with-loops", "--local", "--port", str(self.port))
        self.server = self.spawn(*words, log="api.log")
        until(self._answers, "the server")

    def _answers(self) -> bool:
        assert self.server
        assert self.server.poll() is None, "the server ended"
        try:
            with self.client(patience=0.0) as client:
                return bool(client.whoami())
        except NunatakError:
            return False

    def end_server(self) -> None:
        """End the server alone; its port is closed then."""
        assert self.server
        self.server.kill()
        self.server.wait(120)

    def stop(self) -> None:
        """End the installation as Ctrl-C does; running tasks go on."""
        if self.supervisor is not None:
            self.supervisor.send_signal(signal.SIGINT)
            self.supervisor.wait(120)

    def power_cut(self) -> None:
        """Kill every process at once: stopped first, so that none reacts to the end of another."""
        self.kill_all("up", "api", "loops", "engine", "worker", "inner", "payload", "other")

    def kill_all(self, *roles: str) -> None:
        """Kill every process of some roles at once, and wait until they are gone."""
        chosen = [found for found in self.processes() if found.role in roles]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for found in chosen:
                send(found.pid, number)
        killed = {found.pid for found in chosen}
        for child in self.spawned:
            if child.pid in killed:
                child.wait(120)
        until(
            lambda: not {found.pid for found in chosen} & {found.pid for found in self.processes()}, "killed ones to go"
        )

    # ---- processes

    def processes(self) -> list[Proc]:
        """Return the processes of this installation: those that name its directory in their words or variables."""
        place, found, workers = os.fsencode(self.data), dict[int, tuple[list[bytes], bytes]](), set[int]()
        for pid in (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
            words, variables = _read(pid, "cmdline"), _read(pid, "environ")
            if pid != os.getpid() and (place in words or place in variables):
                found[pid] = words.split(b"\0"), variables
                if b"/workers/worker-" in words:
                    workers.add(pid)
        return [Proc(pid, _parent(pid), _role(pid, *known, workers)) for pid, known in sorted(found.items())]

    def of(self, role: str) -> list[int]:
        """Return the process ids of a role."""
        return [found.pid for found in self.processes() if found.role == role]

    def kill_one(self, role: str, random: Random, meanwhile: Callable[[], object] = bool) -> None:
        """Kill a process of a role; waits until there is one, and does something `meanwhile`."""

        def killed() -> bool:
            if send(random.choice(self.of(role) or [0]), signal.SIGKILL):
                return True
            meanwhile()
            return False

        until(killed, f"a process to kill: {role}")

    def until_no_work(self) -> None:
        """Wait until no process of a task is left."""
        until(lambda: not [p for p in self.processes() if p.role in ("worker", "inner", "payload")], "tasks to end")

    def until_none(self) -> None:
        """Wait until no process is left at all."""
        until(lambda: not self.processes(), f"processes to end: {self.processes()}")

    # ---- asking

    def client(self, patience: float = 60.0) -> Client:
        """Return a client of the local administrator."""
        environ = {**self.environ, "NUNATAK_DATA": str(self.data)}
        if not self.url:
            return Client(patience=patience, environ=environ)
        token = self.data / "token"
        return Client(
            self.url, token.read_text().strip() if token.exists() else "none", patience=patience, environ=environ
        )

    @property
    def url(self) -> str:
        """Where the server that was started alone, or several of them, answer."""
        return self.addresses or (f"http://127.0.0.1:{self.port}" if self.port else "")

    def submit(self, recipe: str) -> int:
        """Send a recipe."""
        file = self.data.parent / "recipe.yaml"
        file.write_text(recipe)
        with self.client() as client:
            return client.submit(file).dataset

    def status(self, dataset: int = 1) -> DatasetStatus:
        """Return where a dataset is; an absent server is waited for."""
        with self.client() as client:
            return client.dataset(dataset)

    def until_done(self, n: int, dataset: int = 1, seconds: float = 200.0) -> None:
        """Wait until so many tasks are done; while the server is away they are not counted."""
        with self.client(patience=0.0) as client:

            def enough() -> bool:
                try:
                    return client.dataset(dataset).tasks.done >= n
                except NunatakError:
                    return False

            until(enough, f"{n} tasks to be done", seconds)

    def until_state(self, state: str, dataset: int = 1, seconds: float = 200.0) -> None:
        """Wait for a state of a dataset."""
        with self.client() as client:
            try:
                until(lambda: client.dataset(dataset).state == state, f"dataset {dataset} to be {state}", seconds)
            except AssertionError as error:
                raise AssertionError(f"{error}; it is: {client.dataset(dataset)}") from None

    # ---- what is recorded

    @property
    def database_url(self) -> str:
        return self.variables.get("NUNATAK_DATABASE", f"sqlite:///{self.data}/nunatak.db")

    @contextmanager
    def database(self) -> Iterator[Database]:
        """Open the database beside the running server."""
        opened = Database(self.database_url)
        yield opened
        opened.close()

    def doctor(self) -> Report:
        """Return what the doctor says."""
        return assembly.doctor(Settings(data=self.data, database=self.database_url), repair=False)

    def doctor_command(self) -> dict[str, Any]:
        """Return what `nunatak doctor --json` prints."""
        words = (*NUNATAK, "doctor", "--json", "--data", str(self.data))
        done = subprocess.run(words, env=self.environ, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return dict(json.loads(done.stdout))

    def ledger(self, dataset: int | None = None) -> Counter[tuple[int, int, int]]:
        """Return how often each task (dataset, job, task), of all or one dataset, was done according to the ledger."""
        key = (attempts.c.dataset, attempts.c.job, attempts.c.task)
        done = select(*key).where(attempts.c.action == "done", _of(attempts, dataset))
        with self.database() as opened, opened.read() as tx:
            return Counter(tuple(row) for row in tx.execute(done))

    def endings(self, dataset: int | None = None) -> Counter[tuple[str, str]]:
        """Return how often attempts, of all or one dataset, ended with each reason and verdict."""
        ended = select(attempts.c.reason, attempts.c.verdict).where(_of(attempts, dataset))
        with self.database() as opened, opened.read() as tx:
            return Counter(tuple(row) for row in tx.execute(ended))

    def assert_each_done_once(self, n: int, dataset: int | None = None) -> None:
        """Check that `n` tasks, of all or one dataset, are done, each by exactly one good attempt, and that all agrees."""
        ledger, report = self.ledger(dataset), self.doctor()
        with self.database() as opened, opened.read() as tx:
            states = Counter(row.state for row in tx.execute(select(tasks.c.state).where(_of(tasks, dataset))))
            derived = {row.state for row in tx.execute(select(datasets.c.state).where(_of(datasets, dataset)))}
        assert states == {"done": n}
        assert derived == {"done"}
        assert len(ledger) == n
        assert set(ledger.values()) == {1}
        assert report.faults == []


def _of(table: Table, dataset: int | None) -> ColumnElement[bool]:
    return true() if dataset is None else table.c.dataset == dataset


def send(pid: int, number: int) -> bool:
    """Send a signal; tell whether the process was there."""
    try:
        os.kill(pid, number) if pid else None
    except ProcessLookupError:
        return False
    return bool(pid)


@contextmanager
def installation(
    data: Path, cores: int = 4, *, start: bool = True, prefix: tuple[str, ...] = (), **settings: str
) -> Iterator[Installation]:
    """An installation that is running; whatever the test did to it, nothing of it is left afterwards.

    Its database is migrated already: that a start does it, `test_up` and `test_docs` show.
    """
    variables = {f"NUNATAK_{name.upper()}": value for name, value in settings.items()}
    if "database" not in settings and not prefix:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        databases.migrated_file(data / "nunatak.db")
    house = Installation(data, variables, cores, prefix)
    try:
        if start:
            house.start()
        yield house
    finally:
        house.power_cut()
        house.until_none()
        for child in house.spawned:
            child.wait(120)
