"""The only file that knows every concrete class: settings become services, services become a running server."""

from __future__ import annotations

import math
import os
import random
import signal
import socket
import threading
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import uvicorn

from nunatak.accounts import tokens
from nunatak.accounts.policy import Scope
from nunatak.accounts.tokens import Verifier
from nunatak.api.services import Limits, Services
from nunatak.core import ports
from nunatak.core.clock import Clock, Keys, system_clock, system_keys
from nunatak.core.errors import Conflict, Refused, Unavailable
from nunatak.core.settings import Settings
from nunatak.db import migrate as migrations
from nunatak.db.aside import Aside
from nunatak.db.bounds import Bounds
from nunatak.db.database import Database
from nunatak.db.kept import Kept
from nunatak.db.outage import Outage
from nunatak.loops import logging
from nunatak.loops.garbage import search_seldom
from nunatak.loops.maintenance import Maintenance, loops_of
from nunatak.loops.signals import forward_signals
from nunatak.loops.turns import take_short_turns
from nunatak.loops.wellness import Wellness
from nunatak.storage.content import ContentStore
from nunatak.storage.posix import PosixStorage
from nunatak.tasks.choosing import Rules
from nunatak.tasks.context import Contexts
from nunatak.tasks.logs.keeping import LogStore
from nunatak.tasks.sharing.usage import Decay
from nunatak.web.app import create_app

if TYPE_CHECKING:
    from nunatak.tasks.doctor import Report

__all__ = [
    "ApiServer",
    "Services",
    "build",
    "doctor",
    "listen",
    "local_token",
    "maintenance",
    "migrate",
    "run_api",
    "run_loops",
]

ROUND_SECONDS = 300.0
"""A loop whose round takes longer is not well."""
BACKLOG = 2048


def build(
    settings: Settings,
    *,
    clock: Clock = system_clock,
    keys: Keys = system_keys,
    chance: Callable[[], float] = random.random,
    role: str = "api",
    migrating: bool = True,
) -> Services:
    """Open everything that an installation consists of, and bring its database to this version's schema.

    Not `migrating`, an empty one is still made ready; raises `Conflict` for one of another version. `role` is the name
    under which PostgreSQL shows the connections.
    """
    database = Database(settings.database, bounds(settings), name=f"nunatak {role}")
    try:
        migrations.upgrade(database) if migrating else migrations.ready(database)
    except BaseException:
        database.close()
        raise
    kept = Kept(Aside(database))
    return Services(
        database=database,
        contexts=Contexts(decay=Decay(settings.half_life), kept=kept),
        storage=PosixStorage([_path(settings.store)]),
        blobs=ContentStore(settings.blobs),
        logs=LogStore(settings.logs, settings.log_limit, settings.log_retention, clock),
        tokens=Verifier(database, clock),
        clock=clock,
        keys=keys,
        chance=chance,
        store=settings.store.rstrip("/"),
        blobs_url=settings.blobs.absolute().as_uri(),
        url=settings.public_url,
        metrics=settings.metrics,
        limits=Limits(
            body=settings.body_limit,
            blob=settings.upload_limit,
            recipe=settings.recipe_limit,
            log=settings.log_limit,
            lease=settings.lease,
            heartbeat=settings.heartbeat,
            claim=settings.claim_limit,
            report=settings.report_limit,
            token=settings.token_lifetime,
            session=settings.session_lifetime,
        ),
        rules=Rules(settings.half_life, settings.aging, settings.gpu_worth, settings.probe),
    )


def bounds(settings: Settings) -> Bounds:
    """Return what one process may ask of the database."""
    return Bounds(
        pool=settings.database_pool,
        overflow=settings.database_overflow,
        wait=settings.database_wait,
        statement=settings.statement_timeout,
        lock=settings.lock_timeout,
        idle=settings.idle_timeout,
    )


def _path(url: str) -> Path:
    """Return the directory of a `file://` URL."""
    return Path(unquote(urlsplit(url).path))


def maintenance(services: Services, settings: Settings) -> Maintenance:
    """Return the loops of one server process, not started yet."""
    loops = loops_of(
        services.database,
        services.contexts,
        services.storage,
        services.logs,
        services.clock,
        store=services.store,
        interval=settings.loop_interval,
        lease=settings.lease,
        chance=services.chance,
    )
    return Maintenance(loops, services.database, services.clock, uuid.uuid4().hex)


def listen(settings: Settings) -> socket.socket:
    """Open the server's socket, so that its port is known before it answers. Raises `Conflict` or `Unavailable`."""
    try:
        found = ports.bound(settings.host, settings.port)
        found.listen(BACKLOG)
    except OSError as error:
        place = f"{settings.host}:{settings.port}"
        if isinstance(error, PermissionError):
            raise Refused(f"cannot listen on {place}: {error.strerror}", code="bad-port", hint="use --port") from error
        raise Conflict(
            f"cannot listen on {place}: {error.strerror}",
            code="port-taken",
            hint="stop the other server, or use --port",
        ) from error
    return found


