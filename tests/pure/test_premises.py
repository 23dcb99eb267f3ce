"""What an installation stands on: what is wrong with its directories, disks, owners, clock and port is said with what helps."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from nunatak.loops.premises import Room, Running, about_owners, about_room, about_server, about_times, look_around

NOW = 1_800_000_000.0
DATA = Path("/data")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    place = tmp_path / "data"
    place.mkdir(mode=0o700)
    return place


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("room", "fault", "warning"),
    [
        (Room(10**12, 10**6, 10**7), "", ""),
        (Room(10**12, 0, 0), "", ""),  # a file system that does not count files
        (Room(0, 10**6, 10**7), "the disk of /data is full, 0 B are left: make room", ""),
        (Room(900_000_000, 10**6, 10**7), "", "the disk of /data has 900 MB left: make room in time"),
        (Room(10**12, 3, 10**7), "the disk of /data has room for 3 more files only", ""),
    ],
)
def test_room_on_a_disk(room: Room, fault: str, warning: str) -> None:
    found = about_room(DATA, room)
    assert [bool(text) for text in found] == [bool(fault), bool(warning)]
    assert found[0].startswith(fault)
    assert found[1].startswith(warning)


@pytest.mark.parametrize(
    ("running", "ours", "taken", "fault", "warning"),
    [
        (Running(False), None, False, "", ""),
        (Running(True, 7, "http://x"), True, True, "", ""),
        (Running(True), None, True, "", ""),  # it is on its way up
        (Running(True, 7, "http://x"), None, True, "process 7 runs nunatak in /data, and nothing answers", ""),
        (Running(False), True, True, "", ""),  # another installation, or a server of this one
        (Running(False), False, True, "", "127.0.0.1:8642 is taken by something else"),
        (Running(False, 7, "http://x"), None, False, "", "process 7, which ran nunatak in /data, was killed"),
    ],
)
def test_who_should_answer(running: Running, ours: bool | None, taken: bool, fault: str, warning: str) -> None:
    found = about_server(running, DATA, "127.0.0.1:8642", lambda _: ours, lambda: taken)
    assert [bool(text) for text in found] == [bool(fault), bool(warning)]
    assert found[0].startswith(fault)
    assert found[1].startswith(warning)


def test_a_file_of_a_time_to_come_tells_of_a_clock_that_was_set_back() -> None:
    assert about_times({}, NOW) == about_times({"a": NOW - 100, "b": NOW + 1}, NOW) == []
    (said,) = about_times({"a": NOW, "api.log": NOW + 7200}, NOW)
    assert said.startswith("api.log was written 2 h from now")


def test_files_of_somebody_else_are_named_with_what_mends_it(data: Path) -> None:
    mine = data.stat().st_uid
    assert about_owners(data, {"nunatak.db": mine}) == []
    (said,) = about_owners(data, {"nunatak.db": mine, "nunatak.db-wal": mine + 54_321})
    assert said.startswith(f"{data}/nunatak.db-wal belongs to {mine + 54_321}")
    assert said.endswith(str(data))


def test_nothing_is_said_of_what_is_well_and_nothing_is_made(data: Path, free_port: int) -> None:
    others = {"store": f"file://{data}/store", "blobs": f"{data}/blobs", "logs": "s3://bucket"}
    found = look_around(data, others, "127.0.0.1", free_port, data.stat().st_mtime)
    assert found.faults == ()
    assert list(data.iterdir()) == []


def test_a_file_in_the_place_of_a_directory_is_a_fault(data: Path, free_port: int) -> None:
    (data / "blobs").touch()
    (said,) = look_around(data, {"blobs": f"{data}/blobs"}, "127.0.0.1", free_port, NOW * 2).faults
    assert said.startswith(f"{data}/blobs is not a directory")
    (said,) = look_around(data / "blobs", {}, "127.0.0.1", free_port, NOW * 2).faults
    assert "--data" in said


def test_what_is_left_of_a_killed_process_and_one_that_does_not_answer(data: Path, free_port: int) -> None:
    (data / "up.json").write_text(json.dumps({"pid": 77, "url": f"http://127.0.0.1:{free_port}"}))
    lock = os.open(data / "up.lock", os.O_RDWR | os.O_CREAT)
    try:
        assert "process 77, which ran" in look_around(data, {}, "127.0.0.1", free_port, NOW * 2).warnings[-1]
        fcntl.flock(lock, fcntl.LOCK_EX)
        (said,) = look_around(data, {}, "127.0.0.1", free_port, NOW * 2).faults
        assert "nothing answers at" in said
        assert "kill 77" in said
    finally:
        os.close(lock)


class _Stranger(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stranger() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), _Stranger)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_port_that_something_else_has_is_named(data: Path, stranger: int) -> None:
    assert "taken by something else" in look_around(data, {}, "127.0.0.1", stranger, NOW * 2).warnings[-1]
