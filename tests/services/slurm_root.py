"""A newer Slurm than this system's: that of Debian 13, installed once below the tests' cache, in a root of its own.

It sees the same files below the temporary directory, and nothing else of this system's.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services.roots import installed, run

SUITE = "trixie"
_MOUNT = """\
set -e
for place in proc sys dev; do mount --rbind "/$place" "$1/$place"; done
mount --rbind "$2" "$1$2"
echo ready
exec sleep infinity
"""


def _finish(root: Path) -> None:
    get = "apt-get update -q && apt-get install -q -y --no-install-recommends slurm-wlm munge python3"
    mount = 'mount -t proc proc "$1/proc"; exec chroot "$1" sh -c "$2"'
    apart = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private")
    run([*apart, "sh", "-c", mount, "sh", str(root), get], env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def system() -> Path:
    """Return the root of the system, installed by the first process that wants it."""
    return installed("slurm", SUITE, _finish)


@contextmanager
def newer_slurm() -> Iterator[tuple[str, ...]]:
    """Give the words before a command that is to be run there."""
    root, shared = system(), str(Path(tempfile.gettempdir()).resolve())
    (root / shared.lstrip("/")).mkdir(parents=True, exist_ok=True)
    apart = ("unshare", "--mount", "--propagation", "private")
    keeper = subprocess.Popen([*apart, "sh", "-c", _MOUNT, "sh", root, shared], stdout=subprocess.PIPE, text=True)
    try:
        assert keeper.stdout
        if keeper.stdout.readline() != "ready\n":
            raise RuntimeError(f"{root} could not be made ready")
        yield ("nsenter", f"--target={keeper.pid}", "--mount", "chroot", str(root))
    finally:
        keeper.kill()
        keeper.communicate()
