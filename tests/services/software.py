"""A software area as a site has one: a Python, and packages as wheels, at a path that all nodes see; made once.

A node may be another system than this machine, with a Python for which the packages are not made, and without a way out.
So this machine's Python lies in the area, free of the place where it was installed, and pip takes the wheels beside it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.services.roots import cache

_PYTHON = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
_LEFT_OUT = ("site-packages", "dist-packages", "test", "config-*", "idlelib", "tkinter", "turtledemo")


@dataclass(frozen=True)
class Area:
    """One area: `python`, `wheels`, `nodes` where nodes keep what they make, `here` an environment of this machine."""

    path: Path

    @property
    def nodes(self) -> Path:
        return self.path / "nodes"

    @property
    def here(self) -> Path:
        """A Python of this machine that has the packages, the same versions."""
        return self.path / "here" / "bin" / "python"

    @property
    def variables(self) -> dict[str, str]:
        """What a site sets for its jobs, so that they find the software and make environments of it."""
        return {
            "PATH": f"{self.path}/python/bin:/usr/local/bin:/usr/bin:/bin",
            "LD_LIBRARY_PATH": f"{self.path}/python/lib",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": f"{self.path}/wheels",
        }

    def once(self, name: str, make: Callable[[Path], None]) -> Path:
        """Return the directory `name`, made by one process and whole."""
        target = self.path / name
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.exists():
                draft = self.path / f".{name}"
                shutil.rmtree(draft, ignore_errors=True)
                draft.mkdir()
                make(draft)
                draft.rename(target)
        return target


def area(requirements: Path) -> Area:
    """Return the area with what a requirement file asks for. Raises `RuntimeError` with what pip says."""
    key = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    found = Area(cache() / f"software-{key}")
    found.once("python", _copy_python)
    wheels = found.once("wheels", lambda path: _pip(_PYTHON, "download", "-d", str(path), "-r", str(requirements)))
    found.once("nodes", lambda path: path.chmod(0o1777))
    if not (found.path / "here").exists():  # scripts in it name their place: it cannot be moved
        found.once("here-made", lambda _: _environment(found.here.parents[1], wheels, requirements))
    return found


def _copy_python(path: Path) -> None:
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    (path / "bin").mkdir()
    shutil.copy2(_PYTHON, path / "bin" / version)
    for name in ("python3", "python"):
        (path / "bin" / name).symlink_to(version)
    library = Path(str(sysconfig.get_config_var("LIBDIR")), str(sysconfig.get_config_var("INSTSONAME")))
    shutil.copytree(
        sysconfig.get_path("stdlib"), path / "lib" / version, ignore=shutil.ignore_patterns(*_LEFT_OUT), symlinks=True
    )
    if sysconfig.get_config_var("Py_ENABLE_SHARED"):
        shutil.copy2(library, path / "lib")


def _environment(home: Path, wheels: Path, requirements: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    _run(str(_PYTHON), "-m", "venv", str(home))
    _pip(home / "bin" / "python", "install", "--no-index", "--find-links", str(wheels), "-r", str(requirements))


def _pip(python: Path, *words: str) -> None:
    _run(str(python), "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check", *words)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
