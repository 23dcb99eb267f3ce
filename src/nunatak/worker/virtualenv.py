"""Virtual environments made from requirement files, kept in the cache and shared by all attempts of a node."""

import fcntl
import hashlib
import os
import subprocess

from .clear import clear
from .failure import Failure
from .surroundings import find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, List

    Run = Callable[[List[str], Dict[str, str]], None]

_PROBE = "import sys, platform; print(sys.executable); print(sys.version, platform.machine())"
# Modules are compiled when they are first imported: most of an environment never is.
_PIP = ["-m", "pip", "install", "--quiet", "--no-input", "--no-compile", "--disable-pip-version-check", "-r"]


def virtual_environment(requirements: str, cache: str, env: "Dict[str, str]", run: "Run") -> str:
    """Return a directory with a virtual environment that has what the file `requirements` asks for.

    Built once for a file content and an interpreter, under a lock; a mark is written last, so that one whose building
    was interrupted is built anew. `run` executes an argument list, and raises `Failure` if it fails.
    """
    python, version = _interpreter(env)
    if not os.path.isfile(requirements):
        raise Failure("setup", "the requirement file {} is not among the inputs".format(os.path.basename(requirements)))
    with open(requirements, "rb") as stream:
        text = "\n".join([hashlib.sha256(stream.read()).hexdigest(), os.path.realpath(python), version])
    home = os.path.join(cache, "venv", hashlib.sha256(text.encode()).hexdigest()[:32])
    if not os.path.exists(os.path.join(home, ".complete")):
        os.makedirs(os.path.dirname(home), exist_ok=True)
        with open(home + ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.exists(os.path.join(home, ".complete")):
                _build(home, python, requirements, env, run)
    os.utime(os.path.join(home, ".complete"))  # so that one can see which are in use
    return home


def activate(home: str, env: "Dict[str, str]") -> None:
    """Put a virtual environment first."""
    env["VIRTUAL_ENV"] = home
    env["PATH"] = os.path.join(home, "bin") + os.pathsep + env["PATH"]


def _interpreter(env: "Dict[str, str]") -> "List[str]":
    program = find("python3", env["PATH"]) or find("python", env["PATH"])
    if program is None:
        raise Failure("setup", "a virtual environment is needed, and there is no python3 on this node")
    try:
        said = subprocess.check_output([program, "-c", _PROBE], env=env, stdin=subprocess.DEVNULL, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise Failure("setup", "{} does not run: {}".format(program, error)) from error
    return said.decode().splitlines()[:2]


def _build(home: str, python: str, requirements: str, env: "Dict[str, str]", run: "Run") -> None:
    clear(home)
    settings = {key: value for key, value in os.environ.items() if key.startswith("PIP_")}
    around = dict(env, **settings)
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
        around.pop(name, None)
    try:
        run([python, "-m", "venv", home], around)
        run([os.path.join(home, "bin", "python"), *_PIP, requirements], around)
    except BaseException:
        clear(home)
        raise
    with open(os.path.join(home, ".complete"), "w") as mark:
        mark.write(requirements + "\n")