class ApiServer(uvicorn.Server):
    """One server on a socket: `serve` blocks until `stop`, SIGINT or SIGTERM; streams are ended, requests finished."""

    def __init__(
        self,
        services: Services,
        sock: socket.socket,
        *,
        grace: float = 5.0,
        wellness: Wellness | None = None,
        proxies: str = "",
    ) -> None:
        """Prepare the application; requests have `grace` seconds to end, and `wellness` hears how it is.

        `proxies` are those who are believed when they say who asks.
        """
        self.services, self.sock, self.wellness = services, sock, wellness
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else answers wait 40 ms for an acknowledgement
        super().__init__(
            uvicorn.Config(
                create_app(services),
                access_log=False,
                log_config=None,
                server_header=False,
                ws="none",
                lifespan="on",
                proxy_headers=bool(proxies),
                forwarded_allow_ips=proxies,
                timeout_graceful_shutdown=math.ceil(grace),
                timeout_keep_alive=75,
                backlog=BACKLOG,
            )
        )

    @property
    def url(self) -> str:
        """Return where this server answers."""
        host, port = self.sock.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def serve_forever(self) -> None:
        """Answer requests until told to stop. Raises `Unavailable` if the server could not start."""
        self.run(sockets=[self.sock])
        if not self.started:
            raise Unavailable("the server could not start", code="no-start", hint="its log says why")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        if self.wellness:
            self.wellness.ready()

    async def on_tick(self, counter: int) -> bool:
        """Give a sign of life: as long as this is called, requests are answered."""
        if self.wellness:
            self.wellness.alive()
        return await super().on_tick(counter)

    def stop(self) -> None:
        """End streams and idle connections, let requests finish."""
        self.services.stopping.set()
        self.should_exit = True
        if self.wellness:
            self.wellness.stopping()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Stop on a signal, and let the caller go on after that; in other threads than the main one, take none."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._told) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _told(self, _: int, __: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.stop()


def run_api(settings: Settings, sock: socket.socket | None = None, *, loops: bool = True, local: bool = False) -> None:
    """Run the API, with the maintenance loops unless they run elsewhere, until a signal.

    With `local` an administrator's token is in the data directory before the first answer, and the database is brought to
    this version's schema. Otherwise raises `Conflict` for one of another version: `migrate` does that.
    """
    logging.configure()
    wellness = Wellness(os.environ, settings.alive)
    services = build(settings, migrating=local)
    if local:
        local_token(services, settings.data / "token", "local")
    house = maintenance(services, settings) if loops else None
    server = ApiServer(
        services, sock or listen(settings), grace=settings.grace, wellness=wellness, proxies=settings.proxies
    )
    try:
        if house:
            house.start()
        search_seldom()
        take_short_turns()
        server.serve_forever()
    finally:
        if house:
            house.stop()
        services.contexts.kept.close()
        services.database.close()


def run_loops(settings: Settings) -> None:
    """Run the maintenance loops alone until a signal. Raises `Conflict` for a database of another version."""
    logging.configure()
    wellness = Wellness(os.environ, settings.alive)
    services = build(settings, role="loops", migrating=False)
    house = maintenance(services, settings)
    stop = threading.Event()
    forward_signals(stop)
    house.start()
    search_seldom()
    wellness.ready()
    while not stop.wait(1.0):
        if house.longest() < ROUND_SECONDS:
            wellness.alive()
    wellness.stopping()
    house.stop()
    services.database.close()


def migrate(settings: Settings, tell: Callable[[str], None] = lambda _: None, *, local: bool = False) -> str:
    """Bring the database to this version's schema; returns a sentence that says what was done, and tells what is waited for.

    With `local` an administrator's token is in the data directory after that. Raises `Conflict` if the database is newer,
    `Unavailable` if its locks could not be had in time.
    """
    long = bounds(settings).for_long(settings.long_statement_timeout)
    database = Database(settings.database, long, name="nunatak migrate")
    try:
        applied = migrations.upgrade(database, pace=migrations.Pace(patience=settings.migrate_patience), tell=tell)
    finally:
        database.close()
    if local:
        services = build(settings)
        local_token(services, settings.data / "token", "local")
        services.database.close()
    done = f"applied {', '.join(applied)}" if applied else "nothing to do"
    return f"{done}; the database is at {migrations.head()}"


def doctor(settings: Settings, *, repair: bool) -> Report:
    """Look at the whole installation; with `repair`, correct kept counts that are wrong."""
    from nunatak.loops.premises import look_around
    from nunatak.tasks.doctor import Report, examine, no_database  # late: servers start faster without it

    now = system_clock()
    others = {"store": settings.store, "blobs": str(settings.blobs), "logs": str(settings.logs)}
    around = look_around(settings.data, others, settings.host, settings.port, now)
    absent = no_database(settings.database)
    if absent:  # to open it would make one
        return Report([*around.faults, absent], list(around.warnings))
    long = bounds(settings).for_long(settings.long_statement_timeout)
    database = Database(settings.database, long, name="nunatak doctor")
    database.outage = Outage(aloud=False)  # the report says it
    try:
        report = examine(
            database,
            Contexts(decay=Decay(settings.half_life)),
            repair=repair,
            now=now,
            missing=ContentStore(settings.blobs).missing,
            data=settings.data,
            clocks=True,
        )
    finally:
        database.close()
    return report.beside(around.faults, around.warnings)


def local_token(services: Services, path: Path, principal: str) -> str:
    """Return the administrator's token kept in a file that only its owner can read; made when there is none that opens."""
    try:
        text = path.read_text("ascii").strip()
        if services.tokens.verify(tokens.digest_of(text)).admin:
            return text
    except (FileNotFoundError, UnicodeDecodeError, Refused):
        pass
    text = tokens.new_text()
    services.database.run(
        lambda tx: tokens.issue(
            tx,
            text=text,
            name=f"local {path.name}",
            principal=principal,
            scopes=[Scope.ADMIN],
            days=None,
            now=services.clock(),
        )
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text + "\n")
    part.replace(path)
    return text
