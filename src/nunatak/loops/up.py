"""`nunatak up`: one process that starts the server and the local engine, keeps them running, and ends them in order.

It listens itself and hands the socket down, so that a server which is started anew keeps its port and its callers.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nunatak.core import ports
from nunatak.core.clock import Clock, iso, system_clock
from nunatak.core.errors import Conflict, NunatakError, Refused, Unavailable
from nunatak.loops.parent import VARIABLE

if TYPE_CHECKING:
    from nunatak.client import Client

ENGINE = "local"
BACKLOG = 2048
MOST_LOG = 10_000_000
"""Bytes of a child's log at which a fresh one is begun; the one before is kept."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Times of the supervisor, in seconds."""

    look: float = 0.05  # between two looks at the children
    again: float = 0.1  # pause before a child is started again; doubles up to `again_most`
    again_most: float = 10.0
    steady: float = 10.0  # a child that ran so long gets the short pause again
    ready: float = 60.0  # longest start
    polite: float = 10.0  # a child has so long to end


@dataclass(slots=True)
class Child:
    """A process that is kept running."""

    name: str
    argv: Sequence[str]
    environ: Mapping[str, str]
    log: Path
    pass_fds: tuple[int, ...]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = 0.0
    starts: int = 0
    due: float = field(default=float("-inf"))

    def start(self, now: float) -> None:
        """Start it, in a session of its own so that a Ctrl-C in the terminal reaches the supervisor alone."""
        _rotate(self.log)
        with os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            self.process = subprocess.Popen(
                self.argv, env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=self.pass_fds, start_new_session=True,
            )  # fmt: skip
        self.started, self.starts = now, self.starts + 1

    def ended(self) -> int | None:
        """Return the exit code if it is not running, None if it is."""
        return self.process.poll() if self.process else 0

    def end(self, seconds: float) -> None:
        """Ask it to end, and make it."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Supervisor:
    """The children of one data directory, from their start to their end."""

    def __init__(
        self,
        data: Path,
        host: str,
        port: int,
        *,
        environ: Mapping[str, str],
        stop_tasks: bool = False,
        pace: Pace | None = None,
        clock: Clock = system_clock,
        monotonic: Clock = time.monotonic,
    ) -> None:
        """Prepare; `environ` is what the children get, with the settings in it."""
        self._data, self._host, self._port = data, host, port
        self._environ, self._stop_tasks = dict(environ), stop_tasks
        self._pace, self._clock, self._monotonic = pace or Pace(), clock, monotonic
        self.stop = threading.Event()

    def run(self, ready: Callable[[str], None], restarted: Callable[[str, int], None]) -> None:
        """Start, call `ready` with the address, and keep going until `stop` is set.

        `restarted` hears of each child that ended by itself. Raises `Conflict` if this directory or the port is in use,
        `Unavailable` if the server does not come up.
        """
        began = self._clock()
        with owned(self._data) as note, listening(self._host, self._port) as sock:
            url = url_of(sock)
            note(url)
            read, write = os.pipe()
            try:
                children = self._children(sock, read, url)
                try:
                    self._start(children)
                    self._wait_ready(url, children, began)
                    if not self.stop.is_set():
                        ready(url)
                    while not self.stop.wait(self._pace.look):
                        self._mend(children, restarted)
                finally:
                    for child in reversed(children):
                        child.end(120.0 if self._stop_tasks and child.name == "engine" else self._pace.polite)
            finally:
                os.close(write)
                os.close(read)

    def _children(self, sock: socket.socket, pipe: int, url: str) -> list[Child]:
        """Return the children in the order of their start; the engine ends first."""
        serve = (sys.executable, "-m", "nunatak.cli", "serve")
        environ = {**self._environ, VARIABLE: str(pipe), "NUNATAK_URL": url}
        environ.pop("NUNATAK_TOKEN", None)
        stop = ("--stop-tasks",) if self._stop_tasks else ()
        api = (*serve, "api", "--with-loops", "--local", "--socket", str(sock.fileno()))
        return [
            Child("api", api, environ, self._data / "api.log", (pipe, sock.fileno())),
            Child("engine", (*serve, "engine", ENGINE, *stop), environ, self._data / "engine.log", (pipe,)),
        ]

    def _start(self, children: Sequence[Child]) -> None:
        for child in children:
            child.start(self._monotonic())

    def _mend(self, children: Sequence[Child], restarted: Callable[[str, int], None]) -> None:
        """Start again what ended, later and later if it ends again at once."""
        now, pace = self._monotonic(), self._pace
        for child in children:
            code = child.ended()
            if code is None:
                continue
            if child.process is not None:
                child.process = None
                steady = now - child.started >= pace.steady
                child.pause = pace.again if steady else min(max(pace.again, 2 * child.pause), pace.again_most)
                child.due = now + child.pause
                restarted(child.name, code)
            elif now >= child.due:
                child.start(now)

    def _wait_ready(self, url: str, children: Sequence[Child], began: float) -> None:
        """Wait until the server answers and the engine is registered. Raises `Unavailable`."""
        until, since = self._monotonic() + self._pace.ready, iso(began) or ""
        while not self.stop.is_set():
            self._mend(children, lambda *_: None)
            failed = next((child for child in children if child.starts > 3), None)
            if failed or self._monotonic() > until:
                raise Unavailable(
                    f"the {failed.name} does not come up: {_last_words(failed.log)}"
                    if failed
                    else "the start takes too long",
                    code="no-start",
                    hint=f"see {self._data / 'api.log'} and {self._data / 'engine.log'}",
                )
            try:
                if self._engine_registered(url, since, children):
                    return
            except (Unavailable, Refused):
                pass  # not yet; a token of an earlier database is replaced before the server answers
            self.stop.wait(0.02)

    def _engine_registered(self, url: str, since: str, children: Sequence[Child]) -> bool:
        """Wait for the server, then look whether the engine is there. Raises `Unavailable` or `Refused` if not yet."""
        from nunatak.client import Client  # late: the children have been started

        token = _read(self._data / "token")
        if not token:
            return False  # the server writes it before it answers
        with Client(url, token, patience=0.0) as client:
            client.whoami()
            if self._give_engine_token(client, url) and children[1].process:
                children[1].process.terminate()  # it began with a token that is no longer good
                return False
            while children[0].ended() is None and children[1].ended() is None and not self.stop.wait(0.02):
                if any(item["name"] == ENGINE and item["seen"] >= since for item in client.engines()):
                    return True
        return False

    def _give_engine_token(self, client: Client, url: str) -> bool:
        """See to it that there is a token for the engine; tell whether one that was there is replaced."""
        from nunatak.client import Client

        file = self._data / "engine.token"
        kept = _read(file)
        if kept:
            try:
                with Client(url, kept, patience=0.0) as engine:
                    engine.whoami()
                return False
            except Refused:
                pass
        write_secret(file, client.create_token("local engine", ["engine"], days=3650, principal="local").token)
        return bool(kept)


def write_secret(file: Path, text: str) -> None:
    """Write a file that only its owner can read, at once."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text + "\n")
    draft.replace(file)


