"""What an engine may carry in the name of a task."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from nunatak.core.work import Environment, Input, Output, Shape, TaskSpec
from nunatak.engines.carried import beyond, public

OURS, OPEN = ("/data/store", "/data/blobs"), ("/cvmfs", "/data/sim")


def task(*, inputs: tuple[str, ...] = (), outputs: tuple[str, ...] = ()) -> TaskSpec:
    return TaskSpec(
        "1/0/a#1", "1f", (), Environment(), tuple(Input("x", url) for url in inputs),
        tuple(Output("y", url) for url in outputs), Shape(),
    )  # fmt: skip


def said(*, inputs: tuple[str, ...] = (), outputs: tuple[str, ...] = ()) -> str:
    return beyond(task(inputs=inputs, outputs=outputs), OURS, OPEN, real=lambda path: path, public=lambda path: False)


def test_what_is_in_the_store_in_open_directories_or_fetched_by_nodes_is_carried() -> None:
    fine = (
        "file:///data/store/1/x",
        "/data/blobs/ab/abc",
        "file:///data/sim/a%20b",
        "/cvmfs/tool",
        "https://h/etc/passwd",
    )
    assert said(inputs=(*fine, "osdf:///etc/passwd"), outputs=fine) == ""


@pytest.mark.parametrize("url", [
    "file:///etc/nunatak/tokens/here", "/etc/nunatak/tokens/here", "file:/etc/x", "file://localhost/etc/x", "file:///data/stores/x",
    "file:///data/store/../tokens/x", "file:///data/store/%2e%2e/tokens/x", "file:///data/sim/../../etc/x", "file:///data/sim",
])  # fmt: skip
def test_other_files_of_its_machine_are_not(url: str) -> None:
    for words, begin in (
        (said(inputs=(url,)), f"the input x is {url}, which not everybody may read"),
        (said(outputs=(url,)), f"the output y belongs to {url}, which is not below the store"),
    ):
        assert words.startswith(begin)
        assert "option `files`" in words


def test_what_everybody_may_read_is_taken_along_and_never_written_to() -> None:
    assert public("/etc/passwd")
    assert beyond(task(inputs=("file:///etc/passwd",)), OURS, OPEN) == ""
    assert "the output y" in beyond(task(outputs=("file:///etc/passwd",)), OURS, OPEN)


def test_what_everybody_may_read_is_told_by_the_file_and_all_directories_above() -> None:
    with TemporaryDirectory(dir="/tmp") as name:  # unlike tmp_path, below directories that all may enter
        place = Path(name)
        place.chmod(0o755)
        (place / "x").write_text("")
        (place / "x").chmod(0o644)
        assert public(str(place / "x"))
        assert public(str(place / "none" / "y"))
        (place / "x").chmod(0o640)
        assert not public(str(place / "x"))
        (place / "x").chmod(0o644)
        place.chmod(0o750)
        assert not public(str(place / "x"))
        assert not public(str(place / "none"))


def test_a_link_leads_about_in_open_directories_and_not_out_of_them(tmp_path: Path) -> None:
    for name in ("open", "other", "secret"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name)
    (tmp_path / "open" / "out").symlink_to(tmp_path / "secret" / "x")
    (tmp_path / "open" / "over").symlink_to(tmp_path / "other" / "x")
    (tmp_path / "open" / "away").symlink_to(tmp_path / "secret")
    places = [str(tmp_path / "open"), str(tmp_path / "other")]

    def carried(name: str, *, back: bool = False) -> bool:
        url = f"file://{tmp_path}/open/{name}"
        asked = task(outputs=(url,)) if back else task(inputs=(url,))
        return not beyond(asked, OURS, places, public=lambda path: False)

    assert carried("x")
    assert carried("over")
    assert carried("new", back=True)
    assert not carried("out")
    assert not carried("away/x")
    assert not carried("away/new", back=True)
