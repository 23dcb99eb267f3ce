"""Verbs that run the installation itself: up, serve, migrate, doctor. Only here the command line meets the server's code."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nunatak.cli.config import Config
from nunatak.cli.group import WORK_FAILED, importing
from nunatak.cli.talk import AsJson, out, out_json, say
from nunatak.core.errors import Invalid, NotFound, Refused
from nunatak.core.units import count_text

if TYPE_CHECKING:
    from nunatak.core.settings import Loaded, Settings
    from nunatak.core.settings_file import EngineTable

app = typer.Typer(rich_markup_mode=None)
serve = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Start one part of an installation.")
app.add_typer(serve, name="serve")

Data = Annotated[Path | None, typer.Option(file_okay=False, help="Directory that keeps everything.")]
Host = Annotated[
    str | None, typer.Option(help="Address to listen on; others than loopback are reachable from outside.")
]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")]
Cores = Annotated[int | None, typer.Option(min=1, help="Cores the local engine may use.")]
Memory = Annotated[str | None, typer.Option(help="Memory the local engine may use, as '8 GB'.")]
MAKE_ONE = "nunatak token create NAME --scope engine > FILE"
Local = Annotated[
    bool, typer.Option("--local", help="Keep an administrator's token in the data directory, as `up` does.")
]
StopTasks = Annotated[bool, typer.Option("--stop-tasks", help="End running tasks on the way out, too.")]


def _loaded(config: Path | None, **arguments: Any) -> Loaded:
    with importing():
        from nunatak.core.settings import load_all

    return load_all(config, **arguments)


def _settings(config: Path | None, **arguments: Any) -> Settings:
    return _loaded(config, **arguments).settings


@app.command()
def up(
    config: Config = None,
    data: Data = None,
    host: Host = None,
    port: Port = None,
    cores: Cores = None,
    memory: Memory = None,
    stop_tasks: StopTasks = False,
    as_json: AsJson = False,
) -> None:
    """Start everything on this machine: server, loops and local engine, until Ctrl-C.

    Running tasks go on after that, and the next start takes them up again.
    """
    from nunatak.loops.signals import forward_signals
    from nunatak.loops.up import Supervisor

    settings = _settings(config, data=data, host=host, port=port, cores=cores, memory=memory)
    given = {"DATA": settings.data, "HOST": settings.host, "PORT": settings.port}
    given |= {"CORES": settings.cores, "MEMORY": settings.memory}
    given |= {"CONFIG": config.absolute()} if config else {}
    environ = {**os.environ, **{f"NUNATAK_{name}": str(value) for name, value in given.items()}}
    supervisor = Supervisor(settings.data, settings.host, settings.port, environ=environ, stop_tasks=stop_tasks)
    forward_signals(supervisor.stop, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def ready(url: str) -> None:
        if as_json:
            out_json({"url": url, "data": str(settings.data), "pid": os.getpid()})
        else:
            _welcome(url, settings)
        sys.stdout.flush()

    supervisor.run(ready, lambda name, code: say(f"the {name} ended with {code}; starting it again"))
    if not as_json:
        say("stopped" if stop_tasks else "stopped; running tasks go on, and the next `nunatak up` takes them up again")


def _welcome(url: str, settings: Settings) -> None:
    """Print the address, and how to go on from another terminal."""
    from nunatak.client.login import data_directory

    environ = {name: value for name, value in os.environ.items() if name != "NUNATAK_DATA"}
    out(f"nunatak is up at {url}")
    say(f"pages, signed in: {_signed_in(url, settings)}")
    say(
        f"data, logs and the token of the local administrator: {settings.data} ({count_text(settings.cores, 'core')} for tasks)"
    )
    if settings.data == data_directory(environ):
        say("in another terminal: nunatak submit RECIPE --watch")
    else:
        say(f"in another terminal: export NUNATAK_DATA={settings.data}; nunatak submit RECIPE --watch")
    say("Ctrl-C stops it")


def _signed_in(url: str, settings: Settings) -> str:
    """Return an address that signs a browser in as the local administrator, once; the plain one if there is none."""
    from nunatak.client import Client
    from nunatak.core.errors import NunatakError

    try:
        with Client(url, (settings.data / "token").read_text("ascii").strip()) as client:
            return f"{client.sign_in_url()} (works once, within 10 minutes; `nunatak open` makes another)"
    except (NunatakError, OSError):
        return url


@serve.command("api")
def serve_api(
    config: Config = None,
    data: Data = None,
    host: Host = None,
    port: Port = None,
    with_loops: Annotated[bool, typer.Option("--with-loops", help="Run the maintenance loops in it, too.")] = False,
    local: Local = False,
    fd: Annotated[int | None, typer.Option("--socket", hidden=True, help="A listening socket handed down.")] = None,
) -> None:
    """Start the server of the HTTP API."""
    from nunatak.loops.parent import end_with_parent

    end_with_parent(os.environ)
    with importing():
        from nunatak import assembly

    settings = _settings(config, data=data, host=host, port=port)
    given = None if fd is None else socket.socket(fileno=fd)
    assembly.run_api(settings, given, loops=with_loops, local=local)


@serve.command("loops")
def serve_loops(config: Config = None, data: Data = None) -> None:
    """Start the maintenance loops alone, for an installation with several servers."""
    with importing():
        from nunatak import assembly

    assembly.run_loops(_settings(config, data=data))


@serve.command("engine")
def serve_engine(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the server calls this engine.")],
    config: Config = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="Which engine: local, htcondor, slurm, or another that is installed; else as the settings file says, else local."
        ),
    ] = None,
    options: Annotated[
        list[str] | None, typer.Option("--option", metavar="NAME=VALUE", help="An option of the engine; repeatable.")
    ] = None,
    data: Data = None,
    cores: Cores = None,
    memory: Memory = None,
    stop_tasks: StopTasks = False,
) -> None:
    """Start an engine and carry tasks to it: the one that the settings file describes by this name, if it describes any.

    The server is NUNATAK_URL, the token NUNATAK_TOKEN or what is in the file NUNATAK_TOKEN_FILE; else those of the settings
    file, else those of the local installation. Several addresses of the server are separated by commas: the next one is
    taken when one is away. A token in a file may be replaced at any time.
    """
    from nunatak.loops.parent import end_with_parent

    end_with_parent(os.environ)
    with importing():
        from nunatak.cli.recipes import parameters_of
        from nunatak.loops.engine_start import run_engine

    loaded = _loaded(config, data=data, cores=cores, memory=memory)
    table = _engine_table(loaded, name, described=kind is None)
    url, token = _engine_login(loaded.settings, table)
    merged = {**(table.options if kind in (None, table.kind) else {}), **parameters_of(options)}
    run_engine(loaded.settings, name, kind or table.kind, merged, url, token, stop_tasks=stop_tasks)


def _engine_table(loaded: Loaded, name: str, *, described: bool) -> EngineTable:
    """Return what the settings file says of an engine. Raises `NotFound` if it says nothing of one that has to be `described`."""
    from nunatak.core.settings_file import EngineTable, nearest

    if name not in loaded.engines and loaded.engines and described:
        hint = nearest(name, loaded.engines) or f"it has {', '.join(loaded.engines)}; or say what it is with --kind"
        raise NotFound(f"{loaded.written.path} describes no engine {name!r}", code="no-such-engine", hint=hint)
    return loaded.engines.get(name) or EngineTable()


def _engine_login(settings: Settings, table: EngineTable) -> tuple[str, Callable[[], str]]:
    """Return the server and what reads the token of an engine; a fresh local installation is given a moment to write it."""
    import time

    from nunatak.client.login import given_token, kept, local

    environ = {**os.environ, "NUNATAK_DATA": str(settings.data)}
    known = local(environ)
    url = os.environ.get("NUNATAK_URL") or table.url or (known.url if known else "")
    if not url and table.token_file:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - compared, not bound
        url = f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"
    if not url:
        raise Invalid("no server is given", code="no-server", hint="set NUNATAK_URL and NUNATAK_TOKEN_FILE")
    if given_token(os.environ):
        return url, lambda: given_token(os.environ)
    if table.token_file:
        place = table.token_file
        if not kept(place):
            raise Refused(f"{place} is empty", code="no-token", hint=MAKE_ONE)
        return url, lambda: kept(place)
    file, until = settings.data / "engine.token", time.monotonic() + 60.0
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.02)
    if not file.exists():
        raise Refused("there is no token for the engine", code="no-token", hint="set NUNATAK_TOKEN_FILE")
    return url, lambda: kept(file)


@app.command()
def migrate(config: Config = None, data: Data = None, local: Local = False, as_json: AsJson = False) -> None:
    """Bring the database to the form this version needs."""
    with importing():
        from nunatak import assembly

    report = assembly.migrate(_settings(config, data=data), say, local=local)
    if as_json:
        out_json(report)
    else:
        out(str(report))


@app.command()
def doctor(
    config: Config = None,
    data: Data = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Correct counts that are wrong, saying what changed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check that states, counts, history, leases and attempts agree, and what it all stands on; exit 7 if anything is wrong.

    That is: directories and who may write them, room on their disks, database, clocks, and who listens. Nothing is changed.
    """
    with importing():
        from nunatak import assembly

    report = assembly.doctor(_settings(config, data=data), repair=repair)
    if as_json:
        out_json(report.to_plain())
    else:
        out(str(report))
    if not report.sound:
        raise typer.Exit(WORK_FAILED)
