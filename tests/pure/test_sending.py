"""Pieces of compressed streams: whoever watches reads exactly what was sent, and what is alike costs next to nothing."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from nunatak.api.sending import KEEP_ALIVE, Event, Pieces, Sending


def sending(accepts: str = "gzip, deflate, br, zstd") -> Sending:
    """Return what a watcher is sent by."""
    return Sending(Request({"type": "http", "headers": [(b"accept-encoding", accepts.encode())]}))


@given(
    st.lists(st.binary(max_size=300).map(lambda data: Event(data * 200)), min_size=1, max_size=8),
    st.lists(st.lists(st.integers(0, 7), max_size=20), min_size=1, max_size=5),
)
def test_each_watcher_reads_what_was_sent_whatever_the_others_saw(
    events: list[Event], watched: list[list[int]]
) -> None:
    pieces = Pieces()
    for which in watched:
        one, reader, plain = sending(), zlib.decompressobj(31), sending("identity")
        for number in which:
            event = events[number % len(events)]
            assert reader.decompress(one.next(event, pieces)) == event.data, "at once, and not with the next"
            assert plain.next(event, pieces) == event.data
            if number == 7:
                pieces.forget()
                assert reader.decompress(one.next(KEEP_ALIVE, pieces)) == KEEP_ALIVE.data
    assert "Content-Encoding" not in sending("identity").headers
    assert sending().headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize("size", [1_000, 30_000, 200_000])
def test_an_event_like_the_one_before_is_small_and_made_once_for_all(size: int) -> None:
    letters = random.Random(size)
    text = "".join(letters.choice("0123456789abcdef") for _ in range(size))
    before, event = Event(text.encode()), Event(text.replace("77", "88").encode())
    pieces = Pieces()
    seen = set()
    for _ in range(3):
        one = sending()
        assert len(one.next(before, pieces)) > size / 2.1, "nothing in it is alike"
        seen.add(id(one.next(event, pieces)))
    assert len(seen) == 1, "all get the same bytes"
    if size < 32_000:
        assert len(pieces.of(before, event)) < len(pieces.of(None, before)) / 5
