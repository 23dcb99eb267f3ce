"""Moves files of other schemes with whichever client for them the node has; loaded only when a task has such a URL."""

import os
import select
import time

from . import process, transfer
from .logs import last_line
from .signals import signal
from .surroundings import find
from .transfer import Gone, Passing, Wrong, checksum, hasher, tried

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, List, NoReturn, Tuple

QUIET = 1800.0
"""Seconds after which a client that reads and writes nothing is ended."""
_SAID = 8192  # bytes kept of what a client said
_ENVIRONMENT = {
    "XRD_CONNECTIONWINDOW": "30",
    "XRD_CONNECTIONRETRY": "1",
    "XRD_STREAMERRORWINDOW": "20",
    "XRD_LOGLEVEL": "Error",
}
"""What clients are told where the node says nothing: to give up soon, since we try again ourselves."""

_GONE = ("no such file", "file not found", "does not exist", "nosuchkey", "no such key", " 404", "(404)", "[3011]")
_REFUSED = (
    "permission denied", "not authorized", "unauthorized", "forbidden", "access denied", " 401", " 403", "[3010]",
    "authentication failed", "auth failed", "no space left", "quota exceeded", "no protocol", "not supported",
)  # fmt: skip


class Client:
    """A program that copies: `words` begin its call, from a URL to a file or the other way.

    `reading` begins a call that writes what is at a URL to its standard output; `ending` ends that.
    """

    def __init__(self, *words: str, reading: "Tuple[str, ...]" = (), ending: "Tuple[str, ...]" = ()) -> None:
        """Nothing is looked for yet."""
        self.words = words
        self.reading = reading
        self.ending = ending

    @property
    def name(self) -> str:
        """The program."""
        return self.words[0]

    def there(self, name: str = "") -> bool:
        """Tell whether the node has it."""
        return find(name or self.name, os.environ.get("PATH", os.defpath)) is not None

    def call(self, verb: str, url: str, path: str) -> "List[str]":
        """Return the words that copy a file: `verb` is get or put."""
        local = "file://" + path if self.name in ("gfal-copy", "globus-url-copy") else path
        words = list(self.words)
        if self.name == "s3cmd":
            words.append(verb)
        there = _plain(url) if self.name == "stashcp" else url
        return words + ([there, local] if verb == "get" else [local, there])

    def read(self, url: str) -> "List[str]":
        """Return the words that write what is at a URL to standard output, none if it cannot."""
        return [*self.reading, url, *self.ending] if self.reading and self.there(self.reading[0]) else []


_GFAL = Client("gfal-copy", "-f", "-p", reading=("gfal-cat", "-b"))
_GLOBUS = Client("globus-url-copy", "-cd")
_PELICAN = Client("pelican", "object", "copy")
_OSDF = Client("osdf", "object", "copy")
_STASH = Client("stashcp")
CLIENTS = {
    "gsiftp": (_GFAL, _GLOBUS),
    "osdf": (_PELICAN, _OSDF, _STASH),
    "pelican": (_PELICAN, _OSDF),
    "stash": (_PELICAN, _STASH),
    "s3": (
        Client("aws", "s3", "cp", "--only-show-errors", reading=("aws", "s3", "cp", "--only-show-errors"), ending=("-",)),
        Client("s3cmd", "--force", "--no-progress"),
        _GFAL,
    ),
    "root": (Client("xrdcp", "-f", "-p", "-N", "-P", reading=("xrdcp", "-s"), ending=("-",)), _GFAL),
    "davs": (_GFAL,),
    "dav": (_GFAL,),
    "srm": (_GFAL,),
}  # fmt: skip
"""The clients for each scheme, the best first."""


def fetch(url: str, target: str, mode: int, size: int, sha256: str) -> "Tuple[int, str]":
    """Bring a file; return size and checksum. Raises `Gone`, `Wrong`, `OSError`."""
    client = _client(url)

    def once() -> "Tuple[int, str]":
        transfer.remove(target)
        _run(client.call("get", url, target), url, target)
        if not os.path.isfile(target):
            raise Passing("{}: {} ended well and brought nothing".format(url, client.name))
        found = checksum(target)
        if (size >= 0 and found[0] != size) or (sha256 and found[1] != sha256):
            raise Passing("{} brought {} bytes with checksum {}".format(url, *found))
        return found

    try:
        found: "Tuple[int, str]" = tried(once)
    except Wrong as error:
        if error.passing and os.path.isfile(target) and (size >= 0 or sha256):
            return checksum(target)  # the caller says what is wrong with it
        transfer.remove(target)
        raise
    except Gone:
        transfer.remove(target)  # some clients leave an empty file behind
        raise
    os.chmod(target, mode)
    return found


def put(url: str, source: str) -> "Tuple[int, str, bool]":
    """Bring a file to a URL and read it again; return size, checksum, and whether it could be read again.

    Raises `Wrong` and `OSError`.
    """
    client = _client(url)
    size, digest = checksum(source)

    def once() -> None:
        try:
            _run(client.call("put", url, source), url, source)
        except Gone as error:
            raise Wrong(str(error)) from error

    tried(once)
    try:
        back = tried(lambda: _read_back(client, url, source))
    except Gone as error:
        raise Wrong("{} is not there after it was stored".format(url)) from error
    if back is not None and back != (size, digest):
        raise Wrong("{} does not read back as it was written".format(url))
    return size, digest, back is not None


