"""A real GridFTP server for tests: on loopback, with certificates of an authority of its own, ended by pid; and its clients.

Installed from the distribution's packages where they are missing (root on Debian).
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.services import apt, owned
from tests.services.authority import NAME, Authority
from tests.services.ports import free_port
from tests.services.slurm import until

PACKAGES = (
    "globus-gridftp-server-progs",
    "globus-gass-copy-progs",
    "globus-proxy-utils",
    "gfal2-util-scripts",
    "python3-gfal2-util",
    "gfal2-plugin-gridftp",
    "gfal2-plugin-file",
    "openssl",
)
COMMANDS = ("globus-gridftp-server", "globus-url-copy", "grid-proxy-init", "gfal-copy", "gfal-cat", "openssl")
USER = "A User"


def is_installed() -> bool:
    """Tell whether server and clients are there, gfal's way of speaking to it among them."""
    plugin = next(Path("/usr/lib").glob("*/gfal2-plugins/libgfal_plugin_gridftp.so"), None)
    return plugin is not None and all(map(shutil.which, COMMANDS))


def installed() -> None:
    """Install server and clients if they are missing. Raises `RuntimeError` where that fails."""
    apt.install(PACKAGES, is_installed)


@dataclass
class Gridftp:
    """One server; what is at `gsiftp://localhost:PORT/PATH` is the file `PATH`, and those of tests are below `files`."""

    base: Path
    port: int
    authority: Authority
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def make(cls) -> Gridftp:
        """Return a server that runs, and a proxy certificate of a user whom it knows."""
        installed()
        base = owned.directory("nunatak-gridftp-")
        base.chmod(0o755)
        server = cls(base, free_port(), Authority.make(base / "authority"))
        account = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        server.files.mkdir()
        if os.geteuid() == 0:
            shutil.chown(server.files, account)
        (base / "gridmap").write_text(f'"{NAME}/CN={USER}" {account}\n')
        certificate, key = server.authority.sign(USER, "user")
        words = ["grid-proxy-init", "-q", "-cert", str(certificate), "-key", str(key), "-out", str(base / "proxy")]
        subprocess.run(words, env={**os.environ, "X509_CERT_DIR": str(server.authority.trusted)}, check=True)
        server.start()
        return server

    @property
    def files(self) -> Path:
        """The directory of its files."""
        return self.base / "files"

    @property
    def url(self) -> str:
        """The URL of that directory."""
        return f"gsiftp://localhost:{self.port}{self.files}"

    @property
    def variables(self) -> dict[str, str]:
        """What a client finds the user's proxy certificate and the authority by."""
        return {"X509_USER_PROXY": str(self.base / "proxy"), "X509_CERT_DIR": str(self.authority.trusted)}

    def start(self) -> None:
        """Start it, and wait until it answers."""
        certificate, key = self.authority.host("gridftp")
        environ = {name: value for name, value in os.environ.items() if not name.startswith("X509_")}
        environ |= {
            "X509_USER_CERT": str(certificate), "X509_USER_KEY": str(key), "GRIDMAP": str(self.base / "gridmap"),
            "X509_CERT_DIR": str(self.authority.trusted),
        }  # fmt: skip
        words = ["globus-gridftp-server", "-p", str(self.port), "-control-interface", "127.0.0.1"]
        words += ["-data-interface", "127.0.0.1", "-log-level", "ERROR,WARN", "-logfile", str(self.base / "log")]
        with (self.base / "out").open("ab") as out:
            self.process = subprocess.Popen(
                words, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        until(self._answers, f"the GridFTP server does not answer: {(self.base / 'out').read_text()[-2000:]}")

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            return connection.recv(4).startswith(b"220")
        return False

    def stop(self) -> None:
        """End it and what it started, and remove its files."""
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
        shutil.rmtree(self.base, ignore_errors=True)
