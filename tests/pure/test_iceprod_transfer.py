"""The program that moves files by tools of a node: which tool it calls for which scheme, and how."""

from __future__ import annotations

from pathlib import Path

import pytest

from nunatak.iceprod import iceprod_transfer
from nunatak.iceprod.transfers import TOOLS, WITH_TOKEN

NOTES = """#!/bin/sh
for word in "${0##*/}" "$@"; do printf '%s\\n' "$word"; done > "$NOTED"
exit "${CODE:-0}"
"""
G, D = "gsiftp://h/d/f", "davs://h/d/f"


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node that has no tool yet; the task is in its directory `here`."""
    for name in ("bin", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("NOTED", str(tmp_path / "noted"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def with_tool(node: Path, *names: str) -> None:
    for name in names:
        (node / "bin" / name).write_text(NOTES)
        (node / "bin" / name).chmod(0o755)


@pytest.mark.parametrize(
    ("tool", "verb", "url", "words"),
    [
        ("gfal-copy", "get", G, ["-f", "-p", G, "file://HERE/f"]),
        ("globus-url-copy", "put", G, ["-cd", "-rst", "file://HERE/f", G]),
        ("pelican", "get", "osdf:///ic/f", ["object", "copy", "osdf:///ic/f", "f"]),
        ("pelican", "put", "pelican://h/ic/f", ["object", "copy", "f", "pelican://h/ic/f"]),
        ("osdf", "get", "osdf:///ic/f", ["object", "copy", "osdf:///ic/f", "f"]),
        ("stashcp", "get", "osdf:///ic/f", ["/ic/f", "f"]),
        ("stashcp", "put", "stash:///ic/f", ["f", "/ic/f"]),
        ("aws", "put", "s3://b/f", ["s3", "cp", "f", "s3://b/f"]),
        ("s3cmd", "get", "s3://b/f", ["--force", "get", "s3://b/f", "f"]),
        ("xrdcp", "get", "root://h//d/f", ["-f", "-p", "root://h//d/f", "f"]),
        ("xrdcp", "put", "root://h//d/f", ["-f", "-p", "f", "root://h//d/f"]),
        ("gfal-copy", "put", D, ["-f", "-p", "file://HERE/f", D]),
        ("gfal-copy", "get", "srm://h/d/f", ["-f", "-p", "srm://h/d/f", "file://HERE/f"]),
        ("gfal-copy", "get", "https://h/d/f", ["-f", "-p", "https://h/d/f", "file://HERE/f"]),
    ],
)
def test_each_tool_is_called_as_it_wants(node: Path, tool: str, verb: str, url: str, words: list[str]) -> None:
    with_tool(node, tool)
    assert iceprod_transfer.main([verb, url, "f"]) == 0
    expected = [tool, *(word.replace("HERE", str(node / "here")) for word in words)]
    assert (node / "noted").read_text().splitlines() == expected


def test_the_first_tool_that_is_there_is_called(node: Path) -> None:
    with_tool(node, "globus-url-copy", "gfal-copy")
    iceprod_transfer.main(["get", G, "f"])
    assert (node / "noted").read_text().startswith("gfal-copy\n")


def test_every_scheme_that_is_asked_for_has_a_tool() -> None:
    assert set(iceprod_transfer.TOOLS) == {*TOOLS, *WITH_TOKEN}


def test_without_a_tool_it_says_what_was_looked_for(node: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert iceprod_transfer.main(["get", "root://h//f", "f"]) == 69
    assert "looked for xrdcp, gfal-copy" in capfd.readouterr().err
    assert iceprod_transfer.main(["get", "root://h//f", "f", "--maybe"]) == 69  # that is no missing file
    assert iceprod_transfer.main(["bring", "root://h//f", "f"]) == 64


def test_what_may_be_missing_may(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_tool(node, "gfal-copy")
    monkeypatch.setenv("CODE", "2")
    assert iceprod_transfer.main(["get", "--maybe", G, "f"]) == 0
    assert iceprod_transfer.main(["get", G, "f"]) == 2
    assert iceprod_transfer.main(["put", "--maybe", G, "f"]) == 0  # it is not here
    (node / "here" / "f").touch()
    assert iceprod_transfer.main(["put", "--maybe", G, "f"]) == 2
