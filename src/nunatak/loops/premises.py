"""What an installation stands on, for `nunatak doctor`: its directories, room on their disks, who runs it, its port and clock."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nunatak.core import ports
from nunatak.core.units import memory_text, time_text
from nunatak.loops.up import noted

TIGHT = 1_000_000_000
"""Free bytes below which a disk is worth a warning."""
FULL = 50_000_000
"""Free bytes below which things fail."""
SKEW = 5.0
"""Seconds by which a file may be ahead of the clock."""
SECONDS = 30.0
"""How long a server may take to answer."""
OWN = ("nunatak.db", "nunatak.db-wal", "nunatak.db-shm", "blobs", "store", "logs", "sandboxes", "token", "engine.token")


@dataclass(frozen=True, slots=True)
class Room:
    """What is left on the disk of a directory: bytes and files for this user, and how many there could be."""

    free: int
    files: int
    most_files: int


@dataclass(frozen=True, slots=True)
class Running:
    """Who runs `nunatak up` in a directory: `alive` tells whether the lock is held, the note says what was last known."""

    alive: bool
    pid: int = 0
    url: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What is wrong, or worth a look."""

    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def look_around(data: Path, others: Mapping[str, str], host: str, port: int, now: float) -> Found:
    """Look at the directory `data`, at `others` (paths or URLs of files by setting) and at who listens; changes nothing."""
    faults = about_place(data)
    if faults or not data.is_dir():
        return Found(tuple(faults))
    warnings: list[str] = []
    places = {data, *(path for path in map(_path, others.values()) if path)}
    for place in sorted(places - {data}):
        faults += about_place(place)
    for where, room in _rooms(places):
        fault, warning = about_room(where, room)
        faults += [fault] if fault else []
        warnings += [warning] if warning else []
    warnings += about_owners(data, {name: (data / name).stat().st_uid for name in OWN if (data / name).exists()})
    warnings += about_times({path.name: path.stat().st_mtime for path in data.iterdir() if path.is_file()}, now)
    running = running_in(data)
    fault, warning = about_server(running, data, f"{host}:{port}", answers, lambda: taken(host, port))
    return Found((*faults, *([fault] if fault else [])), (*warnings, *([warning] if warning else [])))


def about_place(place: Path) -> list[str]:
    """Say what keeps a directory from being used; one that is not there is made when it is needed."""
    if place.exists() and not place.is_dir():
        return [f"{place} is not a directory: move it away, or name another with --data"]
    if place.is_dir() and not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        return [f"{place} cannot be written by this user: it belongs to {_name(place.stat().st_uid)}"]
    return []


def about_room(where: Path, room: Room) -> tuple[str, str]:
    """Return a fault and a warning, or "" for either, on the room that is left for a directory."""
    left = memory_text(room.free)
    if room.free < FULL:
        return f"the disk of {where} is full, {left} are left: make room, or what is written there fails", ""
    if room.most_files and room.files < 1000:
        return f"the disk of {where} has room for {room.files} more files only: delete some there", ""
    if room.free < TIGHT:
        return "", f"the disk of {where} has {left} left: make room in time"
    return "", ""


def about_owners(data: Path, owners: Mapping[str, int]) -> list[str]:
    """Name what does not belong to whom the directory belongs to: a server of that user cannot write it."""
    mine = data.stat().st_uid
    return [
        f"{data / name} belongs to {_name(owner)}, and {data} to {_name(mine)}: chown -R {_name(mine)} {data}"
        for name, owner in owners.items()
        if owner != mine
    ]


def about_times(written: Mapping[str, float], now: float) -> list[str]:
    """Say that the clock was set back, if a file is of a time to come."""
    ahead = max(written.values(), default=now) - now
    if ahead <= SKEW:
        return []
    name = max(written, key=lambda name: written[name])
    return [f"{name} was written {time_text(round(ahead))} from now: the clock of this machine was set back"]


def about_server(
    running: Running, data: Path, usual: str, answers: Callable[[str], bool | None], taken: Callable[[], bool]
) -> tuple[str, str]:
    """Return a fault and a warning, or "" for either, on who should answer.

    `answers` tells whether a Nunatak is at an address: None if nobody is. `taken` tells whether the `usual` port is.
    """
    if running.alive and running.url and not answers(running.url):
        return (
            f"process {running.pid} runs nunatak in {data}, and nothing answers at {running.url}:"
            f" see {data / 'api.log'}, then end it (kill {running.pid}) and start it again",
            "",
        )
    if running.alive:
        return "", ""
    if taken() and answers(f"http://{usual}") is False:
        return "", f"{usual} is taken by something else: nunatak up needs another, --port or NUNATAK_PORT"
    if running.pid:
        return "", f"process {running.pid}, which ran nunatak in {data}, was killed: nunatak up takes its work up again"
    return "", ""


def running_in(data: Path) -> Running:
    """Find out who runs `nunatak up` in a directory, without disturbing."""
    pid, url = noted(data)
    try:
        lock = os.open(data / "up.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return Running(False, pid, url)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return Running(False, pid, url)
    except OSError:
        return Running(True, pid, url)
    finally:
        os.close(lock)


def answers(url: str) -> bool | None:
    """Tell whether a server of ours is at an address; None if nobody answers."""
    at = urlsplit(url)
    connection = HTTPConnection(at.hostname or "", at.port or 80, timeout=SECONDS)
    try:
        connection.request("GET", "/healthz")
        got = connection.getresponse()
        return got.status == 200 and json.loads(got.read(1000)) == {"status": "ok"}
    except OSError:
        return None
    except (HTTPException, ValueError):
        return False
    finally:
        connection.close()


def taken(host: str, port: int) -> bool:
    """Tell whether somebody listens on a port."""
    try:
        with ports.bound(host, port):
            return False
    except (OSError, OverflowError):
        return True


def _rooms(places: Iterable[Path]) -> Iterator[tuple[Path, Room]]:
    """Yield what is left on each disk once, with the first directory that is on it."""
    seen = set()
    for place in sorted(places):
        if place.is_dir() and (disk := place.stat().st_dev) not in seen:
            seen.add(disk)
            left = os.statvfs(place)
            yield place, Room(left.f_bavail * left.f_frsize, left.f_favail, left.f_files)


def _path(place: str) -> Path | None:
    """Return the path of a directory, or of a URL of files; None for what is not on this machine."""
    if "://" not in place:
        return Path(place)
    at = urlsplit(place)
    return Path(unquote(at.path)) if at.scheme == "file" else None


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
