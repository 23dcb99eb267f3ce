"""A real OpenSSH server for tests: on loopback, with keys, port and configuration of its own, ended by pid.

Installed from the distribution's packages where it is missing (root on Debian). It logs in who runs the tests.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.services import apt, owned
from tests.services.ports import free_port
from tests.services.slurm import kill_tree, until

CONF = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {base}/host_key
AuthorizedKeysFile {base}/login_key.pub
PidFile {base}/sshd.pid
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
LogLevel VERBOSE
SetEnv {variables}
"""
CLIENT = """\
Host cluster
    HostName 127.0.0.1
    Port {port}
    User {me}
    IdentityFile {base}/login_key
    IdentitiesOnly yes
    UserKnownHostsFile {base}/known_hosts
    StrictHostKeyChecking yes
"""
SSHD = "/usr/sbin/sshd"


def installed() -> None:
    """Install server and client if they are missing. Raises `RuntimeError` where that fails."""
    apt.install(("openssh-server", "openssh-client"), lambda: Path(SSHD).exists() and bool(shutil.which("ssh")))


@dataclass
class Sshd:
    """One server. `environ` makes `ssh cluster` reach it: the real ssh, with a configuration of its own."""

    base: Path
    pid: int
    port: int
    environ: dict[str, str]

    @classmethod
    def start(cls, variables: Mapping[str, str]) -> Sshd:
        """Start a server whose sessions have these variables."""
        installed()
        base, port = owned.directory("nunatak-ssh-"), free_port()
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        for name in ("host_key", "login_key"):
            subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", base / name), check=True)
        public = (base / "host_key.pub").read_text()
        (base / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}")
        words = " ".join(f'"{name}={value}"' for name, value in variables.items())
        (base / "sshd_config").write_text(CONF.format(port=port, base=base, variables=words))
        (base / "config").write_text(CLIENT.format(port=port, base=base, me=getpass.getuser()))
        wrapper = base / "bin" / "ssh"
        wrapper.parent.mkdir()
        wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {base}/config "$@"\n')
        wrapper.chmod(0o755)
        made = cls(base, 0, port, {**os.environ, "PATH": f"{wrapper.parent}:{os.environ.get('PATH', '')}"})
        made.listen()
        return made

    def listen(self) -> None:
        """Start the server (again), and wait until it is there."""
        (self.base / "sshd.pid").unlink(missing_ok=True)
        log = self.base / "log"
        subprocess.run((SSHD, "-f", self.base / "sshd_config", "-E", log), check=True)
        until(lambda: (self.base / "sshd.pid").exists() and (self.base / "sshd.pid").read_text(), "sshd does not start")
        self.pid = int((self.base / "sshd.pid").read_text())

    def connections(self) -> int:
        """Return how often anybody has logged in."""
        return (self.base / "log").read_text().count("Accepted publickey")

    def cut(self) -> None:
        """End the server and every connection at once."""
        kill_tree(self.pid)

    def hush(self) -> None:
        """End all connections, and go on listening."""
        for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            kill_tree(int(child), signal.SIGKILL)

    def stop(self) -> None:
        """End it and remove its files."""
        self.cut()
        shutil.rmtree(self.base, ignore_errors=True)
