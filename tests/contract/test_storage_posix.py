"""What is particular to files on a mounted file system: roots, links, what a failed write leaves behind."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from nunatak.core import checksums
from nunatak.core.errors import Invalid, NunatakError, Refused, Unavailable
from nunatak.storage import posix
from nunatak.storage.oserrors import translate
from nunatak.storage.posix import PosixStorage
from nunatak.storage.protocol import Put


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def storage(root: Path) -> PosixStorage:
    return PosixStorage([root])


def refused_by_every_verb(storage: PosixStorage, url: str) -> None:
    for use in (
        lambda: storage.stat([url]),
        lambda: storage.put([Put(url, b"x")]),
        lambda: storage.open(url),
        lambda: storage.delete([url]),
        lambda: storage.checksums([url]),
    ):
        with pytest.raises(Refused) as caught:
            use()
        assert caught.value.code == "outside-storage"


def test_what_is_outside_the_roots_is_refused(storage: PosixStorage, root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    (tmp_path / "root-beside").mkdir()
    for path in ("/etc/passwd", f"{tmp_path}/secret", f"{tmp_path}/root-beside/a", "/"):
        if path != "/":
            refused_by_every_verb(storage, f"file://{path}")
        with pytest.raises(Refused):
            storage.entries(f"file://{path.rstrip('/')}/")


def test_a_link_out_of_the_roots_is_refused(storage: PosixStorage, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("s")
    (root / "door").symlink_to(outside)
    refused_by_every_verb(storage, f"file://{root}/door/secret")
    with pytest.raises(Refused):
        storage.entries(f"file://{root}/door/")
    assert (outside / "secret").read_text() == "s"


def test_a_file_that_is_a_link_outside_is_neither_read_nor_written_through(
    storage: PosixStorage, root: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    (root / "a").symlink_to(secret)
    url = f"file://{root}/a"
    for use in (lambda: storage.stat([url]), lambda: storage.open(url), lambda: storage.checksums([url])):
        with pytest.raises(Refused):
            use()
    storage.put([Put(url, b"mine")])
    assert secret.read_text() == "s"
    assert storage.open(url).read() == b"mine"


def test_deleting_a_link_leaves_what_it_leads_to(storage: PosixStorage, root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    (root / "a").symlink_to(secret)
    storage.delete([f"file://{root}/a"])
    assert not (root / "a").is_symlink()
    assert secret.exists()


def test_links_inside_the_roots_work_and_are_not_listed(storage: PosixStorage, root: Path) -> None:
    storage.put([Put(f"file://{root}/real/a", b"x")])
    (root / "way").symlink_to(root / "real")
    (root / "loop").symlink_to(root)
    (root / "link").symlink_to(root / "real" / "a")
    assert storage.open(f"file://{root}/way/a").read() == b"x"
    assert [item.url for item in storage.entries(f"file://{root}/").files] == [f"file://{root}/real/a"]


def test_a_root_may_itself_be_reached_by_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    storage = PosixStorage([tmp_path / "alias"])
    storage.put([Put(f"file://{tmp_path}/alias/a", b"x")])
    assert [item.url for item in storage.entries(f"file://{tmp_path}/alias/").files] == [f"file://{tmp_path}/alias/a"]


def test_a_loop_of_links_is_an_error_that_is_told(storage: PosixStorage, root: Path) -> None:
    (root / "a").symlink_to(root / "b")
    (root / "b").symlink_to(root / "a")
    for use in (lambda: storage.stat([f"file://{root}/a"]), lambda: storage.open(f"file://{root}/a")):
        with pytest.raises(Invalid):
            use()


def test_what_is_no_regular_file_is_not_opened(storage: PosixStorage, root: Path) -> None:
    os.mkfifo(root / "pipe")
    (root / "directory").mkdir()
    for name in ("pipe", "directory"):
        url = f"file://{root}/{name}"
        with pytest.raises(Invalid):
            storage.open(url)
        assert storage.stat([url]) == [None]
        assert storage.checksums([url]) == [None]
    with pytest.raises(Invalid):
        storage.put([Put(f"file://{root}/directory", b"x")])
    with pytest.raises(Invalid):
        storage.put([Put(f"file://{root}/pipe/below", b"x")])
    assert storage.entries(f"file://{root}/").files == ()


def test_names_that_are_not_text_can_be_listed_and_read(storage: PosixStorage, root: Path) -> None:
    Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfe")).write_bytes(b"x")
    (found,) = storage.entries(f"file://{root}/").files
    assert found.url == f"file://{root}/%FF%FE"
    assert storage.open(found.url).read() == b"x"


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_write_that_fails_leaves_what_was_there_and_no_rest(
    storage: PosixStorage, root: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    url = f"file://{root}/a"
    storage.put([Put(url, b"before")])

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(*((posix.os, "fsync") if failing == "fsync" else (Path, "replace")), fail)
        with pytest.raises(Unavailable) as caught:
            storage.put([Put(url, b"after")])
    assert caught.value.code == "disk-full"
    assert storage.open(url).read() == b"before"
    assert sorted(path.name for path in root.iterdir()) == ["a"]


def test_a_rest_of_a_killed_writer_is_not_listed(storage: PosixStorage, root: Path) -> None:
    (root / ".nunatak-0123.part").write_bytes(b"half")
    assert storage.entries(f"file://{root}/").files == ()


def test_bytes_damaged_on_disk_are_found_on_demand(storage: PosixStorage, root: Path) -> None:
    url = f"file://{root}/a"
    (stored,) = storage.put([Put(url, b"good")])
    (root / "a").write_bytes(b"g00d")
    assert storage.checksums([url]) == [checksums.of_bytes(b"g00d")]
    assert stored.sha256 == checksums.of_bytes(b"good")


def test_a_reader_sees_one_of_two_files_whole_while_it_is_replaced(storage: PosixStorage, root: Path) -> None:
    url = f"file://{root}/a"
    versions = [bytes([n]) * 200_000 for n in range(8)]
    storage.put([Put(url, versions[0])])

    def write() -> None:
        for data in versions:
            storage.put([Put(url, data)])

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while writer.is_alive():
        with storage.open(url) as reader:
            seen.add(reader.read())
    writer.join()
    assert seen <= set(versions)


@pytest.mark.parametrize(
    ("number", "kind"), [(2, "not-found"), (13, "refused"), (28, "unavailable"), (21, "invalid"), (5, "unavailable")]
)
def test_each_error_of_the_system_says_what_the_caller_can_do(number: int, kind: str) -> None:
    error = translate(OSError(number, os.strerror(number)), "file:///a")
    assert isinstance(error, NunatakError)
    assert error.kind == kind
    assert "file:///a" in error.message
