"""What a server process says of itself to systemd and to probes."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from nunatak.core.clock import ManualClock
from nunatak.loops.wellness import Wellness


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock


def heard(sock: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(sock.recv(100).decode())
        except BlockingIOError:
            return found


def test_systemd_hears_that_it_is_ready_alive_and_stopping(systemd: socket.socket) -> None:
    clock = ManualClock(1000.0)
    environ = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "6000000", "WATCHDOG_PID": str(os.getpid())}
    well = Wellness(environ, monotonic=clock)
    assert environ == {}, "children must not speak in our name"
    well.ready()
    assert heard(systemd) == ["READY=1", "WATCHDOG=1"]
    well.alive()
    assert heard(systemd) == [], "twice in no time"
    clock.advance(2.0)
    well.alive()
    well.stopping()
    assert heard(systemd) == ["WATCHDOG=1", "STOPPING=1"]


def test_a_watchdog_meant_for_another_process_is_not_fed(systemd: socket.socket) -> None:
    well = Wellness({"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "6000000", "WATCHDOG_PID": "1"})
    well.ready()
    assert heard(systemd) == ["READY=1"]


def test_a_socket_without_a_file_is_found_too() -> None:
    name = f"nunatak-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name)
        sock.setblocking(False)
        Wellness({"NOTIFY_SOCKET": "@" + name}).ready()
        assert heard(sock) == ["READY=1"]


def test_a_file_is_touched_now_and_then(tmp_path: Path) -> None:
    clock, file = ManualClock(1000.0), tmp_path / "alive"
    well = Wellness({}, file, clock)
    well.alive()
    assert file.exists()
    os.utime(file, (1, 1))
    well.alive()
    assert file.stat().st_mtime == 1
    clock.advance(5.0)
    well.alive()
    assert file.stat().st_mtime > 1


def test_nobody_listening_and_no_room_for_the_file_are_no_errors(tmp_path: Path) -> None:
    well = Wellness({"NOTIFY_SOCKET": str(tmp_path / "none")}, tmp_path / "no" / "such" / "place")
    well.ready()
    well.stopping()
