"""Starts an engine host: an engine by its kind, the connection to the server, signals, and a session that outlives it."""

from __future__ import annotations

import os
import secrets
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nunatak.client.connection import Connection
from nunatak.client.engine import EngineClient
from nunatak.core.settings import Settings
from nunatak.engines.plugins import load_engine
from nunatak.loops import logging
from nunatak.loops.engine import EngineHost, Pace
from nunatak.loops.garbage import search_seldom
from nunatak.loops.signals import forward_signals
from nunatak.loops.wellness import Wellness
from nunatak.storage.posix import PosixStorage
from nunatak.storage.protocol import Put, Storage
from nunatak.worker.build import build, identity, unpack

ANSWER_SECONDS = 20.0
"""How long an engine waits for an answer before it looks after its attempts again."""

BATCH = ("slurm", "pbs", "gridengine", "lsf")
"""Kinds whose sandboxes and worker are on a file system that is shared with the nodes."""


def session_of(directory: Path) -> str:
    """Return the word by which the server knows the engine in a directory, made up when there is none.

    It is kept, so that an engine that was killed is known again at once; the engine sees to it that only one process
    has the directory.
    """
    file = directory / "session"
    try:
        kept = file.read_text("ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        kept = ""
    if kept:
        return kept
    directory.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(".session.new")
    draft.write_text(secrets.token_hex(8))
    draft.replace(file)
    return session_of(directory)


def run_engine(
    settings: Settings,
    name: str,
    kind: str,
    options: Mapping[str, Any],
    url: str,
    token: Callable[[], str],
    *,
    stop_tasks: bool = False,
) -> None:
    """Run an engine host until SIGINT or SIGTERM; its attempts go on unless `stop_tasks`. `token` reads the token as it is now.

    Raises `NotFound` for an unknown kind, `Invalid` for wrong options, `Unavailable` if another process has the engine.
    """
    logging.configure()
    wellness = Wellness(os.environ, settings.alive)
    stop = threading.Event()
    forward_signals(stop)
    directory = settings.data / "engines" / name
    engine = load_engine(kind, {**_given(settings, kind, directory, options), **options})
    connection = Connection(url, token(), patience=0.0, timeout=ANSWER_SECONDS, renew=token)
    host = EngineHost(
        engine,
        EngineClient(connection, name, session_of(directory)),
        kind=kind,
        site=name,
        pace=Pace(idle=settings.idle_interval, look=settings.engine_interval),
    )
    search_seldom()
    wellness.ready()  # also while the server is away: it is asked again
    host.run(stop, alive=wellness.alive)
    wellness.stopping()
    if stop_tasks:
        host.end_all()
    host.leave()
    close = getattr(engine, "close", None)
    if close:
        close()
    connection.close()


def keeper(storage: Storage) -> Callable[[str, Path, str], None]:
    """Return what stores a file that came back from a node: its URL, where it is now, its SHA-256."""

    def keep(url: str, source: Path, sha256: str) -> None:
        storage.put([Put(url, source, sha256)])

    return keep


def _given(settings: Settings, kind: str, directory: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of an engine that follow from the settings of the installation."""
    if kind in BATCH:
        shared = Path(str(options.get("directory") or directory / "attempts")).absolute()
        worker = unpack(shared / ".worker")  # where the nodes see it
        deliver = keeper(PosixStorage([Path("/")]))
        return {"directory": shared, "worker": ("python3", "-I", "-S", str(worker)), "deliver": deliver}
    if kind == "htcondor":
        return {
            "directory": directory / "attempts",
            "worker": build(settings.data / "workers" / f"nunatak-worker-{identity()}.pyz"),
            "keep": keeper(PosixStorage([Path("/")])),
        }
    if kind != "local":
        return {}
    worker = unpack(settings.data / "workers")
    return {
        "directory": directory / "attempts",
        "worker": (sys.executable, "-I", "-S", str(worker)),
        "cache": settings.data / "cache",
        "cpu": settings.cores,
        "memory": settings.memory,
        "target": settings.series_target,
    }
