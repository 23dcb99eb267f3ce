"""A real XRootD server for tests: on loopback, its files in a directory of its own, ended by pid; and the clients for it.

Installed from the distribution's packages where they are missing (root on Debian).
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.services import apt, owned
from tests.services.authority import Authority
from tests.services.ports import free_port
from tests.services.slurm import until

PACKAGES = (
    "xrootd-server",
    "xrootd-client",
    "gfal2-util-scripts",
    "python3-gfal2-util",
    "gfal2-plugin-xrootd",
    "gfal2-plugin-http",
    "openssl",
    "gfal2-plugin-file",
)
COMMANDS = ("xrootd", "xrdcp", "gfal-copy", "gfal-cat", "openssl")
PYTHON = "/usr/bin/python3"
"""The Python for which gfal2 is installed; its commands find it by GFAL_PYTHONBIN."""
CONF = """\
xrd.port {port}
xrd.network nodnr norpipa
all.export /
oss.localroot {base}/files
all.adminpath {base}/admin
all.pidpath {base}/admin
xrd.tls {certificate} {key}
xrd.tlsca certdir {trusted}
xrd.protocol XrdHttp:{web} libXrdHttp.so
"""


def is_installed() -> bool:
    """Tell whether server and clients are there, gfal's way of speaking WebDAV among them."""
    plugin = next(Path("/usr/lib").glob("*/gfal2-plugins/libgfal_plugin_http.so"), None)
    return plugin is not None and all(map(shutil.which, COMMANDS))


def installed() -> None:
    """Install server and clients if they are missing. Raises `RuntimeError` where that fails."""
    apt.install(PACKAGES, is_installed)


@dataclass
class Xrootd:
    """One server; what is at `root://127.0.0.1:PORT//a/b` is `files/a/b`, and so it is at `davs://localhost:WEB/a/b`."""

    base: Path
    port: int
    web: int
    authority: Authority
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def make(cls, authority: Authority | None = None) -> Xrootd:
        """Return a server that runs, with a certificate of an authority, which is made if none is given."""
        installed()
        base = owned.directory("nunatak-xrootd-")
        base.chmod(0o755)
        server = cls(base, free_port(), free_port(), authority or Authority.make(base / "authority"))
        for path in (server.files, server.base / "admin"):
            path.mkdir()
            if os.geteuid() == 0:
                shutil.chown(path, "nobody")
        certificate, key = server.authority.host("xrootd")
        if os.geteuid() == 0:
            shutil.chown(key, "nobody")
        text = CONF.format(
            port=server.port, base=server.base, web=server.web,
            certificate=certificate, key=key, trusted=server.authority.trusted,
        )  # fmt: skip
        (server.base / "xrootd.cfg").write_text(text)
        server.start()
        return server

    @property
    def files(self) -> Path:
        """The directory of its files."""
        return self.base / "files"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        words = ["xrootd", "-c", str(self.base / "xrootd.cfg"), *(("-R", "nobody") if os.geteuid() == 0 else ())]
        with (self.base / "log").open("ab") as log:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        until(self._answers, f"xrootd does not answer: {(self.base / 'log').read_text()[-2000:]}")

    def _answers(self) -> bool:
        with suppress(OSError):
            for port in (self.port, self.web):
                socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        return False

    def kill(self) -> None:
        """Kill -9 it."""
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """End it, and remove its files."""
        self.kill()
        shutil.rmtree(self.base, ignore_errors=True)

    def hold(self, name: str, content: bytes) -> Path:
        """Put a file there."""
        path = self.files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path
