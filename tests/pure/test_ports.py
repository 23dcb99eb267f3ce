"""Ports that are chosen freely: none that browsers refuse."""

from __future__ import annotations

import socket

import pytest

from nunatak.core import ports


def test_a_port_that_browsers_refuse_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    real, refused = ports._bound, []

    def first_a_blocked_one(host: str, port: int) -> socket.socket:
        found = real(host, port)
        if not refused:
            refused.append(found.getsockname()[1])
            monkeypatch.setattr(ports, "BLOCKED", ports.BLOCKED | {refused[0]})
        return found

    monkeypatch.setattr(ports, "_bound", first_a_blocked_one)
    with ports.bound("127.0.0.1", 0) as sock:
        assert sock.getsockname()[1] not in refused
    with ports.bound("127.0.0.1", refused[0]) as again:
        assert again.getsockname()[1] == refused[0], "it was given back, and one who names a port gets it"


def test_the_port_that_is_used_if_none_is_named_is_one_that_browsers_open() -> None:
    from nunatak.core.settings import Settings

    assert Settings.model_fields["port"].default not in ports.BLOCKED
    assert {4045, 6000, 10080} <= ports.BLOCKED
