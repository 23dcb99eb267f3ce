"""How the worker calls the clients of a node for files of other schemes, and what it makes of how they end."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from nunatak.core.schemes import FEATURES
from nunatak.worker import clients, stage, transfer

G, D = "gsiftp://h/d/f", "davs://h/d/f"


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node that has no client yet; the task is in its directory `here`."""
    for name in ("bin", "here", "there"):
        (tmp_path / name).mkdir()
    (tmp_path / "here" / "f").write_text("content")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setattr(
        clients.Client, "there", lambda self, name="": (tmp_path / "bin" / (name or self.name)).exists()
    )
    monkeypatch.setattr(transfer, "PAUSES", (0.0, 0.0))
    return tmp_path


def with_client(node: Path, name: str, script: str) -> None:
    (node / "bin" / name).write_text(f"#!/bin/sh\nprintf '%s\\n' \"$*\" >> {node}/calls\n{script}\n")
    (node / "bin" / name).chmod(0o755)


def calls(node: Path) -> list[str]:
    return (node / "calls").read_text().replace(str(node), "").splitlines()


@pytest.mark.parametrize(
    ("client", "verb", "url", "words"),
    [
        ("gfal-copy", "get", G, "gfal-copy -f -p URL file:///here/f"),
        ("globus-url-copy", "put", G, "globus-url-copy -cd file:///here/f URL"),
        ("pelican", "get", "osdf:///ic/f", "pelican object copy URL /here/f"),
        ("pelican", "put", "pelican://h/ic/f", "pelican object copy /here/f URL"),
        ("osdf", "get", "osdf:///ic/f", "osdf object copy URL /here/f"),
        ("stashcp", "get", "osdf:///ic/f", "stashcp /ic/f /here/f"),
        ("stashcp", "put", "stash:///ic/f", "stashcp /here/f /ic/f"),
        ("aws", "put", "s3://b/f", "aws s3 cp --only-show-errors /here/f URL"),
        ("s3cmd", "get", "s3://b/f", "s3cmd --force --no-progress get URL /here/f"),
        ("xrdcp", "get", "root://h//d/f", "xrdcp -f -p -N -P URL /here/f"),
        ("xrdcp", "put", "root://h//d/f", "xrdcp -f -p -N -P /here/f URL"),
        ("gfal-copy", "put", D, "gfal-copy -f -p file:///here/f URL"),
        ("gfal-copy", "get", "srm://h/d/f", "gfal-copy -f -p URL file:///here/f"),
    ],
)
def test_each_client_is_called_as_it_wants(client: str, verb: str, url: str, words: str) -> None:
    known = {found.name: found for found in clients.CLIENTS[transfer.scheme_of(url)]}
    assert " ".join(known[client].call(verb, url, "/here/f")) == words.replace("URL", url)


def test_every_scheme_that_is_asked_for_has_a_client() -> None:
    assert set(clients.CLIENTS) == set(stage.BY_CLIENT) == set(FEATURES)


def test_the_first_client_that_is_there_moves_a_file_and_what_was_stored_is_read_again(node: Path) -> None:
    copy = (
        'for last; do :; done; case "$last" in gsiftp:*) cp "${3#file://}" THERE;; *) cp THERE "${last#file://}";; esac'
    ).replace("THERE", f"{node}/there/f")
    with_client(node, "globus-url-copy", "exit 3")
    with_client(node, "gfal-copy", copy)
    digest = hashlib.sha256(b"content").hexdigest()
    assert clients.put(G, str(node / "here" / "f")) == (7, digest, True)
    assert [line.split()[0] for line in calls(node)] == ["-f", "-f"]
    with_client(node, "gfal-cat", f"cat {node}/there/f")
    assert clients.put(G, str(node / "here" / "f")) == (7, digest, True)
    assert calls(node)[-1] == f"-b {G}"
    assert clients.fetch(G, str(node / "here" / "g"), 0o600, 7, digest) == (7, digest)
    with_client(node, "gfal-cat", "echo other")
    with pytest.raises(transfer.Wrong, match="does not read back"):
        clients.put(G, str(node / "here" / "f"))
    with_client(node, "gfal-cat", "echo Permission denied >&2; exit 13")
    assert clients.put(G, str(node / "here" / "f")) == (7, digest, False)
    assert sorted(path.name for path in (node / "here").iterdir()) == ["f", "g"]


def test_without_a_client_it_says_what_was_looked_for(node: Path) -> None:
    with pytest.raises(transfer.Wrong, match=r"no client for root:// on this node: looked for xrdcp, gfal-copy"):
        clients.fetch("root://h//f", str(node / "here" / "g"), 0o644, -1, "")


@pytest.mark.parametrize(
    ("script", "error", "tries"),
    [
        ("echo '[3011] Unable to open /f; no such file or directory' >&2; exit 54", transfer.Gone, 1),
        ("echo 'Permission denied' >&2; exit 1", transfer.Wrong, 1),
        ("echo '[FATAL] Connection error' >&2; exit 51", transfer.Wrong, 3),
        ("kill -9 $$", transfer.Wrong, 3),
        ("exit 0", transfer.Wrong, 3),
    ],
)
def test_what_may_go_by_is_tried_again(node: Path, script: str, error: type[Exception], tries: int) -> None:
    with_client(node, "xrdcp", script)
    with pytest.raises(error) as caught:
        clients.fetch("root://h//f", str(node / "here" / "g"), 0o644, -1, "")
    assert len(calls(node)) == tries
    assert ("after 3 tries" in str(caught.value)) == (tries == 3)
    assert not (node / "here" / "g").exists()


def test_a_file_with_another_content_is_brought_again_and_then_left_to_be_judged(node: Path) -> None:
    with_client(node, "xrdcp", 'for last; do :; done; echo short > "$last"')
    assert clients.fetch("root://h//f", str(node / "here" / "g"), 0o644, 7, "")[0] == 6
    assert len(calls(node)) == 3


def test_a_client_that_stands_still_is_ended(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "QUIET", -1.0)
    with_client(node, "xrdcp", "exec sleep 1000")
    with pytest.raises(transfer.Wrong, match="moved nothing"):
        clients.fetch("root://h//f", str(node / "here" / "g"), 0o644, -1, "")
