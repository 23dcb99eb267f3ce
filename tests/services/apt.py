"""Packages of this machine: installed by one process at a time, whichever test wants them first."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path


def install(packages: Sequence[str], there: Callable[[], bool]) -> None:
    """Install Debian packages unless `there` says that they are. Raises `RuntimeError` where that fails."""
    if there():
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise RuntimeError(f"{', '.join(packages)} can be installed for tests by root on Debian only")
    with Path(tempfile.gettempdir(), "nunatak-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if there():
            return
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in (("update", "-qq"), ("install", "-y", "-qq", "--no-install-recommends", *packages)):
            command = ("apt-get", "-o", "DPkg::Lock::Timeout=600", *words)
            done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{' '.join(command)} failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