@contextmanager
def owned(data: Path) -> Iterator[Callable[[str], None]]:
    """Take possession of a data directory; what is given notes the address. Raises `Conflict` if another process has it."""
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        data.chmod(0o700)
        lock = os.open(data / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable(
            f"{data} cannot be used: {error.strerror}", code="no-data", hint="name another with --data"
        ) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise _running(data) from None
        try:
            yield lambda url: write_secret(data / "up.json", json.dumps({"url": url, "pid": os.getpid()}))
        finally:
            (data / "up.json").unlink(missing_ok=True)
    finally:
        os.close(lock)


def noted(data: Path) -> tuple[int, str]:
    """Return the process that last took possession of a data directory, and its address; 0 and "" where nothing is noted."""
    try:
        plain = json.loads((data / "up.json").read_text())
        return int(plain["pid"]), str(plain["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, ""


def _running(data: Path) -> Conflict:
    pid, url = noted(data)
    who = f"process {pid} at {url}" if pid else "another process"
    return Conflict(
        f"{who} runs nunatak in {data}", code="already-up", hint="stop it first, or name another directory with --data"
    )


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Open the socket of the server. Raises `Conflict` if the port is taken, `Refused` if it may not be."""
    try:
        sock = ports.bound(host, port)
        sock.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        said = getattr(error, "strerror", None) or str(error)
        kind: type[NunatakError] = Refused if isinstance(error, PermissionError) else Conflict
        raise kind(
            f"cannot listen on {host}:{port}: {said}",
            code="port-taken",
            hint="stop what listens there, choose another with --port, or a free one with --port 0",
        ) from None
    with sock:
        yield sock


def url_of(sock: socket.socket) -> str:
    """Return the address of a listening socket as people reach it on this machine."""
    host, port = sock.getsockname()[:2]
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{local}]:{port}" if ":" in local else f"http://{local}:{port}"


def _read(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > MOST_LOG:
        log.replace(log.with_name(f"{log.name}.1"))


def _last_words(log: Path) -> str:
    """Return what a child that ended said last."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    said = [line.removeprefix("nunatak: ") for line in lines if line.startswith("nunatak: ")]
    return (said or lines or ["it says nothing"])[-1][:500]
