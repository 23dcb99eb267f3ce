"""Files to and from another directory as archives: nothing but what was asked for is believed, and nothing comes half."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pytest

from nunatak.core.errors import Unavailable
from nunatak.engines.batch.dialect import Answer
from nunatak.engines.batch.ferry import Ferry
from nunatak.engines.batch.run import control_place, pipe


@pytest.fixture
def ferry(tmp_path: Path) -> Ferry:
    """A way to `there`, a name that a shell would stumble over."""
    return Ferry(pipe("", tmp_path, os.environ, 60.0), str(tmp_path / "it's there"), "tag", tmp_path / "drafts")


def test_files_go_there_and_come_back_with_their_times(ferry: Ferry, tmp_path: Path) -> None:
    there, source = tmp_path / "it's there", tmp_path / "source"
    source.write_bytes(b"\x00" * 100_000)
    ferry.put(
        {"1/0/a.1.aa/in/0": source, "1/0/a.1.aa/gone": tmp_path / "nothing", "list": b"1\n"}, [".talk", "1/0/a.1.aa"]
    )
    assert (there / "1/0/a.1.aa/in/0").read_bytes() == source.read_bytes()
    assert not (there / "1/0/a.1.aa/gone").exists()
    assert (there / ".talk").is_dir()
    (there / "1/0/a.1.aa/outcome.json").write_text("{}")
    os.utime(there / "1/0/a.1.aa/outcome.json", (1000, 1000))
    ferry.get({"1/0/a.1.aa/outcome.json": tmp_path / "outcome.json", "1/0/a.1.aa/x": tmp_path / "x"}, "outcome.json")
    assert (tmp_path / "outcome.json").stat().st_mtime == 1000
    assert not (tmp_path / "x").exists()
    assert ferry.sandboxes() == ["1/0/a.1.aa"]
    ferry.remove(["1/0/a.1.aa", "list", "never/there"])
    assert sorted(path.name for path in there.iterdir()) == [".engine", ".talk"]


def test_what_a_file_has_beyond_a_byte_is_brought_and_no_more_than_a_bound(ferry: Ferry, tmp_path: Path) -> None:
    place = "1/0/a.1.aa"
    written = {"stdout": b"one\ntwo\n\x00\xff", "stderr": b"", "worker.log": b"x" * 100_000}
    ferry.put({f"{place}/{name}": data for name, data in written.items()}, [])
    (tmp_path / "it's there" / place / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "it's there" / place / "pipe")
    asked = {f"{place}/{name}": 0 for name in ("stderr", "link", "pipe", "never", "worker.log")}
    found = ferry.tails({f"{place}/stdout": 4, **asked})
    assert found == {f"{place}/stdout": b"two\n\x00\xff", f"{place}/worker.log": b"x" * 65_536}
    assert ferry.tails({f"{place}/stdout": 10}) == {}
    many = {f"{place}/{number}": b"%d" % number for number in range(450)}
    ferry.put(dict(many), [])
    assert ferry.tails(dict.fromkeys(many, 0)) == many


def test_links_are_not_followed(ferry: Ferry, tmp_path: Path) -> None:
    ferry.put({"1/0/a/stdout": b"x"}, [])
    (tmp_path / "it's there/1/0/a/stderr").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "it's there/1/0/a/begun")
    ferry.get({f"1/0/a/{name}": tmp_path / name for name in ("stdout", "stderr", "begun")}, "")
    assert (tmp_path / "stdout").read_text() == "x"
    assert not (tmp_path / "stderr").exists()
    assert not (tmp_path / "begun").exists()


def test_a_directory_of_another_engine_is_left_alone(ferry: Ferry, tmp_path: Path) -> None:
    ferry.put({"a": b"1"}, [])
    other = Ferry(pipe("", tmp_path, os.environ, 60.0), str(tmp_path / "it's there"), "another", tmp_path / "drafts2")
    for use in (lambda: other.put({"a": b"2"}, []), other.sandboxes):
        with pytest.raises(Unavailable, match="belongs to another engine"):
            use()
    assert (tmp_path / "it's there/a").read_text() == "1"


def told(archive: bytes, tmp_path: Path) -> Ferry:
    def answer(_argv: Sequence[str], _source: IO[bytes], target: IO[bytes]) -> Answer:
        target.write(archive)
        return Answer(0)

    return Ferry(answer, "/there", "tag", tmp_path / "drafts")


def archive_of(*entries: tuple[str, bytes, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, kind, data in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.size = kind, "/etc/passwd", len(data)
            tar.addfile(entry, io.BytesIO(data))
    return made.getvalue()


def test_only_what_was_asked_for_is_taken_from_an_archive(tmp_path: Path) -> None:
    archive = archive_of(
        ("../../evil", tarfile.REGTYPE, b"x"), ("/etc/evil", tarfile.REGTYPE, b"x"), ("stdout", tarfile.SYMTYPE, b""),
        ("stderr", tarfile.LNKTYPE, b""), ("usage.json", tarfile.REGTYPE, b"fine"),
    )  # fmt: skip
    told(archive, tmp_path).get({name: tmp_path / name for name in ("stdout", "stderr", "usage.json")}, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drafts", "usage.json"]


@pytest.mark.parametrize("left", [100, 700, 1500])
def test_an_archive_cut_short_brings_no_outcome(tmp_path: Path, left: int) -> None:
    archive = archive_of(("outcome.json", tarfile.REGTYPE, b"{}"), ("output.0", tarfile.REGTYPE, b"y" * 5000))
    with pytest.raises(Unavailable):
        told(archive[:left], tmp_path).get(
            {name: tmp_path / name for name in ("outcome.json", "output.0")}, "outcome.json"
        )
    assert not (tmp_path / "outcome.json").exists()


def test_a_socket_has_a_short_path_of_ours_alone(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60)
    place = control_place(deep, {})
    assert len(str(place)) <= 40
    assert place.stat().st_mode & 0o777 == 0o700
    place.chmod(0o755)
    with pytest.raises(Unavailable):
        control_place(deep, {})
    place.rmdir()
