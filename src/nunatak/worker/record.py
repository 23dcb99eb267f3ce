"""What the worker leaves in the sandbox for others: worker.log, usage.json, outcome.json, whole or not at all."""

import os
import time

from . import document, spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict

_RESERVE = 64 * 1024  # bytes of disk for usage.json and outcome.json


class Phase:
    """Times one phase."""

    def __init__(self, name: str, phases: "Dict[str, float]") -> None:
        """Put the seconds into `phases` under `name`."""
        self.name = name
        self.phases = phases

    def __enter__(self) -> None:
        """Start."""
        self.start = time.monotonic()

    def __exit__(self, *_: object) -> None:
        """Stop, however it went."""
        self.phases[self.name] = round(time.monotonic() - self.start, 4)


class Talk:
    """worker.log: what the worker has to say about itself."""

    def __init__(self, path: str) -> None:
        """Start a new file."""
        self.path = path
        with open(path, "wb"):
            pass

    def say(self, text: str) -> None:
        """Add one line with the time."""
        self._add("{} {}\n".format(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), text).encode("utf-8", "replace"))

    def add(self, path: str) -> None:
        """Add the text of a file, and remove the file."""
        with open(path, "rb") as stream:
            self._add(stream.read())
        os.unlink(path)

    def traceback(self) -> None:
        """Add where the present exception came from."""
        import traceback

        self._add(traceback.format_exc().encode("utf-8", "replace"))

    def _add(self, data: bytes) -> None:
        try:
            with open(self.path, "ab") as stream:
                stream.write(data)
        except OSError:
            pass


def blank(address: str, lease: str) -> "Dict[str, Any]":
    """Return an outcome in which nothing has happened yet."""
    return {
        "format": spec.FORMAT,
        "address": address,
        "lease": lease,
        "reason": "internal",
        "message": "",
        "exit": None,
        "signal": None,
        "started": time.time(),
        "ended": None,
        "host": os.uname().nodename,
        "usage": {"wall": None, "cpu": None, "memory": None, "disk": None, "gpu": None},
        "inputs": [],
        "outputs": [],
        "detail": {},
    }


def write(path: str, plain: "Dict[str, Any]", durable: bool = False) -> None:
    """Write JSON so that a reader sees the whole or nothing; `durable` waits for the disk."""
    with open(path + ".new", "wb") as stream:
        stream.write(document.dump(plain))
        if durable:
            stream.flush()
            os.fsync(stream.fileno())
    os.rename(path + ".new", path)


def forget(sandbox: str) -> None:
    """Remove what an earlier run in the same sandbox has left, so that nobody takes it for this one's."""
    for name in ("outcome.json", "usage.json"):
        try:
            os.unlink(os.path.join(sandbox, name))
        except FileNotFoundError:
            pass


def reserve(sandbox: str) -> None:
    """Keep some room, so that a payload which fills the disk can still be reported."""
    try:
        file = os.open(os.path.join(sandbox, ".reserve"), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(file, 0, _RESERVE)
        finally:
            os.close(file)
    except OSError:
        pass


def release(sandbox: str) -> None:
    """Give the room back."""
    try:
        os.unlink(os.path.join(sandbox, ".reserve"))
    except OSError:
        pass


def epitaph(sandbox: str, reason: str, message: str) -> None:
    """Write the outcome of an attempt that cannot say so itself, with the usage it had left. Raises `OSError`."""
    place = os.path.join(sandbox, "outcome.json")
    try:
        task = spec.read(os.path.join(sandbox, "task.json"))
    except spec.Malformed:
        return
    if os.path.exists(place):
        return
    outcome = dict(blank(task.address, task.lease), reason=reason, message=message, ended=time.time())
    release(sandbox)
    try:
        with open(os.path.join(sandbox, "usage.json"), "rb") as stream:
            usage = document.load(stream.read())
        outcome.update(started=usage.pop("started"), usage={key: usage[key] for key in outcome["usage"]})
        outcome["detail"].update((key, usage[key]) for key in ("course",) if key in usage)
    except (OSError, ValueError, KeyError):
        pass
    if reason == "unbegun":
        outcome["started"] = None
    write(place, outcome, durable=reason != "unbegun")  # many come at once, and whoever misses one sees as much
