"""From a command of a task to a program with arguments: setup script and container around it; why it did not start."""

import errno
import os

from .failure import Failure
from .signals import name_of
from .surroundings import find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Tuple

    from .spec import Command, Task

# The mark tells a setup script that failed from a command that failed. A sourced script must not see the command's
# arguments, as some read them; only bash can hide them.
_BASH = '_nunatak=("$@"); set --; . "$0" && : > "${_nunatak[0]}" && exec "${_nunatak[@]:1}"'
_SH = '_nunatak=$1; shift; . "$0" && : > "$_nunatak" && exec "$@"'
_MACHINES = {3: "i386", 21: "ppc64", 22: "s390x", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}  # e_machine


def words(command: "Command") -> "List[str]":
    """Return the argument list a command stands for."""
    return ["/bin/sh", "-c", command.argv[0]] if command.shell else list(command.argv)


def wrap(argv: "List[str]", task: "Task", sandbox: str, search: str, mark: str) -> "List[str]":
    """Put the setup script and the container around an argument list. Raises `Failure` (setup)."""
    around = task.environment
    if around.setup:
        script = os.path.join(sandbox, "work", around.setup)
        if not os.path.isfile(script):
            raise Failure("setup", "the setup script {} is not among the inputs".format(around.setup))
        bash = not around.image and os.access("/bin/bash", os.X_OK)
        argv = ["/bin/bash" if bash else "/bin/sh", "-c", _BASH if bash else _SH, script, mark, *argv]
    if around.image:
        argv = [*container(search), *(["--nv"] if task.shape.gpu else []), "--bind", sandbox] + [
            "--pwd",
            os.path.join(sandbox, "work"),
            around.image,
            *argv,
        ]
    return argv


def container(search: str) -> "List[str]":
    """Return how a container is entered here. Raises `Failure` (setup)."""
    for name in ("apptainer", "singularity"):
        path = find(name, search)
        if path:
            return [path, "exec"]
    raise Failure("setup", "the task needs a container image, and neither apptainer nor singularity is on this node")


def locate(name: str, search: str, cwd: str) -> str:
    """Return the path to execute for the first word of a command. Raises `Failure` (command)."""
    found = find(name, "", cwd) if "/" in name else find(name, search, cwd)
    if found:
        return name if "/" in name else found
    path = os.path.join(cwd, name)
    if os.path.isdir(path) and "/" in name:
        raise Failure("command", "cannot run {}: it is a directory".format(name))
    if os.path.isfile(path) and "/" in name:
        raise Failure("command", "cannot run {}: it is not executable".format(name))
    hint = " (in the sandbox there is one: write ./{})".format(name) if os.path.isfile(path) else ""
    raise Failure("command", "command not found: {}{}".format(name, hint))


def not_started(path: str, cwd: str, error: OSError) -> Failure:
    """Explain why the system would not execute a program."""
    name = os.path.basename(path)
    head = _head(os.path.join(cwd, path))
    if error.errno == errno.ENOENT and head.startswith(b"#!"):
        interpreter = head[2:].split(b"\n")[0].strip().decode("utf-8", "replace")
        return Failure("command", "command not found: {} (the first line of {})".format(interpreter, name))
    if error.errno == errno.ENOENT:
        return Failure("command", "cannot run {}: its loader is not on this node".format(name))
    if error.errno == errno.ENOEXEC:
        text = "exec format error: {} is {}, this node is {}".format(name, kind(head), os.uname().machine)
        return Failure("command", text)
    return Failure("command", "cannot run {}: {}".format(name, error.strerror))


def kind(head: bytes) -> str:
    """Say what sort of program begins with these bytes."""
    if head.startswith(b"\x7fELF") and len(head) >= 20:
        order = "big" if head[5] == 2 else "little"
        machine = int.from_bytes(head[18:20], order)  # type: ignore[arg-type]
        return "built for " + _MACHINES.get(machine, "machine number {}".format(machine))
    if head.startswith(b"MZ"):
        return "built for Windows"
    if head[:4] in (b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"):
        return "built for macOS"
    return "no program (a script needs a first line such as #!/bin/sh)" if head else "empty"


def display(argv: "List[str]") -> str:
    """Return a command for a sentence: not too long, on one line."""
    text = " ".join(" ".join(word.split()) or "''" for word in argv)
    return text if len(text) <= 80 else text[:77] + "..."


def shell_exit(code: int) -> "Tuple[int, str]":
    """Return the signal number that an exit code of a shell stands for, with a remark; (0, "") if none."""
    if 129 <= code <= 159:
        name = name_of(code - 128)
        return code - 128, " (as a shell says: killed by {})".format(name) if name.startswith("SIG") else ""
    return 0, ""


def _head(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(256)
    except OSError:
        return b""
