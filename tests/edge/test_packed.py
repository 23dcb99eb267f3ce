"""Files of a dataset as one ZIP: what is in it, and when there is none."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from nunatak.api import packed
from nunatak.core.errors import Conflict, NotFound
from nunatak.storage.posix import PosixStorage


def record(root: Path, job: int | None, name: str, data: bytes) -> dict[str, Any]:
    """Return a file as it is recorded, and put it there."""
    place = root / str(job) / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return {
        "address": f"7/{job}/fit",
        "task": "fit",
        "job": job,
        "name": name,
        "size": len(data),
        "url": f"file://{place}",
    }


def test_each_file_has_a_place_of_its_own_and_is_as_it_was(tmp_path: Path) -> None:
    files = [
        record(tmp_path, 0, "fit.json", b"{}"),
        record(tmp_path, 1, "fit.json", b"[1]"),
        record(tmp_path, 1, "deep/plot.png", b"\x89PNG" * 300_000),
        record(tmp_path, None, "all.csv", b""),
    ]
    text = b"".join(packed.packed(PosixStorage([tmp_path]), files))
    with zipfile.ZipFile(io.BytesIO(text)) as found:
        assert found.testzip() is None
        assert {name: len(found.read(name)) for name in found.namelist()} == {
            "0/fit/fit.json": 2, "1/fit/fit.json": 3, "deep/plot.png": 1_200_000, "all.csv": 0,
        }  # fmt: skip


def test_none_leads_outside() -> None:
    names = ["../../x", "/etc/x", "a/../b"]
    assert packed.places([{"name": name, "job": 0, "task": "t"} for name in names]) == ["x", "etc/x", "a/b"]


def test_what_cannot_be_had_whole_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    file = record(tmp_path, 0, "fit.json", b"{}")
    storage = PosixStorage([tmp_path])
    with pytest.raises(NotFound, match="no files"):
        packed.serve(storage, 7, [])
    with pytest.raises(Conflict, match="more than 1000 tasks"):
        packed.serve(storage, 7, [file], "1000 tasks")
    with pytest.raises(Conflict, match=r"has 3 GB of files"):
        packed.serve(storage, 7, [{**file, "size": 3 * 10**9}])
    (tmp_path / "0" / "fit.json").write_bytes(b"longer")
    with pytest.raises(Conflict, match="was changed in storage"):
        packed.serve(storage, 7, [file])
    (tmp_path / "0" / "fit.json").unlink()
    with pytest.raises(Conflict, match="not in storage any more"):
        packed.serve(storage, 7, [file])
