"""Files of another scheme, with a real XRootD server and its real clients: read, stored, cut off, changed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nunatak.cli.imports import place
from nunatak.client import Client
from nunatak.client.statuses import AttemptStatus
from nunatak.iceprod.importing import import_config
from nunatak.worker import clients, transfer
from tests.services.relay import Relay
from tests.services.xrootd import PYTHON, Xrootd
from tests.story.installation import Installation, installation, until

pytestmark = pytest.mark.slow
LARGE = 24_000_000
"""Bytes of a file that takes long enough over a slow way."""


@pytest.fixture(scope="module")
def server() -> Iterator[Xrootd]:
    made = Xrootd.make()
    yield made
    made.stop()


def with_engine(house: Installation) -> None:
    """Start a server, and an engine whose machine has the clients."""
    house.start_server()
    with house.client() as client:
        token = client.create_token("node", ["engine"], days=1).token or ""
    (house.data / "node").mkdir()
    words = ("serve", "engine", "node", "--cores", "8", "--memory", "64 GB", "--option", "features=xrootd")
    variables = {"NUNATAK_URL": house.url, "NUNATAK_TOKEN": token}
    house.spawn(*words, log="node.log", data=house.data / "node", variables=variables)


RECIPE = """\
name: over a slow way
jobs: 1
tasks:
  keep:
    run: cp small.txt kept.txt
    inputs: [{{from: "{root}/in/small.txt", to: small.txt}}]
    outputs: ["kept.txt -> {root}/{{dataset}}/kept.txt"]
    needs: {{features: [xrootd]}}
  look:
    after: keep
    inputs: [keep/kept.txt]
    run: grep -q small kept.txt
    needs: {{features: [xrootd]}}
  fetch:
    run: cmp large.i3 large.i3
    inputs: [{{from: "{slow}/in/large.i3", to: large.i3}}]
    needs: {{features: [xrootd]}}
  store:
    run: head -c {large} /dev/zero > large.i3
    shell: true
    outputs: ["large.i3 -> {slow}/{{dataset}}/large.i3"]
    needs: {{features: [xrootd]}}
"""
CONFIG = {
    "version": 3.2,
    "description": "by IceProd",
    "steering": {"parameters": {"gcd": "gcd.txt"}},
    "tasks": [{
        "name": "filter",
        "data": [
            {"remote": "in/$steering(gcd)", "local": "gcd.txt"},
            {"remote": "in/perhaps_$(job).txt", "local": "perhaps.txt", "transfer": "maybe"},
            {"remote": "made/$sprintf('%06d',$(job)).txt", "local": "out.txt", "movement": "output"},
        ],
        "trays": [{"modules": [{"src": "join.sh", "args": "gcd.txt perhaps.txt out.txt"}]}],
    }],
}  # fmt: skip


def first_of(client: Client, task: str) -> AttemptStatus:
    """Return the first attempt of a task, when it is judged."""
    return until(lambda: next((of for of in client.status(task).attempts if of.verdict), None), f"{task} to be judged")


@pytest.mark.timeout(300)
def test_a_server_that_is_killed_on_the_way_is_waited_for_and_a_changed_file_is_seen(
    tmp_path: Path, server: Xrootd
) -> None:
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "join.sh").write_text('cat "$1" > "$3"; [ ! -e "$2" ] || cat "$2" >> "$3"\n')
    for name, content in (
        ("small.txt", b"small\n"), ("large.i3", bytes(LARGE)), ("gcd.txt", b"gcd\n"), ("perhaps_1.txt", b"once\n"),
    ):  # fmt: skip
        server.hold(f"in/{name}", content)
    relay = Relay(server.port, seed=1, delay=0.02, least=0.02, chance=0.0)  # the large file takes seconds
    root, slow = (f"root://127.0.0.1:{port}/" for port in (server.port, relay.port))
    with installation(tmp_path / "data", start=False) as house:
        with_engine(house)
        recipe = RECIPE.format(root=root, slow=slow, large=LARGE)
        made = import_config(json.dumps(CONFIG), jobs=2, options={"data_url": f"{root}/"})
        (tmp_path / "iceprod").mkdir()
        place(made, tmp_path / "beside", tmp_path / "iceprod" / "recipe.yaml")
        with house.client() as client:
            number = house.submit(recipe)
            client.hold(f"{number}/0/look")
            other = client.submit(tmp_path / "iceprod" / "recipe.yaml").dataset
            until(lambda: client.dataset(other).state != "open", "the imported configuration")
            assert client.dataset(other).state == "done", [item.message for item in client.errors(other)]
            assert [(server.files / f"made/00000{job}.txt").read_text() for job in (0, 1)] == ["gcd\n", "gcd\nonce\n"]
            until(lambda: client.status(f"{number}/0/keep").plain["state"] == "done", "the small file")
            kept = server.files / f"{number}/kept.txt"
            assert kept.read_text() == "small\n"
            (record,) = [file for file in client.files(str(number)) if file.name == "kept.txt"]
            assert record.sha256 == hashlib.sha256(b"small\n").hexdigest()

            until(lambda: (server.files / str(number) / "large.i3").exists(), "the large file to be on its way")
            server.kill()
            for task in ("fetch", "store"):
                where = f"{number}/0/{task}"
                first = first_of(client, where)
                assert (first.verdict, first.action) == ("storage-down", "again"), first.message
                assert "after 5 tries" in (first.message or "")
            relay.least = relay.delay = 0.0
            kept.write_text("smaller\n")  # as a server would not do
            server.start()
            client.release(f"{number}/0/look")
            client.retry(str(number))  # a person knows that it is back
            assert first_of(client, f"{number}/0/look").verdict == "input-changed"
            for task in ("fetch", "store"):
                until(lambda task=task: client.status(f"{number}/0/{task}").plain["state"] == "done", task)  # type: ignore[misc]
            assert (server.files / str(number) / "large.i3").read_bytes() == bytes(LARGE)
            kept.write_text("small\n")
            client.retry(str(number))
            house.until_state("done", number)
        house.until_no_work()
        assert house.doctor().faults == []
    relay.close()


@pytest.mark.parametrize("client", ["xrdcp", "gfal-copy"])
def test_each_real_client_brings_stores_and_says_what_is_not_there(
    client: str, tmp_path: Path, server: Xrootd, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    for name in (client, "gfal-cat"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or "")
    for name in ("sh", "env"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("GFAL_PYTHONBIN", PYTHON)
    monkeypatch.setattr(transfer, "PAUSES", ())
    content = os.urandom(300_000)
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "out.i3").write_bytes(content)
    url = f"root://127.0.0.1:{server.port}//{client}/deep/a b.i3"
    assert clients.put(url, str(tmp_path / "out.i3")) == (len(content), digest, True)
    assert (server.files / client / "deep" / "a b.i3").read_bytes() == content
    assert clients.fetch(url, str(tmp_path / "in.i3"), 0o640, len(content), digest) == (len(content), digest)
    assert (tmp_path / "in.i3").stat().st_mode & 0o777 == 0o640
    assert clients.fetch(url, str(tmp_path / "in.i3"), 0o640, 5, "")[0] == len(
        content
    )  # the caller says that it is wrong
    with pytest.raises(transfer.Gone):
        clients.fetch(url + "x", str(tmp_path / "no"), 0o644, -1, "")
    (server.files / client).chmod(0o500)
    with pytest.raises(transfer.Wrong):
        clients.put(f"root://127.0.0.1:{server.port}//{client}/new", str(tmp_path / "out.i3"))
    (server.files / client).chmod(0o700)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "in.i3", "out.i3"]
