"""What services with a system of their own have in common: where it is kept, by whom it is installed, how a command is run."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.services import apt


def cache() -> Path:
    """Return where installed systems are kept."""
    return Path(os.environ.get("NUNATAK_TEST_CACHE", "/var/tmp/nunatak-tests"))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that one process at a time can have."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(command: Sequence[str], *, env: Mapping[str, str] | None = None) -> str:
    """Run a command and return what it printed. Raises `RuntimeError` if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def installed(name: str, suite: str, finish: Callable[[Path], None]) -> Path:
    """Return the root of a system, bootstrapped and finished by the first process that wants it.

    Raises `RuntimeError` where that fails.
    """
    directory = cache() / name
    root = directory / "root"
    directory.mkdir(parents=True, exist_ok=True)
    with locked(directory / "lock"):
        if (directory / "installed").exists():
            return root
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise RuntimeError(f"{name} can be installed for tests by root on Debian only")
        apt.install(("debootstrap",), lambda: bool(shutil.which("debootstrap")))
        shutil.rmtree(root, ignore_errors=True)  # nothing can be mounted in it: mounts are made in private
        run(["debootstrap", "--variant=minbase", suite, str(root)])
        finish(root)
        (directory / "installed").touch()
    return root
