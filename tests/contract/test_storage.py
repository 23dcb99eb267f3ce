"""What every storage does. A new storage joins by a line in `PLACES`."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from nunatak.core import checksums
from nunatak.core.errors import Invalid, NotFound
from nunatak.storage.posix import PosixStorage
from nunatak.storage.protocol import Put, Storage
from nunatak.storage.simulated import SimulatedStorage


@dataclass(frozen=True)
class Place:
    """A storage under test and the URL below which it keeps files."""

    storage: Storage
    base: str

    def url(self, name: str) -> str:
        return f"{self.base}/{name}"

    def fill(self, *names: str) -> None:
        self.storage.put([Put(self.url(name), name.encode()) for name in names])

    def bytes_at(self, name: str) -> bytes:
        with self.storage.open(self.url(name)) as reader:
            return reader.read()


def posix(tmp_path: Path) -> Place:
    return Place(PosixStorage([tmp_path / "store"]), f"file://{tmp_path}/store")


def simulated(_: Path) -> Place:
    return Place(SimulatedStorage(seed=1), "sim:///store")


PLACES: list[Callable[[Path], Place]] = [posix, simulated]


@pytest.fixture(params=PLACES, ids=lambda make: make.__name__)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    made: Place = request.param(tmp_path)
    return made


def test_what_is_put_can_be_read_and_is_what_was_declared(place: Place, tmp_path: Path) -> None:
    data = random.Random(1).randbytes(3_000_000)
    source = tmp_path / "source"
    source.write_bytes(data)
    sha256 = checksums.of_bytes(data)
    stored = place.storage.put([Put(place.url("a/b/big"), source, sha256), Put(place.url("small"), b"x")])
    assert [(item.url, item.size, item.sha256) for item in stored] == [
        (place.url("a/b/big"), 3_000_000, sha256),
        (place.url("small"), 1, checksums.of_bytes(b"x")),
    ]
    assert place.bytes_at("a/b/big") == data
    assert place.bytes_at("small") == b"x"
    assert place.storage.checksums([place.url("a/b/big"), place.url("nothing")]) == [sha256, None]


def test_an_empty_file_is_a_file(place: Place) -> None:
    place.storage.put([Put(place.url("empty"), b"")])
    assert place.bytes_at("empty") == b""
    (found,) = place.storage.stat([place.url("empty")])
    assert found is not None
    assert found.size == 0


def test_stat_answers_in_order_and_none_for_what_is_not_there(place: Place) -> None:
    place.fill("one", "three")
    found = place.storage.stat([place.url(name) for name in ("three", "two", "one", "one/below")])
    assert [item and (item.url, item.size) for item in found] == [
        (place.url("three"), 5),
        None,
        (place.url("one"), 3),
        None,
    ]
    assert all(item.modified > 1e9 for item in found if item)


def test_a_wrong_checksum_stores_nothing_and_keeps_what_was_there(place: Place) -> None:
    place.fill("kept")
    for name in ("kept", "new"):
        with pytest.raises(Invalid) as caught:
            place.storage.put([Put(place.url(name), b"other", "0" * 64)])
        assert caught.value.code == "bad-checksum"
    assert place.bytes_at("kept") == b"kept"
    assert [item.url for item in place.storage.entries(place.base + "/").files] == [place.url("kept")]


def test_a_missing_source_is_said_and_leaves_nothing(place: Place, tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        place.storage.put([Put(place.url("a"), tmp_path / "never")])
    assert caught.value.code == "no-source"
    assert place.storage.entries(place.base + "/").files == ()


def test_putting_again_replaces_and_may_be_repeated(place: Place) -> None:
    for data in (b"long before", b"now", b"now"):
        place.storage.put([Put(place.url("a"), data)])
    assert place.bytes_at("a") == b"now"


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, None, b"0123456789"),
        (3, None, b"3456789"),
        (3, 4, b"3456"),
        (8, 10, b"89"),
        (10, None, b""),
        (99, 5, b""),
        (2, 0, b""),
    ],
)
def test_a_part_of_a_file_can_be_read(place: Place, offset: int, length: int | None, expected: bytes) -> None:
    place.storage.put([Put(place.url("digits"), b"0123456789")])
    with place.storage.open(place.url("digits"), offset, length) as reader:
        assert reader.read() == expected
        assert reader.read(1) == b""


def test_reading_goes_on_in_pieces(place: Place) -> None:
    data = random.Random(2).randbytes(300_000)
    place.storage.put([Put(place.url("a"), data)])
    with place.storage.open(place.url("a"), 1000, 250_000) as reader:
        assert b"".join(iter(lambda: reader.read(7001), b"")) == data[1000:251_000]


@pytest.mark.parametrize(("offset", "length"), [(-1, None), (0, -1)])
def test_an_impossible_part_is_refused(place: Place, offset: int, length: int | None) -> None:
    place.fill("a")
    with pytest.raises(Invalid):
        place.storage.open(place.url("a"), offset, length)


def test_opening_what_is_not_there_is_not_found(place: Place) -> None:
    with pytest.raises(NotFound):
        place.storage.open(place.url("nothing"))


def test_deleting_is_idempotent(place: Place) -> None:
    place.fill("a", "b")
    place.storage.delete([place.url("a"), place.url("never"), place.url("b/below")])
    place.storage.delete([place.url("a")])
    assert place.storage.stat([place.url("a"), place.url("b")])[0] is None
    assert place.bytes_at("b") == b"b"


NAMES = ("1/a", "1/b", "1-x", "1.x", "1/c/d", "1/c.d", "10/a", "2", "Z", "a b", "ä", "%")


def encoded(name: str) -> str:
    return name.replace("%", "%25").replace(" ", "%20").replace("ä", "%C3%A4")


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_give_every_file_once_in_the_order_of_urls(place: Place, limit: int) -> None:
    place.fill(*(encoded(name) for name in NAMES))
    found, after = [], ""
    while True:
        page = place.storage.entries(place.base + "/", after, limit)
        assert len(page.files) <= limit
        found += [item.url for item in page.files]
        if not page.next:
            break
        after = page.next
    assert found == sorted(place.url(encoded(name)) for name in NAMES)


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("1", ["1-x", "1.x", "1/a", "1/b", "1/c.d", "1/c/d", "10/a"]),
        ("1/", ["1/a", "1/b", "1/c.d", "1/c/d"]),
        ("1/c", ["1/c.d", "1/c/d"]),
        ("1/c/", ["1/c/d"]),
        ("none/", []),
        ("2/", []),
        ("2", ["2"]),
    ],
)
def test_a_prefix_narrows_the_listing(place: Place, prefix: str, expected: list[str]) -> None:
    place.fill(*(encoded(name) for name in NAMES))
    page = place.storage.entries(place.url(prefix))
    assert [item.url for item in page.files] == [place.url(name) for name in expected]
    assert page.next == ""


def test_an_impossible_page_is_refused(place: Place) -> None:
    with pytest.raises(Invalid):
        place.storage.entries(place.base + "/", limit=0)


def test_spellings_of_one_url_are_one_file(place: Place) -> None:
    place.storage.put([Put(place.url("a b%2D"), b"x")])
    scheme, path = place.url("a%20b-").split("://", 1)
    assert place.bytes_at("a%20b-") == b"x"
    assert place.storage.stat([f"{scheme.upper()}://localhost{path}"])[0] is not None
    assert [item.url for item in place.storage.entries(place.base + "/").files] == [place.url("a%20b-")]


BAD = [
    "/../x", "/./x", "//x", "/a/..", "/a/.", "/a/", "/%2e%2e/x", "/%2E./x", "/a%2Fb", "/a%00b", "/a%zz", "/a%",
    "/a?b", "/a#b",
]  # fmt: skip


@pytest.mark.parametrize("tail", BAD)
def test_an_url_that_leads_elsewhere_is_refused_by_every_verb(place: Place, tail: str) -> None:
    url = place.base + tail
    for use in (
        lambda: place.storage.stat([url]),
        lambda: place.storage.put([Put(url, b"x")]),
        lambda: place.storage.open(url),
        lambda: place.storage.delete([url]),
        lambda: place.storage.checksums([url]),
    ):
        with pytest.raises(Invalid) as caught:
            use()
        assert caught.value.code == "bad-url"


@pytest.mark.parametrize("url", ["relative", "ftp:///a", "file://other.host/a", "sim://other.host/a", "://", ""])
def test_an_url_of_another_storage_is_refused(place: Place, url: str) -> None:
    with pytest.raises(Invalid):
        place.storage.stat([url])