def _client(url: str) -> Client:
    known = CLIENTS[transfer.scheme_of(url)]
    for client in known:
        if client.there():
            return client
    names = ", ".join(client.name for client in known)
    raise Wrong("no client for {}:// on this node: looked for {}".format(transfer.scheme_of(url), names))


def _plain(url: str) -> str:
    """Return the path that stashcp takes for a URL."""
    return "/" + url.split("://", 1)[1].lstrip("/")


def _read_back(client: Client, url: str, source: str) -> "Any":
    """Return size and checksum of what is there; None where one may write but not read."""
    words = client.read(url)
    copy = "{}/.back-{}".format(os.path.dirname(source), os.getpid())
    try:
        if words:
            return _Sum().of(words, url, source)
        _run(client.call("get", url, copy), url, source)
        return checksum(copy)
    except _Refused:
        return None
    finally:
        transfer.remove(copy)


class _Sum:
    """Counts and sums what passes, so that no disk is needed for it."""

    def __init__(self) -> None:
        self.size, self.digest = 0, hasher(-1)

    def of(self, words: "List[str]", url: str, beside: str) -> "Tuple[int, str]":
        _run(words, url, beside, self.take)
        return self.size, self.digest.hexdigest()

    def take(self, data: bytes) -> None:
        self.size += len(data)
        self.digest.update(data)


class _Refused(Wrong):
    """The storage understood, and does not want to."""


def _run(words: "List[str]", url: str, beside: str, take: "Callable[[bytes], None]" = lambda _: None) -> None:
    """Run a client to its end; what it prints to standard output is given to `take`.

    Raises `Gone`, `Wrong`, `Passing`, by what it says.
    """
    log = "{}/.client-{}".format(os.path.dirname(beside), os.getpid())
    said = os.open(log, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    os.unlink(log)
    read, write = os.pipe()
    nothing = os.open(os.devnull, os.O_RDONLY)
    env = dict(_ENVIRONMENT, **os.environ)
    path = find(words[0], env.get("PATH", os.defpath)) or words[0]
    try:
        pid = process.spawn(path, words, env, os.path.dirname(beside), nothing, write, said)
        os.close(write)
        write = -1
        status = _wait(pid, read, take, url, words[0])
        if status:
            _judge(status, _end(said), url, words[0])
    finally:
        for fd in (said, read, nothing, *((write,) if write >= 0 else ())):
            os.close(fd)


def _wait(pid: int, read: int, take: "Callable[[bytes], None]", url: str, name: str) -> int:
    """Return the wait status of a client, what it prints being taken on the way; end it if it stands still."""
    printed, moved, since, look = 0, -1, time.monotonic(), 0.0
    poll = select.poll()
    poll.register(read, select.POLLIN)
    try:
        while True:
            data = os.read(read, 65536) if poll.poll(200) else None
            now = time.monotonic()
            if data:
                printed += len(data)
                take(data)
            elif data == b"":
                poll.unregister(read)
                return _reaped(pid)
            if now >= look:
                look, before = now + 10.0, moved
                moved = printed + _moved(pid)
                since = now if moved != before else since
            if now - since > QUIET:
                raise Wrong("{}: {} moved nothing for {:g} s, timed out".format(url, name, QUIET))
    except BaseException:
        _end_of(pid)
        raise


def _reaped(pid: int) -> int:
    """Return the wait status of a client that has closed its standard output; it has not long to live."""
    return os.waitpid(pid, 0)[1]


def _moved(pid: int) -> int:
    """Return how many bytes a client and all that came of it have read and written so far."""
    count = 0
    for one in [pid, *process.descendants(pid)]:
        try:
            with open("/proc/{}/io".format(one)) as stream:
                count += sum(int(line.split()[1]) for line in stream if line.startswith(("rchar", "wchar")))
        except (OSError, ValueError, IndexError):
            continue
    return count


def _end_of(pid: int) -> None:
    """Kill a client and all that came of it."""
    for one in [pid, *process.descendants(pid)]:
        try:
            os.kill(one, signal.SIGKILL)
        except OSError:
            continue
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass


def _end(file: int) -> bytes:
    size = os.fstat(file).st_size
    return os.pread(file, _SAID, max(0, size - _SAID))


def _judge(status: int, said: bytes, url: str, name: str) -> "NoReturn":
    """Say how a client failed, and whether another try may help."""
    how = "signal {}".format(os.WTERMSIG(status)) if os.WIFSIGNALED(status) else "exit code {}".format(status >> 8)
    text = "{}: {} ended with {}: {}".format(url, name, how, last_line(said) or "it said nothing")
    lower = said.decode("utf-8", "replace").lower()
    if any(sign in lower for sign in _GONE):
        raise Gone("there is no file " + text)
    if any(sign in lower for sign in _REFUSED):
        raise _Refused(text)
    raise Passing("the transfer broke off: " + text)
