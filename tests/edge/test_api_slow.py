"""Senders that hold on to the server: a body that does not come, comes in drops, or comes with many others."""

from __future__ import annotations

import hashlib
import socket
from urllib.parse import urlsplit

import pytest

from nunatak.api import blobs
from tests.edge.conftest import Api
from tests.edge.test_api_events import Live, live

__all__ = ["live"]
SHA = hashlib.sha256(b"hello").hexdigest()


def test_a_file_that_does_not_come_gives_its_thread_back(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "SILENT", 0.05)
    place = urlsplit(live.server.url)
    assert place.hostname
    with socket.create_connection((place.hostname, place.port or 80), timeout=60) as line:
        head = f"PUT /api/v1/blobs/{SHA} HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n"
        line.sendall(f"{head}Authorization: {live.headers['Authorization']}\r\n\r\nhe".encode())
        assert line.recv(1000).startswith(b"HTTP/1.1 400 ")
    assert live.post("/blobs/missing", {"sha256": [SHA]}) == {"missing": [SHA]}
    live.call("PUT", f"/api/v1/blobs/{SHA}", 201, content=b"hello")


def test_files_in_drops_are_too_slow() -> None:
    assert not blobs.too_slow(0, 59)
    assert blobs.too_slow(1000, 3600)
    assert not blobs.too_slow(1_000_000_000, 3600)
    assert not blobs.too_slow(64_000, 61)


def test_more_files_at_a_time_than_there_are_places_wait(api: Api) -> None:
    uploads = api.http.app.app.state.uploads  # type: ignore[attr-defined]
    for _ in range(blobs.UPLOADS):
        assert uploads.acquire(blocking=False)
    assert api.call("PUT", f"/api/v1/blobs/{SHA}", 503, content=b"hello")["code"] == "uploads"
    uploads.release()
    api.call("PUT", f"/api/v1/blobs/{SHA}", 201, content=b"hello")
