"""A real PostgreSQL server for tests and benchmarks: its own data directory, loopback and socket only."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.services import owned
from tests.services.ports import free_port


def binary(name: str) -> str:
    """Return the path of one of PostgreSQL's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    path = str(found[-1]) if found else shutil.which(name)
    if not path:
        raise RuntimeError(f"PostgreSQL's {name} is not installed: apt-get install postgresql")
    return path


@dataclass
class Postgres:
    """One running server. PostgreSQL refuses to run as root: then it runs as the user `postgres`."""

    directory: Path
    port: int
    user: str
    template: str = ""
    """A database here that others are copied from, as soon as there is one."""
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @classmethod
    def start(cls, *, fsync: bool = False, settings: dict[str, str] | None = None) -> Postgres:
        """Make a data directory and start the server; `fsync` as in production, or off for speed of tests."""
        directory = owned.directory("nunatak-pg-")
        user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        server = cls(directory, free_port(), user)
        if os.geteuid() == 0:
            shutil.chown(directory, user)
            directory.chmod(0o755)
        data = str(directory / "data")
        made = ["-A", "trust", "-U", "nunatak", "-E", "UTF8", "--locale=C", "--no-sync"]
        server._run([binary("initdb"), "-D", data, *made])
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(server.port),
            "unix_socket_directories": str(directory),
            "fsync": "on" if fsync else "off",
            "synchronous_commit": "on" if fsync else "off",
            "autovacuum": "on" if fsync else "off",  # it would come round in every database that a test left
            "max_connections": "60",
            "shared_buffers": "128MB",
            **(settings or {}),
        }
        server.configure("".join(f"{key} = '{value}'\n" for key, value in options.items()))
        server._run([binary("pg_ctl"), "-D", data, "-l", str(directory / "log"), "-w", "start"])
        return server

    def _run(self, command: list[str], text: str = "", environ: dict[str, str] | None = None) -> None:
        root = os.geteuid() == 0
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.directory,
            env=environ,
            user=self.user if root else None,
            extra_groups=[] if root else None,
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed: {done.stdout}{done.stderr}")

    def url(self, name: str) -> str:
        """Return the address of a database on this server."""
        return f"postgresql+psycopg://nunatak@127.0.0.1:{self.port}/{name}"

    def new_database(self, tablespace: str = "pg_default", template: str = "template1") -> str:
        """Create a database, an empty one or a copy of another that nobody is connected to, and return its address."""
        name = f"test_{next(self._numbers)}"
        with self.connect() as c:
            cheap = "STRATEGY file_copy" if c.info.server_version >= 150_000 else ""  # by half, for small ones
            c.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" TABLESPACE "{tablespace}" {cheap}'.encode())
        return self.url(name)

    def connect(self, name: str = "postgres", **more: Any) -> psycopg.Connection[Any]:
        """Open a connection of the administrator; each statement is a transaction."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="nunatak", dbname=name, autocommit=True, connect_timeout=10, **more
        )

    def set(self, name: str, value: str) -> None:
        """Change a setting of the running server."""
        with self.connect() as c:
            c.execute(f"ALTER SYSTEM SET {name} = {value}".encode())
            c.execute("SELECT pg_reload_conf()")

    def configure(self, lines: str) -> None:
        """Add lines to the file of settings; they hold from the next start on."""
        self._run(["/bin/sh", "-c", 'cat >> "$0"', str(self.directory / "data" / "postgresql.conf")], text=lines)

    def shell(self, text: str) -> None:
        """Run commands as the user of this server, as somebody would whose connections go to it."""
        where = {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "nunatak"}
        found = f"{Path(binary('initdb')).parent}:{os.environ.get('PATH', '')}"
        self._run(["/bin/sh", "-ec", text], environ={**os.environ, **where, "PATH": found})

    def pg_ctl(self, *words: str) -> None:
        """Run pg_ctl on this server: `stop -m immediate`, `start`, `restart`."""
        data = str(self.directory / "data")
        self._run([binary("pg_ctl"), "-D", data, "-l", str(self.directory / "log"), "-w", *words])

    def stop(self) -> None:
        """Stop the server and remove its files."""
        self.pg_ctl("stop", "-m", "immediate")
        owned.delete(self.directory)
