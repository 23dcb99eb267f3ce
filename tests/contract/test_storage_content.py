"""Blobs by their checksum: kept whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nunatak.core import checksums
from nunatak.core.errors import Invalid, NotFound, Unavailable
from nunatak.storage.content import Blob, ContentStore

DATA = b"some bytes"
SHA256 = checksums.of_bytes(DATA)


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "blobs")


def left(store: ContentStore) -> list[Path]:
    return [path for path in store.root.rglob("*") if path.is_file()]


def test_a_blob_is_kept_under_its_checksum(store: ContentStore) -> None:
    assert store.put([b"some", b" ", b"bytes"], SHA256, limit=10) == Blob(SHA256, 10)
    assert left(store) == [store.root / SHA256[:2] / SHA256]
    with store.open(SHA256) as reader:
        assert reader.read() == DATA


def test_missing_ones_are_told_once_and_in_order(store: ContentStore) -> None:
    store.put([DATA], SHA256, limit=100)
    assert store.missing(["f" * 64, SHA256, "0" * 64, "f" * 64]) == ["f" * 64, "0" * 64]


def test_other_bytes_than_declared_leave_nothing(store: ContentStore) -> None:
    with pytest.raises(Invalid) as caught:
        store.put([b"other"], SHA256, limit=100)
    assert caught.value.code == "bad-checksum"
    assert left(store) == []


def test_a_stream_over_the_limit_is_cut_off_and_leaves_nothing(store: ContentStore) -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield bytes(10)

    with pytest.raises(Invalid) as caught:
        store.put(endless(), SHA256, limit=95)
    assert caught.value.code == "too-large"
    assert taken == 10
    assert left(store) == []


def test_a_stream_that_breaks_leaves_nothing(store: ContentStore) -> None:
    def broken() -> Iterator[bytes]:
        yield b"some"
        raise ConnectionResetError

    with pytest.raises(Unavailable):
        store.put(broken(), SHA256, limit=100)
    assert left(store) == []


def test_a_damaged_blob_is_found_and_mended_by_sending_it_again(store: ContentStore) -> None:
    store.put([DATA], SHA256, limit=100)
    store.path(SHA256).write_bytes(b"rotten")
    assert store.damaged([SHA256, "0" * 64]) == [SHA256]
    store.put([DATA], SHA256, limit=100)
    assert store.damaged([SHA256]) == []


def test_a_blob_that_is_not_kept_is_not_found(store: ContentStore) -> None:
    with pytest.raises(NotFound):
        store.open(SHA256)


@pytest.mark.parametrize(
    "name", ["", "../../etc/passwd", SHA256.upper(), SHA256 + "0", SHA256[:-1] + "/", SHA256 + "\n"]
)
def test_what_is_no_checksum_never_becomes_a_path(store: ContentStore, name: str) -> None:
    for use in (
        lambda: store.missing([name]),
        lambda: store.put([b""], name, 1),
        lambda: store.open(name),
        lambda: store.damaged([name]),
    ):
        with pytest.raises(Invalid) as caught:
            use()
        assert caught.value.code == "bad-hash"
