"""Keeps what the payload prints: at once, and never more than the limit, from the beginning and from the end.

While a task runs, `stdout` only grows, up to half the limit; what comes later goes to two segments beside it
(`stdout.tail.old`, `stdout.tail`). At the end the last half of the limit is appended to `stdout`, after a line that
says how much is missing. So a reader may follow the file by offset, and a kill -9 leaves beginning and end behind.
"""

import os

RECENT = 8192
"""Bytes of the end that are remembered for messages."""
_BLOCK = 65536


class CappedLog:
    """One stream of a payload; errors of the disk lose text, never the task."""

    def __init__(self, path: str, limit: int) -> None:
        """Start the file `path`; `limit` in bytes."""
        self.path = path
        self.head = max(limit // 2, 1)
        self.tail = max(limit - self.head, 1)
        self.total = 0
        self.recent = b""
        self._kept = 0
        self._segment = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
        self._late = -1

    def write(self, data: bytes) -> None:
        """Take bytes in the order they were printed."""
        self.total += len(data)
        self.recent = (self.recent + data)[-RECENT:] if len(data) < RECENT else data[-RECENT:]
        room = self.head - self._kept
        if room > 0:
            self._kept += min(room, len(data))
            _put(self._file, data[:room])
        if len(data) > room:
            self._write_late(data[max(room, 0) :])

    def _write_late(self, data: bytes) -> None:
        data = data[-self.tail :]
        if self._late < 0 or self._segment + len(data) > self.tail:
            self._turn()
        self._segment += len(data)
        _put(self._late, data)

    def _turn(self) -> None:
        """Begin a new segment; the one before stays, so that a whole tail is always there."""
        name = self.path + ".tail"
        if self._late >= 0:
            os.close(self._late)
            os.rename(name, name + ".old")
        self._late = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
        self._segment = 0

    def close(self) -> None:
        """Append the tail, and remove the segments."""
        if self._file < 0:
            return
        if self._late >= 0:
            os.close(self._late)
            self._append_tail()
        os.close(self._file)
        self._file = self._late = -1

    def _append_tail(self) -> None:
        names = [name for name in (self.path + ".tail.old", self.path + ".tail") if os.path.exists(name)]
        skip = max(sum(os.path.getsize(name) for name in names) - self.tail, 0)
        kept = sum(os.path.getsize(name) for name in names) - skip
        dropped = self.total - self._kept - kept
        if dropped > 0:
            _put(self._file, "\n[nunatak: {} bytes dropped here]\n".format(dropped).encode())
        for name in names:
            with open(name, "rb") as stream:
                skip -= stream.seek(min(skip, os.path.getsize(name)))
                for block in iter(lambda: stream.read(_BLOCK), b""):  # noqa: B023 - used within the turn
                    _put(self._file, block)
            os.unlink(name)


def last_line(recent: bytes) -> str:
    """Return the line that says most about a failure: a Python exception if there is one, else the last with text.

    No database keeps a NUL, which some programs print.
    """
    lines = [line.rstrip() for line in recent.decode("utf-8", "replace").replace("\0", "").splitlines()]
    start = max([i for i, line in enumerate(lines) if line.startswith("Traceback (most recent")] or [-1])
    after = [line for line in lines[start + 1 :] if line and not line.startswith(" ")] if start >= 0 else []
    text = after[0] if after else next((line for line in reversed(lines) if line.strip()), "")
    return text.strip()[:500]


def end(recent: bytes) -> str:
    """Return the last whole lines of what was printed, as text that any database can keep."""
    if len(recent) == RECENT:
        recent = recent[recent.find(b"\n") + 1 :]
    return recent.decode("utf-8", "replace").replace("\0", "\ufffd")


def _put(file: int, data: bytes) -> None:
    try:
        while data:
            data = data[os.write(file, data) :]
    except OSError:  # a full disk: the payload will say so itself
        pass
