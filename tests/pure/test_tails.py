"""Telling logs while attempts run: keys, what is believed of a request, whose turn it is, what is kept."""

from __future__ import annotations

import heapq
import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.core.errors import Invalid, Unavailable
from nunatak.engines.settings import read as read_settings
from nunatak.engines.tails import keeping, told
from nunatak.engines.tails.order import genuine, key_for, secret_of
from nunatak.engines.tails.settings import LiveSettings, check
from nunatak.engines.tails.told import Piece, Told
from nunatak.engines.tails.turns import LONGEST, SOON, WATCHED, Turns

SECRET = b"s" * 32
words = st.text("abc/#.0", min_size=1, max_size=12)


@given(st.tuples(words, words, words), st.tuples(words, words, words))
def test_a_key_is_good_for_its_attempt_and_its_box_and_for_no_other(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    key = key_for(SECRET, *one)
    assert genuine(SECRET, *one, key)
    assert genuine(SECRET, *other, key) == (one == other)
    assert not genuine(b"t" * 32, *one, key)
    assert not genuine(SECRET, *one, key[:-1])
    assert not genuine(SECRET, *one, "é")


def test_the_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "live.key"
    secret = secret_of(path)
    assert len(secret) == 32
    assert secret_of(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(b"short")
    with pytest.raises(Unavailable, match="damaged"):
        secret_of(path)


def request(**changes: object) -> bytes:
    """Return a request as workers write it."""
    plain = {
        "address": "1/0/a#1",
        "lease": "a1",
        "place": "boxes/1.0/0.a.1.a1",
        "key": "k",
        "sizes": {"stdout": 7},
        "parts": [["stdout", 4, "dHdv"]],
    }
    return json.dumps({**plain, **changes}).encode()


def test_a_request_says_whose_logs_how_large_they_are_and_what_comes() -> None:
    found = told.read(request())
    assert (found.address, found.lease, found.place) == ("1/0/a#1", "a1", "boxes/1.0/0.a.1.a1")
    assert (found.sizes, found.pieces) == ({"stdout": 7}, (Piece("stdout", 4, b"two"),))
    assert told.read(request(place="ap1@example.org/boxes/1.0/once.a.1.a1/series/0")).place.endswith("/0")


@pytest.mark.parametrize(
    "changes",
    [
        {"address": 1},
        {"lease": ""},
        {"key": None},
        {"key": "k" * 2000},
        *({"place": place} for place in ("../x", "a/../b", "/etc", "a//b", "a/", ".ssh", "a/.b", "a\nb", "a\0", "")),
        {"sizes": []},
        {"sizes": {"stdout": -1}},
        {"sizes": {"stdout": True}},
        {"sizes": {"stderr": 2**60}},
        {"parts": None},
        {"parts": [["stdout", 0, ""]] * 3},
        {"parts": [["../stdout", 0, ""]]},
        {"parts": [["stdout", 0]]},
        {"parts": [["stdout", -1, ""]]},
        {"parts": [["stdout", 0, "é"]]},
        {"parts": [["stdout", 0, "a"]]},
        {"parts": [["stdout", 0, "AAAA" * 10_000], ["stderr", 0, "AAAA" * 10_000]]},
    ],
)
def test_what_is_not_a_request_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        told.read(request(**changes))


_values = st.none() | st.booleans() | st.integers() | st.text(max_size=8)


@given(
    st.binary(max_size=100)
    | st.builds(
        lambda name, value: request(**{name: value}),
        st.sampled_from(["address", "lease", "place", "key", "sizes", "parts"]),
        _values
        | st.lists(_values | st.lists(_values, max_size=3), max_size=2)
        | st.dictionaries(words, _values, max_size=2),
    )
)
def test_no_bytes_do_anything_but_be_read_or_refused(data: bytes) -> None:
    try:
        found = told.read(data)
    except ValueError:
        return
    assert isinstance(found, Told)


# ---- turns


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_few_tell_as_often_as_is_wanted_and_many_no_more_often_in_all_than_that() -> None:
    for running, rate in ((10, 2.0), (2000, 50.0)):
        clock = Clock()
        turns, told_at = Turns(5.0, clock), []
        due = [(clock.now + number / running, number) for number in range(running)]
        while due[0][0] < 1000.0 + 400.0:
            clock.now, number = heapq.heappop(due)
            assert not turns.early(str(number))
            told_at.append(clock.now)
            heapq.heappush(due, (clock.now + turns.next(str(number), told=False, more=False), number))
        later = [at for at in told_at if at > 1100.0]
        assert len(later) / 300.0 == pytest.approx(rate, rel=0.05)


def test_who_says_that_there_is_more_is_asked_for_it_once_and_then_has_a_turn() -> None:
    turns = Turns(5.0, Clock())
    assert not turns.known("a")
    assert turns.next("a", told=False, more=True) == 0.0
    assert turns.known("a")
    assert not turns.early("a")
    assert turns.next("a", told=False, more=True) == SOON  # it does not send what it says it has
    assert turns.early("a")
    assert turns.next("b", told=False, more=False) == 5.0


def test_what_is_looked_at_tells_soon_however_many_run_and_nobody_waits_for_ever() -> None:
    turns = Turns(5.0, Clock(), rate=0.001)
    turns.watched = frozenset(["a"])
    pauses = [turns.next(str(number), told=True, more=False) for number in range(10)]
    assert pauses[1] == 2000.0
    assert pauses[-1] == LONGEST
    assert turns.next("a", told=True, more=True) == WATCHED


# ---- what is kept


def telling(*pieces: tuple[str, int, bytes], **sizes: int) -> Told:
    return Told("1/0/a#1", "a1", "box", "k", sizes, tuple(Piece(*piece) for piece in pieces))


@given(data=st.binary(max_size=60), cuts=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=12))
def test_what_is_kept_is_always_the_beginning_of_the_log(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, cuts: list[tuple[int, int]]
) -> None:
    box = tmp_path_factory.mktemp("box")
    for start, stop in cuts:
        kept = keeping.take(box, telling(("stdout", start, data[start:stop]), stdout=len(data)))
        assert kept is not None
        found = (box / "live.stdout").read_bytes() if kept["stdout"] else b""
        assert data.startswith(found)
        assert kept == {"stdout": len(found), "stderr": 0}
        assert keeping.more(telling(stdout=len(data)), kept) == (len(found) < len(data))


def test_no_more_is_kept_or_wanted_than_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MOST_KEPT", 10)
    kept = keeping.take(tmp_path, telling(("stderr", 0, b"123456789abc"), stderr=12, stdout=3))
    assert kept == {"stdout": 0, "stderr": 10}
    assert keeping.wanted(kept) == {"stdout": 0}
    assert keeping.more(telling(stderr=12), kept) is False
    assert keeping.take(tmp_path, telling(("stderr", 10, b"more"))) == kept


def test_nothing_is_kept_or_wanted_while_the_disk_is_nearly_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = telling(("stdout", 0, b"x"), stdout=2)
    monkeypatch.setattr(keeping, "LEAST_FREE", 2**70)
    kept = keeping.take(tmp_path, some)
    assert kept is not None
    assert (keeping.wanted(kept), keeping.more(some, kept), list(tmp_path.iterdir())) == ({}, False, [])
    monkeypatch.setattr(keeping, "LEAST_FREE", 0)
    assert keeping.take(tmp_path, some) == {"stdout": 1, "stderr": 0}


def test_nothing_is_kept_of_who_has_ended_or_is_nowhere_or_elsewhere(tmp_path: Path) -> None:
    box, other = tmp_path / "box", tmp_path / "other"
    some = telling(("stdout", 0, b"x"))
    assert keeping.take(box, some) is None
    other.mkdir()
    box.symlink_to(other)
    assert keeping.take(box, some) is None
    (other / "live.stdout").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        keeping.take(other, some)
    (other / "outcome.json").write_text("{}")
    assert keeping.take(other, some) is None
    assert not (tmp_path / "elsewhere").exists()


# ---- options


@pytest.mark.parametrize(
    "wrong",
    [
        {"live": "submit.example.org:9620"},
        {"live": "https://submit.example.org"},
        {"live": "HTTPS://submit.example.org:9620", "live_listen": "127.0.0.1:1"},
        {"live": "ftp://submit.example.org:1"},
        {"live": "https://me:secret@submit.example.org:1"},
        {"live": "https://submit.example.org:99999"},
        {"live": "https://submit.example.org:9620"},
        {"live": "http://submit.example.org:9620", "live_listen": "9620"},
        {"live": "https://submit.example.org:9620", "live_certificate": "/nowhere"},
        {"live": "http://submit.example.org:9620", "live_certificate": __file__},
    ],
)
def test_options_that_cannot_work_are_refused_and_named(wrong: dict[str, str]) -> None:
    with pytest.raises(Invalid, match="live"):
        check(read_settings(LiveSettings, wrong, "htcondor"))


def test_the_engine_listens_where_it_is_reached_or_where_a_proxy_finds_it() -> None:
    plain = read_settings(LiveSettings, {"live": "http://submit.example.org:9620/live"}, "htcondor")
    proxied = read_settings(
        LiveSettings, {"live": "https://submit.example.org:443", "live_listen": "[::1]:9620"}, "htcondor"
    )
    check(plain)
    check(proxied)
    assert (plain.listens, proxied.listens) == (("submit.example.org", 9620), ("::1", 9620))
    check(LiveSettings())
