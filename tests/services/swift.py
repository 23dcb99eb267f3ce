"""A real object storage that speaks S3 for tests: OpenStack Swift on loopback, its files in a directory of its own; and s3cmd.

Installed from the distribution's packages where they are missing (root on Debian): sixty small ones, so for long tests only.
"""

from __future__ import annotations

import getpass
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.services import apt, owned
from tests.services.ports import free_port
from tests.services.slurm import until

KINDS = ("account", "container", "object")
PACKAGES = ("swift-proxy", *(f"swift-{kind}" for kind in KINDS), "s3cmd")
COMMANDS = ("swift-proxy-server", *(f"swift-{kind}-server" for kind in KINDS), "swift-ring-builder", "s3cmd")
BUCKET = "tests"

SWIFT = "[swift-hash]\nswift_hash_path_suffix = tests\nswift_hash_path_prefix = tests\n"
SERVER = """\
[DEFAULT]
swift_dir = {base}/etc
devices = {base}/devices
mount_check = false
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
PROXY = """\
[DEFAULT]
swift_dir = {base}/etc
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
[pipeline:main]
pipeline = catch_errors cache s3api tempauth slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:tempauth]
use = egg:swift#tempauth
user_tests_writer = secret .admin
user_tests_reader = secret
[filter:s3api]
use = egg:swift#s3api
[filter:cache]
use = egg:swift#memcache
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""
S3CMD = """\
[default]
access_key = tests:{who}
secret_key = secret
host_base = 127.0.0.1:{port}
host_bucket = 127.0.0.1:{port}
use_https = False
"""


def is_installed() -> bool:
    """Tell whether servers and client are there."""
    return all(map(shutil.which, COMMANDS))


@dataclass
class Swift:
    """Four servers that are one storage, with the bucket `tests`: a writer may change it, a reader may not."""

    base: Path
    port: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @classmethod
    def make(cls) -> Swift:
        """Return a storage that runs. Raises `RuntimeError` where it cannot be installed."""
        apt.install(PACKAGES, is_installed)
        storage = cls(owned.directory("nunatak-swift-"), free_port())
        (storage.base / "devices" / "d1").mkdir(parents=True)
        (storage.base / "etc").mkdir()
        (storage.base / "etc/swift.conf").write_text(SWIFT)
        for kind in KINDS:
            storage._server(kind, free_port())
        storage._start("proxy", PROXY, storage.port)
        for who in ("writer", "reader"):
            path = storage.base / who / ".s3cfg"
            path.parent.mkdir()
            path.write_text(S3CMD.format(who=who, port=storage.port))
        until(storage._answers, f"Swift does not answer: {(storage.base / 'proxy.log').read_text()[-2000:]}")
        storage.s3cmd("mb", f"s3://{BUCKET}")
        return storage

    def _server(self, kind: str, port: int) -> None:
        ring = str(self.base / "etc" / f"{kind}.builder")
        device = f"r1z1-127.0.0.1:{port}/d1"
        for words in (("create", "4", "1", "1"), ("add", device, "1"), ("rebalance",)):
            subprocess.run(["swift-ring-builder", ring, *words], capture_output=True, check=True)
        self._start(kind, SERVER, port)

    def _start(self, kind: str, text: str, port: int) -> None:
        config = self.base / "etc" / f"{kind}.conf"
        config.write_text(text.format(base=self.base, kind=kind, port=port, user=getpass.getuser()))
        with (self.base / f"{kind}.log").open("ab") as log:
            self.processes.append(
                subprocess.Popen(
                    [f"swift-{kind}-server", str(config)],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )
            )  # fmt: skip

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5).close()
        except urllib.error.HTTPError:
            return True  # who shows nothing is refused
        except OSError:
            return False
        return True

    def s3cmd(self, *words: str, who: str = "writer") -> str:
        """Return what s3cmd prints. Raises `subprocess.CalledProcessError`."""
        command = ["s3cmd", "-c", str(self.base / who / ".s3cfg"), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def home(self, who: str) -> str:
        """Return the home directory where s3cmd finds who it speaks for."""
        return str(self.base / who)

    def stop(self) -> None:
        """End it, and remove its files."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            process.wait()
        shutil.rmtree(self.base, ignore_errors=True)
