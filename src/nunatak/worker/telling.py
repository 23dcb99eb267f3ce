"""Tells the engine now and then what a running attempt printed and used, where its order says how: a process of its own.

Nothing waits for it, and nobody hears of what goes wrong here: it tries again later and later, and stays silent where it
is refused. It is killed when the attempt is over.
"""

import binascii
import os
import stat
import sys
import time

from . import document, process
from .signals import SIGNALS, signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Tuple

STREAMS = ("stdout", "stderr")
MOST = 49152
"""Bytes of all streams that are told at a time."""
USED = ("at", "wall", "cpu", "memory", "disk", "gpu")
"""What is told of `usage.json`."""
TIMEOUT = 10.0
"""Seconds for which each step of a connection is waited for."""
FIRST, LAST = 30.0, 1800.0
"""Seconds until it is tried again after nobody was there; they double."""
LONGEST = 7200.0
"""Seconds after which it tells again at the latest, whatever it was answered."""
ROUNDS = 4
"""Requests of one connection at most."""
_MOST_ORDER, _MOST_ANSWER, _MOST_USAGE = 256000000, 65536, 65536
_BUSY = (408, 425, 429)


class Refused(Exception):  # noqa: N818
    """What is told is not wanted, now and later."""


def start(sandbox: str) -> int:
    """Begin to tell of the attempt in `sandbox`, in a process of its own; return its id, 0 if there is none.

    Signals are blocked meanwhile by who calls.
    """
    parent = os.getpid()
    try:
        pid = os.fork()
    except OSError:
        return 0
    if pid == 0:
        try:
            _become(parent)
            _tell(sandbox)
        finally:
            os._exit(0)  # whatever it was, the task has nothing to do with it
    return pid


def _become(parent: int) -> None:
    """Be a process that no signal of the attempt's reaches, and that ends with the worker."""
    os.setpgid(0, 0)
    for signum in (*SIGNALS, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(signum, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    process.die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _tell(sandbox: str) -> None:
    with open(os.path.join(sandbox, "task.json"), "rb") as stream:
        task = document.load(stream.read(_MOST_ORDER))
    live = task.get("live")
    if not isinstance(live, dict):
        return
    time.sleep(_about(float(live["after"]), 0.5))
    told = {key: task[key] for key in ("address", "lease")}
    told.update({key: live[key] for key in ("place", "key")})
    teller = Teller(sandbox, live["url"], live.get("ca", ""), told)
    pause = 0.0
    while True:
        try:
            again = teller.tell()
            pause = 0.0
        except Refused:
            return
        except Exception:  # noqa: BLE001 - nobody there, or somebody else: there is no end to what a network answers
            again = pause = min(max(FIRST, 2 * pause), LAST)
        time.sleep(_about(again, 0.1))


def _about(seconds: float, spread: float) -> float:
    """Return a time near another, so that those who began together do not go on together."""
    return seconds * (1 - spread + 2 * spread * ord(os.urandom(1)) / 255)


class Teller:
    """Knows what is wanted of the logs in one sandbox."""

    def __init__(self, sandbox: str, url: str, authority: str, told: "Dict[str, str]") -> None:
        """Tell to `url`; `told` says whose logs it is about. With `authority` (PEM) only what it vouches for is believed."""
        self.sandbox = sandbox
        self.told = told
        self.secure = url.startswith("https://")
        place = url.partition("://")[2]
        self.host, slash, path = place.partition("/")
        self.path = slash + path or "/"
        self.authority = authority
        self.wanted: "Dict[str, int]" = {}

    def tell(self) -> float:
        """Tell what there is, and what is wanted of it; return after how many seconds to tell again.

        Raises `Refused`, `OSError`, `http.client.HTTPException` or `ValueError`.
        """
        connection = self._connection()
        try:
            again = 0.0
            for _ in range(ROUNDS):
                again = self._once(connection)
                if again > 0:
                    break
            return max(again, 1.0)
        finally:
            connection.close()

    def _once(self, connection: "Any") -> float:
        body = document.dump(self.words())
        connection.request(
            "POST", self.path, body, {"Content-Type": "application/json", "User-Agent": "nunatak-worker"}
        )
        response = connection.getresponse()
        data = response.read(_MOST_ANSWER)
        if response.status != 200:
            if 400 <= response.status < 500 and response.status not in _BUSY:
                raise Refused
            raise OSError("answered {}".format(response.status))
        return self.heed(document.load(data))

    def _connection(self) -> "Any":
        import http.client

        if not self.secure:
            return http.client.HTTPConnection(self.host, timeout=TIMEOUT)
        import ssl

        context = ssl.create_default_context(cadata=self.authority or None)
        return http.client.HTTPSConnection(self.host, timeout=TIMEOUT, context=context)

    def words(self) -> "Dict[str, Any]":
        """Return what to say: how large the logs are, what is wanted of them, each as (stream, offset, base64), what was used."""
        room = MOST
        sizes: "Dict[str, int]" = {}
        parts: "List[Tuple[str, int, str]]" = []
        for stream in STREAMS:
            found = self._read(stream, room)
            if found is None:
                continue
            sizes[stream], data = found
            if data:
                room -= len(data)
                parts.append((stream, self.wanted[stream], binascii.b2a_base64(data).decode("ascii").strip()))
        return dict(self.told, sizes=sizes, parts=parts, **self._used())

    def _used(self) -> "Dict[str, Any]":
        """Return what was used so far as `usage`; nothing while nothing was measured."""
        found = self._look("usage.json", _MOST_USAGE, 0)
        try:
            plain = document.load(found[1] if found else b"")
        except ValueError:
            return {}
        return {"usage": {name: plain.get(name) for name in USED}} if isinstance(plain, dict) else {}

    def _read(self, stream: str, most: int) -> "Optional[Tuple[int, bytes]]":
        """Return the size of a log and what is wanted of it; None if there is none."""
        return self._look(stream, most, self.wanted.get(stream))

    def _look(self, name: str, most: int, offset: "Optional[int]") -> "Optional[Tuple[int, bytes]]":
        """Return the size of a file and bytes from `offset`, None for none of them; None if there is no file.

        A link or a pipe is none.
        """
        try:
            file = os.open(os.path.join(self.sandbox, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode):
                return None
            return found.st_size, os.pread(file, most, offset) if offset is not None else b""
        finally:
            os.close(file)

    def heed(self, answer: "Any") -> float:
        """Take an answer: from which byte on which streams are wanted, and when to tell again. Raises `ValueError`."""
        wanted, again = answer["want"], float(answer["again"])
        if not isinstance(wanted, dict) or not again >= 0:
            raise ValueError("not an answer")
        self.wanted = {stream: wanted[stream] for stream in STREAMS if _is_offset(wanted.get(stream))}
        return min(again, LONGEST)


def _is_offset(value: "Any") -> bool:
    return isinstance(value, int) and 0 <= value < sys.maxsize
